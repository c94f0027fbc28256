"""How well a model does, and how two models differ, from summed score histograms."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from fedhealth.federation import intervals
from fedhealth.federation.contribution import Contribution, Floats
from fedhealth.federation.evaluation import LOSSES
from fedhealth.model import log_odds, sigmoid

ECE_GROUPS = 15


@dataclass(frozen=True)
class Metrics:
    """How well risks fit outcomes. ``auroc`` is exact to ``auroc_bound`` (pairs that share a bin count half).

    ``ece`` averages |mean risk - observed share| over groups of about equal size; ``calibration_slope`` and
    ``calibration_intercept`` are those of a logistic regression on the logit (1 and 0 are perfect; Cox 1958); ``bias``
    is the mean risk minus the observed share; ``accuracy`` is at a risk of 0.5; ``sensitivity`` and ``specificity`` are
    at the study's threshold. ``..._low`` and ``..._high`` are the ends of a 95 % interval
    (:mod:`fedhealth.federation.intervals`): AUROC by DeLong's variance, Brier score and log loss as means over rows,
    the calibration line by its Hessian. NaN where undefined.
    """

    auroc: float
    auroc_low: float
    auroc_high: float
    auroc_bound: float
    auprc: float
    brier: float
    brier_low: float
    brier_high: float
    log_loss: float
    log_loss_low: float
    log_loss_high: float
    ece: float
    calibration_slope: float
    calibration_slope_low: float
    calibration_slope_high: float
    calibration_intercept: float
    calibration_intercept_low: float
    calibration_intercept_high: float
    bias: float
    accuracy: float
    sensitivity: float
    specificity: float
    n: int
    prevalence: float

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain numbers for JSON, None where a metric is undefined."""
        return _plain(asdict(self))


@dataclass(frozen=True)
class Difference:
    """Metrics of one model minus those of another on the same rows, with 95 % intervals; NaN where undefined.

    Those of Brier score and log loss are paired (from each row's difference). That of AUROC by :func:`difference` is
    not, since a paired variance is no sum over rows before all are counted: it is wider than need be where the two
    models agree. :mod:`fedhealth.federation.pairing` asks a second time and pairs it.
    """

    auroc: float
    auroc_low: float
    auroc_high: float
    brier: float
    brier_low: float
    brier_high: float
    log_loss: float
    log_loss_low: float
    log_loss_high: float

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain numbers for JSON, None where a difference is undefined."""
        return _plain(asdict(self))


def _plain(values: dict[str, float | int]) -> dict[str, float | int | None]:
    return {k: (None if np.isnan(v) else v) for k, v in values.items()}


def metrics(total: Contribution) -> Metrics:
    """All metrics of a summed score histogram."""
    positives, negatives = total["positives"], total["negatives"]
    n, positive, negative = total.rows, positives.sum(), negatives.sum()
    line, covariance = _calibration_line(positives, negatives, total["risks"])
    intercept, slope = (intervals.of_estimate(line[i], covariance[i, i]) for i in (0, 1))
    auroc, variance = intervals.auroc(positives, negatives)
    ranking = intervals.of_share(auroc, variance)
    brier, log_loss = (intervals.of_mean(float(total[k]), float(total[f"{k}_squares"]), n) for k in LOSSES)
    with np.errstate(divide="ignore", invalid="ignore"):
        recalled = np.cumsum(positives[::-1])
        precision = recalled / np.cumsum((positives + negatives)[::-1])
        return Metrics(
            auroc=auroc,
            auroc_low=ranking[0],
            auroc_high=ranking[1],
            auroc_bound=float((positives * negatives).sum() / 2 / (positive * negative)),
            auprc=float(np.nansum(precision * positives[::-1]) / positive),
            brier=float(total["squared_error"] / n) if n else np.nan,
            brier_low=brier[0],
            brier_high=brier[1],
            log_loss=float(total["log_loss"] / n) if n else np.nan,
            log_loss_low=log_loss[0],
            log_loss_high=log_loss[1],
            ece=_ece(positives, negatives, total["risks"]),
            calibration_slope=float(line[1]),
            calibration_slope_low=slope[0],
            calibration_slope_high=slope[1],
            calibration_intercept=float(line[0]),
            calibration_intercept_low=intercept[0],
            calibration_intercept_high=intercept[1],
            bias=float((total["risks"].sum() - positive) / n) if n else np.nan,
            accuracy=float(total["correct"] / n) if n else np.nan,
            sensitivity=float(total["true_positives"] / positive),
            specificity=float(total["true_negatives"] / negative),
            n=n,
            prevalence=float(positive / n) if n else np.nan,
        )


def difference(together: Contribution, alone: Contribution, compared: Contribution, place: int = 0) -> Difference:
    """Of two score histograms over the same rows, with the sums of :func:`evaluation.compare`; ``place`` 0 is all rows.

    Undefined where ``alone`` has no rows.
    """
    first, second = (intervals.auroc(c["positives"], c["negatives"]) for c in (together, alone))
    auroc = first[0] - second[0]
    ranking = intervals.of_estimate(auroc, first[1] + second[1])
    n, found = alone.rows, []
    for name in LOSSES:
        sums = (float(compared[f"difference.{key}"][place]) for key in (name, f"{name}_squares"))
        more, squares = sums
        found += [more / n if n else np.nan, *intervals.of_mean(more, squares, n)]
    return Difference(auroc, *ranking, *found)


def _ece(positives: Floats, negatives: Floats, risks: Floats) -> float:
    """Expected calibration error (Naeini et al. 2015) over groups of about equal size, made of whole bins."""
    count = positives + negatives
    n = count.sum()
    if n == 0:
        return float("nan")
    group = size_groups(count, ECE_GROUPS)
    gap = np.bincount(group, weights=positives - risks, minlength=ECE_GROUPS)
    return float(np.abs(gap).sum() / n)


def size_groups(count: Floats, groups: int) -> NDArray[np.intp]:
    """The group, from 0, of each bin with ``count`` rows, so that ``groups`` groups hold about the same number."""
    middle = np.cumsum(count) - count / 2
    return np.asarray(np.minimum(middle / count.sum() * groups, groups - 1), dtype=np.intp)


def _calibration_line(positives: Floats, negatives: Floats, risks: Floats) -> tuple[Floats, Floats]:
    """Intercept and slope ``(2,)`` of outcome on logit by Newton's method over bins, and their covariance ``(2, 2)``.

    NaN unless both labels occur.
    """
    count = positives + negatives
    used = count > 0
    if positives.sum() == 0 or negatives.sum() == 0 or used.sum() < 2:
        return np.full(2, np.nan), np.full((2, 2), np.nan)
    columns = np.column_stack([np.ones(used.sum()), log_odds(risks[used] / count[used])])
    line = np.array([0.0, 1.0])
    for _ in range(30):
        fitted = sigmoid(columns @ line)
        gradient = columns.T @ (count[used] * fitted - positives[used])
        hessian = (columns * (count[used] * fitted * (1 - fitted))[:, None]).T @ columns
        step = np.linalg.solve(hessian + 1e-9 * np.eye(2), gradient)
        line = line - np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    return line, np.asarray(np.linalg.inv(hessian + 1e-9 * np.eye(2)), dtype=np.float64)
