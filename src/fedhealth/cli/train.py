"""``fedhealth train``: a federated training run, its nodes in this process or each in one of its own."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedhealth.cli import options
from fedhealth.cli.errors import plain_errors, refuse
from fedhealth.cli.training import Model, Training, recorded, train_and_write
from fedhealth.study import DEFAULT_STUDY

if TYPE_CHECKING:
    from fedhealth.federation.strategies import Strategy
    from fedhealth.privacy import Budget
    from fedhealth.registry import Bundle


def train(
    study: Annotated[
        str, typer.Option(help="A built-in study (see: fedhealth study list) or a TOML file.")
    ] = DEFAULT_STUDY,
    data: options.Data = Path("data"),
    outcome: options.Outcome = None,
    model: Annotated[
        Model, typer.Option(help="additive: a curve per feature; logistic: straight lines; mlp: a neural network.")
    ] = Model.additive,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split into training and held-out rows.")] = 0,
    report: options.Report = None,
    runs: options.Runs = Path("runs"),
    models: Annotated[
        Path, typer.Option(help="Folder of the served model, for comparison; an mlp's global_model.pth goes there.")
    ] = Path("models"),
    interactions: Annotated[
        bool, typer.Option("--interactions", help="Let products of two features join (additive and logistic).")
    ] = False,
    strategy: options.Strategy = None,
    aggregation: options.Aggregation = None,
    norm_bound: options.NormBound = None,
    epsilon: options.Epsilon = None,
    delta: options.Delta = 1e-5,
    resume: options.Resume = False,
    runtime: options.Runtime = options.RuntimeName.local,
    port: options.Port = options.PORT,
) -> None:
    """Train one model over all nodes of a study, beside each node's local baseline, and write a bundle.

    Nodes run on this machine, each behind its own door; only sums leave them.
    """
    from fedhealth.cli.progress import show_results

    chosen = choose_strategy(model, strategy, aggregation, norm_bound)
    if interactions and model is Model.mlp:
        refuse("--interactions needs --model additive or logistic; got --model mlp")
    budget = choose_budget(epsilon, delta, interactions)
    training = Training(model, seed, chosen, interactions, budget, runs, models, resume)
    with plain_errors():
        bundle, written, folder = run_training(study, data, outcome, training, runtime, port)
        if report:
            report.parent.mkdir(parents=True, exist_ok=True)
            report.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    show_results(written)
    typer.echo(f"{f'Bundle {bundle.version}' if bundle else 'The network'} and report.json written to {folder}")


def choose_strategy(
    model: Model,
    strategy: options.StrategyName | None,
    aggregation: options.AggregationName | None,
    norm_bound: float | None,
) -> "Strategy | None":
    """The strategy that was asked for, None for the default; with a model that is not averaged, an error and exit."""
    asked = {"--strategy": strategy, "--aggregation": aggregation, "--norm-bound": norm_bound}
    given = [name for name, value in asked.items() if value is not None]
    if not given:
        return None
    if model is not Model.mlp:
        refuse(f"{', '.join(given)} needs --model mlp; got --model {model}")
    from fedhealth.federation.aggregation import AGGREGATIONS
    from fedhealth.federation.strategies import STRATEGIES

    chosen = STRATEGIES[strategy or "fedavg"]
    bound = chosen.norm_bound if norm_bound is None else norm_bound
    return replace(chosen, aggregate=AGGREGATIONS[aggregation or "mean"], norm_bound=bound)


def choose_budget(epsilon: float | None, delta: float, interactions: bool = False) -> "Budget | None":
    """The privacy budget that was asked for, None without; what cannot be had with it ends in an error and exit."""
    if epsilon is None:
        return None
    from fedhealth.privacy import Budget

    if interactions:
        refuse("--epsilon goes without --interactions, whose choice would cost noise; got both")
    if not (epsilon > 0 and 0 < delta < 1):
        refuse(f"expected --epsilon above 0 and --delta between 0 and 1; got {epsilon:g} and {delta:g}")
    return Budget(epsilon, delta)


def run_training(
    study: str,
    data: Path,
    outcome: str | None,
    training: Training,
    runtime: options.RuntimeName = options.RuntimeName.local,
    port: int = options.PORT,
) -> "tuple[Bundle | None, dict[str, Any], Path]":
    """Train with every node on this machine; give bundle (None for a network), report and the folder of the run.

    Raises:
        StudyError, DataError, PolicyRefusal, JournalError, FlowerError: with a message for the user.
    """
    if runtime is options.RuntimeName.flower:
        from fedhealth.cli.flower import train_with_flower

        return train_with_flower(study, data, outcome, training, port)
    from fedhealth import __version__
    from fedhealth.cli.progress import training_progress
    from fedhealth.cli.run_folders import inputs_hash
    from fedhealth.data.dataset import load_dataset
    from fedhealth.privacy import policy_of
    from fedhealth.runtime.federation import Federation
    from fedhealth.runtime.local import exchange_in_process
    from fedhealth.study import load_study

    loaded = load_study(study, outcome)
    dataset = load_dataset(loaded, data, training.seed)
    policies = {node.name: policy_of(loaded, node.name, data).hash for node in loaded.nodes}
    inputs = inputs_hash(data, study, outcome, training.model.value, training.seed)
    recording_here = recorded(loaded, training, "in-process", inputs=inputs)
    with recording_here as recording, training_progress(loaded, dataset) as progress:
        run = recording.journal.run
        exchange = exchange_in_process(loaded, dataset.shards, training.runs / "audit", data, run)
        for node in loaded.nodes:
            recording.watch("joined", node=node.name, version=__version__)
        nodes = Federation(exchange, dataset.synthetic, policies, dataset)
        return train_and_write(loaded, nodes, training, progress, recording)
