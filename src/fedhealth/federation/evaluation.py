"""Federated evaluation: every metric from summed score histograms, so that no score and no row leaves a node."""

from dataclasses import asdict, dataclass

import numpy as np

from fedhealth.data.shard import Shard
from fedhealth.federation.contribution import Contribution, Floats, State, arrays
from fedhealth.model import model_from_arrays, sigmoid
from fedhealth.study import Study

EDGES = np.linspace(-9.0, 9.0, 361)  # on the logit: 0.05 wide, 0.012 of risk at the steepest
BINS = len(EDGES) + 1
ECE_GROUPS = 15


@dataclass(frozen=True)
class Metrics:
    """How well risks fit outcomes. ``auroc`` is exact to ``auroc_bound`` (pairs that share a bin count half).

    ``ece`` averages |mean risk - observed share| over groups of about equal size; ``calibration_slope`` and
    ``calibration_intercept`` are those of a logistic regression on the logit (1 and 0 are perfect); ``accuracy`` is
    at a risk of 0.5; ``sensitivity`` and ``specificity`` are at the study's threshold. NaN where undefined.
    """

    auroc: float
    auroc_bound: float
    auprc: float
    brier: float
    log_loss: float
    ece: float
    calibration_slope: float
    calibration_intercept: float
    accuracy: float
    sensitivity: float
    specificity: float
    n: int
    prevalence: float

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain numbers for JSON, None where a metric is undefined."""
        return {k: (None if isinstance(v, float) and np.isnan(v) else v) for k, v in asdict(self).items()}


def contribute(study: Study, state: State, shard: Shard) -> Contribution:
    """Score histograms of the model in ``state`` over this node's held-out rows.

    ``state['withhold']`` (shape ``(d,)``) marks features to hide; rows that observe none of them are then left out.
    """
    rows = shard.held_out
    hidden = state["withhold"].astype(bool)
    if hidden.any():
        rows = rows.rows(np.asarray(rows.observed[:, hidden].any(axis=1)))
    risk = model_from_arrays(study, state).risk(rows.x, rows.observed & ~hidden, rows.site)
    return score_histogram(risk, rows.y, study.outcome.threshold)


def score_histogram(risk: Floats, y: Floats, threshold: float) -> Contribution:
    """Sums that all metrics follow from: counts by label and score bin, and sums of losses over rows."""
    risk = np.clip(risk, 1e-9, 1 - 1e-9)
    place = np.searchsorted(EDGES, np.log(risk / (1 - risk)))
    high = risk >= threshold
    return Contribution(
        arrays(
            positives=np.bincount(place, weights=y, minlength=BINS),
            negatives=np.bincount(place, weights=1 - y, minlength=BINS),
            risks=np.bincount(place, weights=risk, minlength=BINS),
            squared_error=((risk - y) ** 2).sum(),
            log_loss=-(y * np.log(risk) + (1 - y) * np.log(1 - risk)).sum(),
            correct=((risk >= 0.5) == (y == 1)).sum(),
            true_positives=(high & (y == 1)).sum(),
            true_negatives=(~high & (y == 0)).sum(),
        ),
        len(y),
    )


def metrics(total: Contribution) -> Metrics:
    """All metrics of a summed score histogram."""
    positives, negatives = total["positives"], total["negatives"]
    n, positive, negative = total.rows, positives.sum(), negatives.sum()
    intercept, slope = _calibration_line(positives, negatives, total["risks"])
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.cumsum(negatives) - negatives
        tied = (positives * negatives).sum()
        recalled = np.cumsum(positives[::-1])
        precision = recalled / np.cumsum((positives + negatives)[::-1])
        return Metrics(
            auroc=float(((positives * below).sum() + tied / 2) / (positive * negative)),
            auroc_bound=float(tied / 2 / (positive * negative)),
            auprc=float(np.nansum(precision * positives[::-1]) / positive),
            brier=float(total["squared_error"] / n) if n else np.nan,
            log_loss=float(total["log_loss"] / n) if n else np.nan,
            ece=_ece(positives, negatives, total["risks"]),
            calibration_slope=slope,
            calibration_intercept=intercept,
            accuracy=float(total["correct"] / n) if n else np.nan,
            sensitivity=float(total["true_positives"] / positive),
            specificity=float(total["true_negatives"] / negative),
            n=n,
            prevalence=float(positive / n) if n else np.nan,
        )


def _ece(positives: Floats, negatives: Floats, risks: Floats) -> float:
    """Expected calibration error (Naeini et al. 2015) over groups of about equal size, made of whole bins."""
    count = positives + negatives
    n = count.sum()
    if n == 0:
        return float("nan")
    middle = np.cumsum(count) - count / 2
    group = np.minimum((middle / n * ECE_GROUPS).astype(int), ECE_GROUPS - 1)
    gap = np.bincount(group, weights=positives - risks, minlength=ECE_GROUPS)
    return float(np.abs(gap).sum() / n)


def _calibration_line(positives: Floats, negatives: Floats, risks: Floats) -> tuple[float, float]:
    """Intercept and slope of outcome on logit by Newton's method over bins; NaN unless both labels occur."""
    count = positives + negatives
    used = count > 0
    if positives.sum() == 0 or negatives.sum() == 0 or used.sum() < 2:
        return float("nan"), float("nan")
    mean = np.clip(risks[used] / count[used], 1e-9, 1 - 1e-9)
    columns = np.column_stack([np.ones(used.sum()), np.log(mean / (1 - mean))])
    line = np.array([0.0, 1.0])
    for _ in range(30):
        fitted = sigmoid(columns @ line)
        gradient = columns.T @ (count[used] * fitted - positives[used])
        hessian = (columns * (count[used] * fitted * (1 - fitted))[:, None]).T @ columns
        step = np.linalg.solve(hessian + 1e-9 * np.eye(2), gradient)
        line = line - np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    return float(line[0]), float(line[1])
