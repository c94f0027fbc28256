"""A training run of the neural network: averaging, evaluation, baselines, report, and the file it leaves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fedhealth.data.dataset import Dataset
from fedhealth.data.shard import stack
from fedhealth.federation import (
    Exchange,
    Metrics,
    NetworkFit,
    Round,
    exchange_within,
    fit_network,
    metrics,
    total,
)
from fedhealth.federation.aggregation import AGGREGATIONS
from fedhealth.federation.averaging import torch_module
from fedhealth.federation.strategies import FEDAVG, Strategy
from fedhealth.model import NetworkModel
from fedhealth.runtime.experiment import RoundReport, Run, describe_model, describe_run, evaluate, look_at
from fedhealth.study import Study

FILE = "global_model.pth"


def run_network(
    study: Study,
    exchange: Exchange,
    dataset: Dataset | None = None,
    seed: int = 0,
    synthetic: bool = False,
    on_round: Callable[[RoundReport], None] = lambda _: None,
    on_stage: Callable[[str], None] = lambda _: None,
    strategy: Strategy = FEDAVG,
) -> Run[NetworkFit]:
    """Train the network over ``exchange``, evaluate, and compare with the same network on each node alone.

    With ``dataset`` (all rows in one place) also with the same network on pooled rows. Both comparisons train by
    FedAvg, which with one holder is plain training.
    """
    rounds: list[RoundReport] = []

    def note(finished: Round) -> None:
        rounds.append(look_at(study, exchange, finished))
        on_round(rounds[-1])

    fitted = fit_network(study, exchange, seed, on_round=note, strategy=strategy)
    on_stage("evaluating at every node, beside its local baseline")
    alone = exchange("local_network", {**fitted.model.arrays(), "seed": np.array(float(seed))})
    report = {
        **describe_run(study, "mlp", seed, synthetic),
        "strategy": _describe(strategy),
        "kept_round": fitted.rounds,
        **describe_model(study, exchange, fitted.model, rounds, alone),
        "pooled_rows": _pooled(study, dataset, seed, on_stage).as_dict() if dataset else None,
        "fully_observed": None,
        "full_rows": None,
        "best": dataset.best if dataset else None,
    }
    return Run(fitted, report)


def _describe(strategy: Strategy) -> dict[str, Any]:
    """The settings of federated averaging, for the report; no bound is None."""
    aggregation = next(name for name, function in AGGREGATIONS.items() if function is strategy.aggregate)
    bound = strategy.norm_bound if np.isfinite(strategy.norm_bound) else None
    return {"name": strategy.name, "aggregation": aggregation, "norm_bound": bound}


def _pooled(study: Study, dataset: Dataset, seed: int, on_stage: Callable[[str], None]) -> Metrics:
    on_stage("comparing with pooled rows")
    pooled = fit_network(study, exchange_within([stack(dataset.shards)], study), seed)
    return metrics(total(evaluate(study, exchange_within(dataset.shards, study), pooled.model).values()))


def write_global_model(study: Study, exchange: Exchange, models: Path, seed: int) -> Path:
    """Train the network over ``exchange`` and write it to ``models``; give the file.

    Raises:
        ImportError: PyTorch is not installed.
    """
    return save_network(fit_network(study, exchange, seed).model, models)


def save_network(model: NetworkModel, models: Path) -> Path:
    """Write the state dict of :class:`fedhealth.model.mlp.HealthRiskNet`, in one step, to ``global_model.pth``."""
    models.mkdir(parents=True, exist_ok=True)
    return Path(torch_module().save(model, models / FILE))
