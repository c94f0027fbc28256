"""``fedhealth monitor nodes``: is the served model still as good at each node as it was at training?"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedhealth.cli import options
from fedhealth.cli.monitor import ALARM, budget_of, checked
from fedhealth.cli.progress import count, figure

if TYPE_CHECKING:
    from fedhealth.federation import Contribution
    from fedhealth.monitoring.nodes import NodeLook
    from fedhealth.registry import Bundle
    from fedhealth.runtime.federation import Federation


def nodes(
    models: options.Models = Path("models"),
    data: options.Data = Path("data"),
    runs: Annotated[Path, typer.Option(help="Folder that keeps the nodes' audit logs.", file_okay=False)] = Path(
        "runs"
    ),
    host: Annotated[
        str | None,
        typer.Option(help="Instead of reading --data, listen here for nodes that come over the network, as to train."),
    ] = None,
    port: options.Port = options.PORT,
    folder: options.ServerFolder = options.SERVER_FOLDER,
    wait: options.Wait = 600.0,
) -> None:
    """Ask each node through its door how the served model does on its rows of now; compare with what training found.

    Nodes answer with the sums that training evaluates by. Where the model has a privacy budget they answer with noise,
    which costs what it cost then, at most once a month. Exit code 0: all as it was. 2: a node is served worse. 1: no
    node answered.
    """
    from fedhealth.cli.errors import plain_errors
    from fedhealth.monitoring.nodes import ASKING, keep_looks
    from fedhealth.monitoring.store import Store
    from fedhealth.registry import load_signed
    from fedhealth.runtime.checkup import NoAnswer, question_name

    with plain_errors():
        store, now = Store(), datetime.now(UTC)
        with checked(store, ASKING):
            bundle = load_signed(models)
            run = question_name(bundle.version, now)
            if host is None:
                answers = _ask_here(bundle, data, runs / "audit", run)
            else:
                answers = _ask_over_network(bundle, (host, port, folder), wait, run)
            if not answers:
                raise NoAnswer("no node answered")
            looks = _compared(bundle, answers)
            with store.session() as session:
                keep_looks(session, looks, bundle.version, now)
    _show(bundle, looks)
    if any(look.status == "worse" for look in looks):
        raise typer.Exit(ALARM)


def _ask_here(bundle: "Bundle", data: Path, audit_folder: Path, run: str) -> "Mapping[str, Contribution]":
    from fedhealth.runtime.checkup import ask_here

    seed = bundle.facts["seed"]
    found, refused = ask_here(bundle.study, bundle.model, budget_of(bundle), seed, data, audit_folder, run)
    for node, why in refused.items():
        typer.secho(f"{node} gave no answer: {why}", fg="yellow")
    return found


def _ask_over_network(
    bundle: "Bundle", place: tuple[str, int, Path], wait: float, run: str
) -> "Mapping[str, Contribution]":
    from fedhealth.cli.errors import polite_end
    from fedhealth.cli.flower import with_nodes
    from fedhealth.cli.progress import say_who
    from fedhealth.runtime.checkup import ask_again
    from fedhealth.runtime.flower.participants import Patience

    found: dict[str, Contribution] = {}

    def ask(federation: "Federation") -> None:
        found.update(ask_again(bundle.study, federation.exchange, bundle.model, budget_of(bundle)))

    with polite_end():
        with_nodes(bundle.study, bundle.facts["seed"], ask, place, Patience(wait, fewest=1), say_who, run)
    return found


def _compared(bundle: "Bundle", answers: "Mapping[str, Contribution]") -> "list[NodeLook]":
    from fedhealth.data.shard import generator
    from fedhealth.monitoring.nodes import NodeLook, look_at_node

    trained = {node["name"]: node["global"] for node in bundle.facts.get("nodes") or []}
    threshold, rng = bundle.study.outcome.threshold, generator(bundle.facts["seed"], "monitor")
    return [
        look_at_node(node.name, trained.get(node.name), answers[node.name], threshold, rng)
        if node.name in answers
        else NodeLook(node.name)
        for node in bundle.study.nodes
    ]


def _show(bundle: "Bundle", looks: "list[NodeLook]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("node", "rows", "AUROC", "lower by", "expected", "slope", "ECE", "", box=None)
    for look in looks:
        table.add_row(look.node, *_figures(look), look.status)
    typer.echo(f"Model {bundle.version} at training → on the held-out rows of now; 95 % intervals in brackets")
    Console().print(table)
    if any(look.noisy for look in looks):
        typer.echo("Answers came with noise, which the intervals allow for")
    for look in looks:
        if look.status == "worse":
            typer.secho(f"Alarm: {look.reason}", fg="red")


def _figures(look: "NodeLook") -> list[str]:
    rows: Any = (look.now or {}).get("n")
    change = (look.changes or {}).get("auroc")
    lower = f"{figure(change.worse, 3)} ({figure(change.low, 3)} to {figure(change.high, 3)})" if change else "–"
    expected = figure(look.expected.auroc if look.expected else None, 3)
    told = [count(rows), _then_and_now(look, "auroc"), lower, expected]
    return told + [_then_and_now(look, name) for name in ("calibration_slope", "ece")]


def _then_and_now(look: "NodeLook", name: str) -> str:
    return " → ".join(figure((figures or {}).get(name), 3) for figures in (look.trained, look.now))
