"""``fedhealth train``: a federated training run in this process."""

import json
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fedhealth.cli.progress import TrainingProgress
    from fedhealth.data.dataset import Dataset
    from fedhealth.federation import Exchange
    from fedhealth.federation.strategies import Strategy
    from fedhealth.privacy import Budget
    from fedhealth.registry import Bundle
    from fedhealth.study import Study


class Model(StrEnum):
    """Models that can be trained."""

    additive = "additive"
    logistic = "logistic"
    mlp = "mlp"


StrategyName = StrEnum("StrategyName", ["fedavg", "fedprox", "scaffold", "fedadam", "fedyogi", "fedadagrad"])
AggregationName = StrEnum("AggregationName", {"mean": "mean", "median": "median", "trimmed_mean": "trimmed-mean"})

StrategyOption = Annotated[
    StrategyName | None, typer.Option(help="How nodes and server train the mlp together; default: fedavg.")
]
AggregationOption = Annotated[
    AggregationName | None,
    typer.Option(help="How the nodes' moves of the mlp become one; median and trimmed-mean bear a faulty node."),
]
NormBoundOption = Annotated[
    float | None, typer.Option(min=0.0, help="Longest move of the mlp's weights by one node in a round.")
]


EpsilonOption = Annotated[
    float | None,
    typer.Option(help="Train under differential privacy: what the run may tell of one row, e.g. 1. Default: no noise."),
]
DeltaOption = Annotated[float, typer.Option(help="Chance that epsilon may fail; below one over the number of people.")]


def train(
    study: Annotated[
        str, typer.Option(help="A built-in study (see: fedhealth study list) or a TOML file.")
    ] = "health-risk",
    data: Annotated[Path, typer.Option(help="Folder with the nodes' tables.")] = Path("data"),
    outcome: Annotated[str | None, typer.Option(help="Outcome to predict; default: the study's first.")] = None,
    model: Annotated[
        Model, typer.Option(help="additive: a curve per feature; logistic: straight lines; mlp: a neural network.")
    ] = Model.additive,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split into training and held-out rows.")] = 0,
    report: Annotated[
        Path | None, typer.Option(help="Also write the report as JSON to this file.", dir_okay=False)
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder that keeps each run's bundle and report.", file_okay=False)] = Path(
        "runs"
    ),
    models: Annotated[
        Path, typer.Option(help="Folder of the served model, for comparison; an mlp's global_model.pth goes there.")
    ] = Path("models"),
    interactions: Annotated[
        bool, typer.Option("--interactions", help="Let products of two features join (additive and logistic).")
    ] = False,
    strategy: StrategyOption = None,
    aggregation: AggregationOption = None,
    norm_bound: NormBoundOption = None,
    epsilon: EpsilonOption = None,
    delta: DeltaOption = 1e-5,
) -> None:
    """Train one model over all nodes of a study, beside each node's local baseline, and write a bundle.

    Nodes run in this process, each behind its own door; only sums leave them.
    """
    from fedhealth.cli.errors import plain_errors
    from fedhealth.cli.progress import show_results

    chosen = choose_strategy(model, strategy, aggregation, norm_bound)
    if interactions and model is Model.mlp:
        typer.secho("Error: --interactions needs --model additive or logistic; got --model mlp", fg="red", err=True)
        raise typer.Exit(1)
    budget = choose_budget(model, epsilon, delta, interactions)
    with plain_errors():
        bundle, written, folder = run_training(
            study, data, outcome, model, seed, runs, models, chosen, interactions, budget
        )
        if report:
            report.parent.mkdir(parents=True, exist_ok=True)
            report.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    show_results(written)
    typer.echo(f"{f'Bundle {bundle.version}' if bundle else 'The network'} and report.json written to {folder}")


def choose_strategy(
    model: Model, strategy: StrategyName | None, aggregation: AggregationName | None, norm_bound: float | None
) -> "Strategy | None":
    """The strategy that was asked for, None for the default; with a model that is not averaged, an error and exit."""
    options = {"--strategy": strategy, "--aggregation": aggregation, "--norm-bound": norm_bound}
    given = [name for name, value in options.items() if value is not None]
    if not given:
        return None
    if model is not Model.mlp:
        typer.secho(f"Error: {', '.join(given)} needs --model mlp; got --model {model}", fg="red", err=True)
        raise typer.Exit(1)
    from fedhealth.federation.aggregation import AGGREGATIONS
    from fedhealth.federation.strategies import STRATEGIES

    chosen = STRATEGIES[strategy or "fedavg"]
    bound = chosen.norm_bound if norm_bound is None else norm_bound
    return replace(chosen, aggregate=AGGREGATIONS[aggregation or "mean"], norm_bound=bound)


