"""``fedhealth train``: a federated training run in this process."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fedhealth.registry import Bundle


class Model(StrEnum):
    """Models that can be trained."""

    additive = "additive"
    logistic = "logistic"


def train(
    study: Annotated[
        str, typer.Option(help="A built-in study (see: fedhealth study list) or a TOML file.")
    ] = "health-risk",
    data: Annotated[Path, typer.Option(help="Folder with the nodes' tables.")] = Path("data"),
    outcome: Annotated[str | None, typer.Option(help="Outcome to predict; default: the study's first.")] = None,
    model: Annotated[
        Model, typer.Option(help="additive: a curve per feature; logistic: straight lines.")
    ] = Model.additive,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split into training and held-out rows.")] = 0,
    report: Annotated[Path | None, typer.Option(help="Also write the report as JSON to this file.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder that keeps each run's bundle and report.")] = Path("runs"),
) -> None:
    """Train one model over all nodes of a study, beside each node's local baseline, and write a bundle.

    Nodes run in this process, each behind its own door; only sums leave them.
    """
    from fedhealth.cli.errors import plain_errors
    from fedhealth.cli.progress import show_results

    with plain_errors():
        bundle, written, folder = run_training(study, data, outcome, model, seed, runs)
        if report:
            report.parent.mkdir(parents=True, exist_ok=True)
            report.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    show_results(written)
    typer.echo(f"Bundle {bundle.version} and report.json written to {folder}")


def run_training(
    study: str, data: Path, outcome: str | None, model: Model, seed: int, runs: Path
) -> "tuple[Bundle, dict[str, Any], Path]":
    """Train, and write bundle and report to a folder of ``runs``; give back both and the folder.

    Raises:
        StudyError, DataError, PolicyRefusal: with a message for the user.
    """
    from fedhealth.cli.progress import training_progress
    from fedhealth.cli.runs import write_run
    from fedhealth.data.dataset import load_dataset
    from fedhealth.runtime.experiment import run_experiment
    from fedhealth.runtime.local import exchange_in_process
    from fedhealth.study import load_study

    loaded = load_study(study, outcome)
    dataset = load_dataset(loaded, data, seed)
    with training_progress(loaded, dataset) as progress:
        exchange = exchange_in_process(loaded, dataset.shards, runs / "audit")
        run = run_experiment(
            loaded, exchange, dataset, model.value, seed, dataset.synthetic, progress.round, progress.stage
        )
    return write_run(loaded, run, runs)
