"""A whole training run: fit, evaluation, baselines, report. The same over any exchange."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from fedhealth.data.dataset import Dataset
from fedhealth.data.shard import Shard, stack
from fedhealth.federation import (
    SEGMENTS,
    Contribution,
    Exchange,
    Fit,
    Metrics,
    NetworkFit,
    Round,
    curves,
    exchange_within,
    fit,
    mean_loss,
    metrics,
    total,
)
from fedhealth.model import NetworkModel, RiskModel
from fedhealth.runtime.report import node_reports, subgroup_reports
from fedhealth.study import Study

F = TypeVar("F", bound=Fit | NetworkFit)


@dataclass(frozen=True)
class RoundReport:
    """One round as people see it: number, training loss of all and of each node, and all metrics on held-out rows."""

    number: int
    train_loss: float
    node_loss: Mapping[str, float]
    held_out: Metrics


@dataclass(frozen=True)
class Run(Generic[F]):
    """What a run produced: the fit and the report (JSON-ready)."""

    fit: F
    report: dict[str, Any]


def run_experiment(
    study: Study,
    exchange: Exchange,
    dataset: Dataset | None = None,
    model: str = "additive",
    seed: int = 0,
    synthetic: bool = False,
    on_round: Callable[[RoundReport], None] = lambda _: None,
    on_stage: Callable[[str], None] = lambda _: None,
    interactions: bool = False,
) -> Run[Fit]:
    """Train over ``exchange``, evaluate, and compare with every baseline that can be had.

    With ``interactions`` products of pairs of features may join the additive model.

    ``dataset`` (all nodes' rows in one place) serves only the baselines that no federation could compute: pooled rows
    and full rows. What the model learns, and its own metrics, come through ``exchange``.
    """
    rounds: list[RoundReport] = []

    def note(finished: Round) -> None:
        rounds.append(look_at(study, exchange, finished))
        on_round(rounds[-1])

    fitted = fit(study, exchange, SEGMENTS[model], interactions=interactions, on_round=note)
    on_stage("evaluating at every node, beside its local baseline")
    alone = exchange("local_baseline", {**fitted.model.arrays(), "segments": np.array(float(SEGMENTS[model]))})
    report = {
        **describe_run(study, model, seed, synthetic),
        "penalty": {"roughness": fitted.penalty[0], "size": fitted.penalty[1]},
        "interactions": [[study.names[int(i)] for i in pair] for pair in fitted.model.design.pairs],
        **describe_model(study, exchange, fitted.model, rounds, alone),
        **_central_baselines(study, dataset, fitted, SEGMENTS[model], on_stage),
        "best": dataset.best if dataset else None,
    }
    return Run(fitted, report)


def look_at(study: Study, exchange: Exchange, finished: Round) -> RoundReport:
    """How a round's model does at every node."""
    replies = evaluate(study, exchange, finished.model)
    losses = {
        name: mean_loss(float(reply["training_loss"]), float(reply["training_rows"])) for name, reply in replies.items()
    }
    return RoundReport(finished.number, finished.train_loss, losses, metrics(total(replies.values())))


def describe_run(study: Study, model: str, seed: int, synthetic: bool) -> dict[str, Any]:
    """The settings of a run, for its report."""
    return {
        "study": study.name,
        "outcome": study.outcome.name,
        "seed": seed,
        "model": model,
        "policy": study.policy,
        "synthetic": synthetic,
    }


def describe_model(
    study: Study,
    exchange: Exchange,
    model: RiskModel | NetworkModel,
    rounds: Sequence[RoundReport],
    alone: Mapping[str, Contribution],
) -> dict[str, Any]:
    """The course of the training and how the model does everywhere, beside each node ``alone``, for the report.

    A node that was lost on the way to its end is not in it.
    """
    inventory, evaluated = exchange("inventory", {}), evaluate(study, exchange, model)
    replies = {name: reply for name, reply in evaluated.items() if name in inventory and name in alone}
    return {
        "rounds": [_round(r) for r in rounds],
        "nodes": node_reports(study, inventory, replies, alone),
        "subgroups": subgroup_reports(study, replies, alone),
        "global": metrics(total(replies.values())).as_dict(),
        "curves": curves(total(replies.values())),
        "site_average": _site_average(replies),
        "missing": {
            m: metrics(total(evaluate(study, exchange, model, m).values())).as_dict() for m in study.modalities
        },
        "took_part": list(replies),
    }


def evaluate(
    study: Study, exchange: Exchange, model: RiskModel | NetworkModel, withhold: str | None = None
) -> Mapping[str, Contribution]:
    """Each node's score histogram on its held-out rows; with the features of one modality hidden if asked."""
    hidden = np.array([float(f.modality == withhold) for f in study.features])
    return exchange("evaluate", {**model.arrays(), "withhold": hidden})


def _round(finished: RoundReport) -> dict[str, Any]:
    held_out = finished.held_out.as_dict()
    losses = {name: None if np.isnan(loss) else loss for name, loss in finished.node_loss.items()}
    return {
        "round": finished.number,
        "train_loss": finished.train_loss,
        "global": {"loss": held_out["log_loss"], "accuracy": held_out["accuracy"], "auroc": held_out["auroc"]},
        "nodes": [{"name": name, "loss": loss} for name, loss in losses.items()],
    }


def _site_average(replies: Mapping[str, Contribution]) -> dict[str, float | None]:
    """Unweighted means over the nodes, as benchmarks over hospitals report them; undefined ones left out."""
    each = [metrics(reply) for reply in replies.values()]
    known = {name: [v for m in each if not np.isnan(v := getattr(m, name))] for name in ("accuracy", "auroc")}
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}