def choose_budget(model: Model, epsilon: float | None, delta: float, interactions: bool = False) -> "Budget | None":
    """The privacy budget that was asked for, None without; what cannot be had with it ends in an error and exit."""
    if epsilon is None:
        return None
    from fedhealth.privacy import Budget

    wrong = ""
    if interactions:
        wrong = "--epsilon goes without --interactions, whose choice would cost noise; got both"
    elif not (epsilon > 0 and 0 < delta < 1):
        wrong = f"expected --epsilon above 0 and --delta between 0 and 1; got {epsilon:g} and {delta:g}"
    if wrong:
        typer.secho(f"Error: {wrong}", fg="red", err=True)
        raise typer.Exit(1)
    return Budget(epsilon, delta)


def run_training(
    study: str,
    data: Path,
    outcome: str | None,
    model: Model,
    seed: int,
    runs: Path,
    models: Path = Path("models"),
    strategy: "Strategy | None" = None,
    interactions: bool = False,
    budget: "Budget | None" = None,
) -> "tuple[Bundle | None, dict[str, Any], Path]":
    """Train with every node in this process; give bundle (None for a network), report and the folder of the run.

    Raises:
        StudyError, DataError, PolicyRefusal: with a message for the user.
    """
    from fedhealth.cli.progress import training_progress
    from fedhealth.data.dataset import load_dataset
    from fedhealth.privacy import policy_of
    from fedhealth.runtime.local import exchange_in_process
    from fedhealth.study import load_study

    loaded = load_study(study, outcome)
    dataset = load_dataset(loaded, data, seed)
    exchange = exchange_in_process(loaded, dataset.shards, runs / "audit", data)
    policies = {node.name: policy_of(loaded, node.name, data).hash for node in loaded.nodes}
    with training_progress(loaded, dataset) as progress:
        settings = (model, seed, dataset.synthetic, progress, runs, models, strategy, interactions, budget)
        return train_and_write(loaded, exchange, dataset, *settings, policies=policies)


def train_and_write(
    study: "Study",
    exchange: "Exchange",
    dataset: "Dataset | None",
    model: Model,
    seed: int,
    synthetic: tuple[str, ...],
    progress: "TrainingProgress",
    runs: Path,
    models: Path,
    strategy: "Strategy | None" = None,
    interactions: bool = False,
    budget: "Budget | None" = None,
    policies: Mapping[str, str] = {},
) -> "tuple[Bundle | None, dict[str, Any], Path]":
    """Train over ``exchange`` and write what the run leaves.

    ``models`` receives a network's global_model.pth; the champion there is evaluated on the same rows. ``policies`` are
    the hashes of the nodes' policies, by name.
    """
    from fedhealth.cli.runs import write_network_run, write_run
    from fedhealth.federation.strategies import FEDAVG
    from fedhealth.registry import champion
    from fedhealth.runtime.champion import beside_champion
    from fedhealth.runtime.experiment import run_experiment
    from fedhealth.runtime.network import run_network

    told = (progress.round, progress.stage)
    where = {"runtime": "in-process" if dataset else "flower", "synthetic_nodes": list(synthetic)}
    if budget:
        from fedhealth.federation import NetworkFit
        from fedhealth.runtime.experiment import Run
        from fedhealth.runtime.network import NetworkRun
        from fedhealth.runtime.private import run_private

        private = run_private(study, exchange, budget, model.value, seed, bool(synthetic), progress.stage)
        private.report.update(where)
        if isinstance(private.fit, NetworkFit):
            require_torch()
            return None, *write_network_run(study, NetworkRun(private.fit, private.report), runs, models)
        return write_run(study, Run(private.fit, private.report), runs, policies)
    if model is Model.mlp:
        require_torch()
        network = run_network(study, exchange, dataset, seed, bool(synthetic), *told, strategy=strategy or FEDAVG)
        network.report.update(where)
        return None, *write_network_run(study, network, runs, models)
    run = run_experiment(study, exchange, dataset, model.value, seed, bool(synthetic), *told, interactions=interactions)
    run.report.update(where)
    served = champion(models)
    if served and served.study.hash == study.hash:
        progress.stage(f"comparing with the served model {served.version} on the same held-out rows")
        beside = beside_champion(study, exchange, run.fit.model, served.model)
        run.report["champion"] = {"version": served.version, "hash": served.hash, **beside}
    return write_run(study, run, runs, policies)


def require_torch() -> None:
    """Leave with a plain error where PyTorch is not installed."""
    if find_spec("torch") is None:
        typer.secho("Error: the mlp needs PyTorch; install it: pip install 'fedhealth[train]'", fg="red", err=True)
        raise typer.Exit(1)
