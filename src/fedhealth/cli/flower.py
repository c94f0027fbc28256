"""The command behind ``fl/server.py``: the server's side of training between processes over Flower."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedhealth.cli import options
from fedhealth.cli.train import choose_budget, choose_strategy
from fedhealth.cli.training import Model, Training, recorded, train_and_write
from fedhealth.runtime.ports import LOOPBACK
from fedhealth.study import DEFAULT_STUDY

if TYPE_CHECKING:
    from fedhealth.registry import Bundle
    from fedhealth.runtime.events import Watch
    from fedhealth.runtime.federation import Federation
    from fedhealth.runtime.flower.participants import Patience
    from fedhealth.study import Study

ComparedOption = Annotated[
    Path, typer.Option(help="Folder of the served model, to compare with; an mlp goes there too.")
]
HostOption = Annotated[
    str, typer.Option(help="Address to listen on; any but this machine's own needs: fedhealth server init.")
]
ModelOption = Annotated[Model, typer.Option(help="What to train.")]
MinNodesOption = Annotated[
    int | None,
    typer.Option(min=1, help="Fewest nodes that go on; default: all of fewer than five, else more than two thirds."),
]
DeadlineOption = Annotated[float, typer.Option(min=1, help="Seconds that a node may take for one answer.")]
MetricsOption = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Show figures for Prometheus on this port of 127.0.0.1.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of every node's split and of the training.")]


def server(
    study: options.SharedStudy = DEFAULT_STUDY,
    outcome: options.Outcome = None,
    model: ModelOption = Model.additive,
    seed: SeedOption = 0,
    port: options.Port = options.PORT,
    runs: options.Records = Path("runs"),
    models: ComparedOption = Path("models"),
    wait: options.Wait = 600.0,
    strategy: options.Strategy = None,
    aggregation: options.Aggregation = None,
    norm_bound: options.NormBound = None,
    epsilon: options.Epsilon = None,
    delta: options.Delta = 1e-5,
    resume: options.Resume = False,
    min_nodes: MinNodesOption = None,
    deadline: DeadlineOption = 600.0,
    metrics_port: MetricsOption = None,
    host: HostOption = LOOPBACK,
    folder: options.ServerFolder = options.SERVER_FOLDER,
) -> None:
    """Wait for the study's nodes, train over them, print every round and the results, and write the run.

    A node that is lost is waited for as long as --wait says; a run that ends early goes on with --resume.
    """
    from fedhealth.cli.errors import plain_errors, polite_end
    from fedhealth.cli.progress import show_results
    from fedhealth.study import load_study

    chosen = choose_strategy(model, strategy, aggregation, norm_bound)
    budget = choose_budget(epsilon, delta)
    training = Training(model, seed, chosen, False, budget, runs, models, resume)
    with polite_end(), plain_errors():
        loaded = load_study(study, outcome)
        names = ", ".join(node.name for node in loaded.nodes)
        typer.echo(f"Server on {host}:{port}, waiting for {names}; start each: python fl/client_node1.py, ...")
        place = (host, port, folder)
        bundle, report, written = _train_as_server(loaded, training, place, wait, deadline, min_nodes, metrics_port)
        show_results(report)
        typer.echo(f"{f'Bundle {bundle.version}' if bundle else 'The network'} and report.json written to {written}")


def train_with_flower(
    study: str, data: Path, outcome: str | None, training: Training, port: int = options.PORT
) -> "tuple[Bundle | None, dict[str, Any], Path]":
    """Train over Flower with every node of the study as a process of its own; give bundle, report and folder.

    Raises:
        FlowerError, StudyError, DataError, JournalError: with a message for the user.
    """
    from fedhealth.study import load_study

    loaded = load_study(study, outcome)
    for node in loaded.nodes:
        check_data(loaded, node.name, data)
    words = ["--data", str(data), "--study", study, "--port", str(port), "--runs", str(training.runs)]
    words += ["--auto-approve", *(["--outcome", outcome] if outcome else [])]
    children = [_start_node(node.name, words) for node in loaded.nodes]
    try:
        return _train_as_server(loaded, training, (LOOPBACK, port, None), 120.0)
    except BaseException:
        for child in children:
            child.terminate()
        raise
    finally:
        for child in children:
            _end(child)


def _train_as_server(
    study: "Study",
    training: Training,
    place: tuple[str, int, Path | None],
    wait: float,
    deadline: float = 600.0,
    min_nodes: int | None = None,
    metrics_port: int | None = None,
) -> "tuple[Bundle | None, dict[str, Any], Path]":
    from fedhealth.cli.progress import say_who, training_progress
    from fedhealth.runtime.flower.participants import Patience

    finished: list[tuple[Bundle | None, dict[str, Any], Path]] = []
    watching: list[Watch] = [say_who]
    if metrics_port:
        from fedhealth.runtime.metrics import Figures

        watching.append(Figures(metrics_port))
    with recorded(study, training, "flower", watching) as recording:

        def train(nodes: "Federation") -> None:
            with training_progress(study) as progress:
                finished.append(train_and_write(study, nodes, training, progress, recording))

        patience, run = Patience(wait, deadline, min_nodes), recording.journal.run
        with_nodes(study, training.seed, train, place, patience, recording.watch, run)
    return finished[0]


def with_nodes(
    study: "Study",
    seed: int,
    act: "Callable[[Federation], None]",
    place: tuple[str, int, Path | None],
    patience: "Patience",
    watch: "Watch",
    run: str,
) -> None:
    """Wait at ``place`` (address, port, folder of the server's keys) for the study's nodes, and ``act`` with them.

    ``seed`` is that of the nodes' splits; ``run`` names to them what they are asked for.

    Raises:
        FlowerError: with a message for the user.
    """
    from fedhealth.runtime.flower.environment import private_environment

    with private_environment() as home:
        quiet()
        from fedhealth.runtime.flower.opening import opened
        from fedhealth.runtime.flower.processes import run_server_app
        from fedhealth.runtime.flower.server import server_app

        with opened(*place, Path(home), typer.echo) as here:
            run_server_app(server_app(study, seed, act, patience, watch, run, here.check), here.link)


def check_data(study: "Study", node: str, data: Path) -> None:
    """Raise StudyError where the study has no such node, and DataError where its table is not in ``data``."""
    from fedhealth.data.tables import DataError

    holder = study.node(node)
    path = data / holder.file
    if holder.file and not path.is_file():
        how = f"; to get it: {study.source.hint}" if study.source.hint else ""
        raise DataError(f"{path}: no such file{how}")


def _start_node(node: str, options: list[str]) -> "subprocess.Popen[bytes]":
    code = f"import typer; from fedhealth.cli.client import client; typer.run(client({node!r}, at_home=True))"
    return subprocess.Popen([sys.executable, "-c", code, *options], start_new_session=True)


def _end(child: "subprocess.Popen[bytes]") -> None:
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.terminate()
        child.wait()


def quiet() -> None:
    """Only warnings of Flower's own log reach the terminal."""
    for name in ("flwr", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
