"""A training run as commands ask for it: what to train, written down as it goes, over whichever exchange."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fedhealth.cli.errors import refuse

if TYPE_CHECKING:
    from fedhealth.cli.progress import TrainingProgress
    from fedhealth.federation.strategies import Strategy
    from fedhealth.privacy import Budget
    from fedhealth.registry import Bundle
    from fedhealth.runtime.events import Log, Watch
    from fedhealth.runtime.experiment import RoundReport
    from fedhealth.runtime.federation import Federation
    from fedhealth.runtime.journal import Journal
    from fedhealth.study import Study


class Model(StrEnum):
    """Models that can be trained."""

    additive = "additive"
    logistic = "logistic"
    mlp = "mlp"


@dataclass(frozen=True)
class Training:
    """What is trained, and where it is written.

    Attributes:
        model: the kind of model.
        seed: of every node's split, and of a network's training.
        strategy: of a network; None for plain averaging.
        interactions: whether products of two features may join.
        budget: of differential privacy; None for none.
        runs: folder that keeps runs.
        models: folder of the served model; a network's ``global_model.pth`` goes there.
        resume: go on with the unfinished run of the same settings.
    """

    model: Model = Model.additive
    seed: int = 0
    strategy: "Strategy | None" = None
    interactions: bool = False
    budget: "Budget | None" = None
    runs: Path = Path("runs")
    models: Path = Path("models")
    resume: bool = False

    def settings(self, study: "Study", runtime: str) -> dict[str, Any]:
        """What must be the same for a run to be resumed (JSON-ready)."""
        from fedhealth.federation.aggregation import AGGREGATIONS

        strategy = self.strategy
        aggregate = next((n for n, f in AGGREGATIONS.items() if strategy and f is strategy.aggregate), None)
        return {
            "version": version("fedhealth"),
            "study": study.name,
            "hash": study.hash,
            "outcome": study.outcome.name,
            "runtime": runtime,
            "model": self.model.value,
            "seed": self.seed,
            "strategy": strategy and [strategy.name, aggregate, str(strategy.norm_bound)],
            "interactions": self.interactions,
            "privacy": self.budget and [self.budget.epsilon, self.budget.delta],
        }


@dataclass(frozen=True)
class Recording:
    """Where a run is written down while it goes on, and who is told of what happens."""

    journal: "Journal"
    log: "Log"
    watch: "Watch"


@contextmanager
def recorded(
    study: "Study", training: Training, runtime: str, others: Sequence["Watch"] = (), inputs: str = ""
) -> Iterator[Recording]:
    """A run's journal and log; how the run ends is the last line of its log. ``others`` are told of its events too.

    A run is resumed with the same ``inputs`` only: a hash of the tables, where they are all here.

    Raises:
        JournalError: there is no run to resume, or it is still going.
    """
    from fedhealth.runtime.events import LOG, Log, together
    from fedhealth.runtime.journal import Journal

    settings = {**training.settings(study, runtime), "inputs": inputs}
    journal = (Journal.resume if training.resume else Journal.begin)(training.runs, settings)
    log = Log(journal.folder / LOG, journal.run)
    log("resumed" if training.resume else "started", **settings)
    try:
        yield Recording(journal, log, together(log, *others))
        journal.finish()
    except BaseException as error:
        kind = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        log(kind, why=str(error) or type(error).__name__)
        typer.echo(f"Run {journal.run} is unfinished; the same command with --resume goes on with it", err=True)
        raise
    finally:
        journal.release()


def train_and_write(
    study: "Study", nodes: "Federation", training: Training, progress: "TrainingProgress", recording: Recording
) -> "tuple[Bundle | None, dict[str, Any], Path]":
    """Train over ``nodes`` and write what the run leaves: bundle (None for a network), report and folder.

    The champion in ``training.models`` is evaluated on the same rows.
    """
    nodes = replace(nodes, exchange=recording.journal.exchange(nodes.exchange))
    bundle, report, folder = _train(study, nodes, training, _Told(progress, recording.watch), recording.log)
    recording.log("finished", folder=str(folder), version=bundle and bundle.version, auroc=report["global"]["auroc"])
    return bundle, report, folder


def _train(
    study: "Study", nodes: "Federation", training: Training, progress: "TrainingProgress", log: "Log"
) -> "tuple[Bundle | None, dict[str, Any], Path]":
    from fedhealth.cli.run_folders import write_network_run, write_run
    from fedhealth.federation import NetworkFit
    from fedhealth.federation.strategies import FEDAVG
    from fedhealth.registry import champion
    from fedhealth.runtime.champion import beside_champion
    from fedhealth.runtime.events import node_facts, read_log
    from fedhealth.runtime.experiment import run_experiment
    from fedhealth.runtime.network import run_network
    from fedhealth.runtime.private import run_private

    told, kind, seed = (progress.round, progress.stage), training.model.value, training.seed
    exchange, dataset, generated = nodes.exchange, nodes.dataset, bool(nodes.synthetic)

    def where() -> dict[str, Any]:
        runtime = "in-process" if dataset else "flower"
        return {"runtime": runtime, "synthetic_nodes": list(nodes.synthetic), "network": node_facts(read_log(log.path))}

    if training.model is Model.mlp:
        require_torch()
    if training.budget:
        private = run_private(study, exchange, training.budget, kind, seed, generated, progress.stage)
        private.report.update(where())
        if isinstance(private.fit, NetworkFit):
            return None, *write_network_run(study, private.fit, private.report, training.runs, training.models)
        return write_run(study, private.fit, private.report, training.runs, nodes.policies)
    if training.model is Model.mlp:
        strategy = training.strategy or FEDAVG
        network = run_network(study, exchange, dataset, seed, generated, *told, strategy=strategy)
        network.report.update(where())
        return None, *write_network_run(study, network.fit, network.report, training.runs, training.models)
    served = champion(training.models)
    run = run_experiment(study, exchange, dataset, kind, seed, generated, *told, interactions=training.interactions)
    if served and served.study.hash == study.hash:
        progress.stage(f"comparing with the served model {served.version} on the same held-out rows")
        if beside := beside_champion(study, exchange, run.fit.model, served.model):
            run.report["champion"] = {"version": served.version, "hash": served.hash, **beside}
    run.report.update(where())
    return write_run(study, run.fit, run.report, training.runs, nodes.policies)


@dataclass(frozen=True)
class _Told:
    """Progress for people, and every round for whoever watches."""

    progress: "TrainingProgress"
    watch: "Watch"

    def round(self, finished: "RoundReport") -> None:
        self.progress.round(finished)
        auroc = finished.held_out.auroc
        facts = {"round": finished.number, "loss": round(finished.train_loss, 6)}
        self.watch("round", **facts, auroc=None if auroc != auroc else round(auroc, 4))

    def stage(self, name: str) -> None:
        self.progress.stage(name)


def require_torch() -> None:
    """Leave with a plain error where PyTorch is not installed."""
    if find_spec("torch") is None:
        refuse("the mlp needs PyTorch; install it: pip install 'fedhealth[train]'")