def _central_baselines(
    study: Study, dataset: Dataset | None, fitted: Fit, segments: int, on_stage: Callable[[str], None]
) -> dict[str, Any]:
    """What needs all rows in one place; all None without ``dataset``.

    ``pooled_rows``: trained on the same rows, stacked. ``fully_observed``: trained on all features of all people.
    ``full_rows``: the global model and each node's local one, on held-out people of whom everything is known.
    """
    if dataset is None:
        return {"pooled_rows": None, "fully_observed": None, "full_rows": None}
    on_stage("comparing with pooled rows")
    pooled = _alone(study, [stack(dataset.shards)], segments, fitted.penalty, len(fitted.model.design.pairs) > 0)
    on_pooled_rows = _metrics_on(study, pooled, dataset.shards)
    difference = np.abs(pooled.coefficients - fitted.model.coefficients).max()
    found: dict[str, Any] = {
        "pooled_rows": {**on_pooled_rows.as_dict(), "largest_coefficient_difference": float(difference)},
        "fully_observed": None,
        "full_rows": None,
    }
    if dataset.full:
        on_stage("comparing with full observation")
        everything = _alone(study, [stack(dataset.full)], segments, fitted.penalty)
        found["fully_observed"] = _metrics_on(study, everything, dataset.full).as_dict()
        alone = {s.node: _alone(study, [s], segments) for s in dataset.shards}
        found["full_rows"] = {
            "global": _metrics_on(study, fitted.model, dataset.full).as_dict(),
            "nodes": {name: _metrics_on(study, local, dataset.full).as_dict() for name, local in alone.items()},
        }
    return found


def _alone(
    study: Study,
    shards: Sequence[Shard],
    segments: int,
    penalty: tuple[float, float] | None = None,
    interactions: bool = False,
) -> RiskModel:
    return fit(study, exchange_within(shards, study), segments, penalty, interactions).model


def _metrics_on(study: Study, model: RiskModel, shards: Sequence[Shard]) -> Metrics:
    return metrics(total(evaluate(study, exchange_within(shards, study), model).values()))
