"""Score: do risks come out higher or lower than training would have us expect, in the same cities and months?

The model adds up what each feature contributes to the log-odds. Of training the share ``q_s(b)`` of each feature's bin
is known by city and month ``s``; with ``c(b)``, what recent values in that bin contribute on average, the mean log-odds
has moved by

    D = mean_i sum_f [ c_f(b_i) - sum_b q_s(b) c_f(b) ].

It is compared with what chance does (:mod:`fedhealth.monitoring.chance`), here and in training's own rows and days, at
a nominal rate of 1 %. What moves within a bin, and products of two features, are not seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedhealth.federation.statistics import drift_bins
from fedhealth.model import RiskModel, Scorecard
from fedhealth.model.design import rescale
from fedhealth.model.missing import patterns
from fedhealth.monitoring.chance import BOTH_SIDES_Z, Floats, Integers, spread
from fedhealth.monitoring.drift import BINS, DAYS_OF_MONTH, FEWEST_DAYS, FEWEST_READINGS, Status, Window
from fedhealth.study import Study

WORTH_A_LOOK = 0.1  # of the log-odds: a tenth more or fewer


@dataclass(frozen=True)
class ScoreDrift:
    """By how much the mean log-odds of ``n`` recent readings have moved, and how far chance moves them."""

    n: int
    shift: float | None
    threshold: float | None
    status: Status


def score_drift(study: Study, model: RiskModel, reference: Mapping[str, Floats], window: Window) -> ScoreDrift:
    """The drift of the score; "too few" without a reference by city and month, or with too few readings or days."""
    n, days = len(window.x), len(np.unique(window.day))
    if "by_stratum" not in reference or n < FEWEST_READINGS or days < FEWEST_DAYS:
        return ScoreDrift(n, None, None, "too few")
    moved = _moved(study, model, reference, window)
    parts = spread(moved[:, None], window.day, window.person)
    city_days = len(np.unique(window.stratum.astype(np.int64) * 10**7 + window.day))
    months = min(city_days / len(np.unique(window.stratum)) / DAYS_OF_MONTH, 1.0)
    ours = 1 + n * _one_over_rows(reference["by_stratum"], window)
    variance = float((ours * (parts.independent + parts.people) + (1 + months) * parts.days)[0, 0])
    shift, threshold = float(moved.mean()), max(BOTH_SIDES_Z * variance**0.5, WORTH_A_LOOK)
    return ScoreDrift(n, shift, threshold, "drift" if abs(shift) > threshold else "ok")


def _moved(study: Study, model: RiskModel, reference: Mapping[str, Floats], window: Window) -> Floats:
    """What each reading's log-odds have more than was expected of its city and month, ``(n,)``."""
    seen, added = ~np.isnan(window.x), _contributions(study, model, window.x)
    bins = drift_bins(study, reference["edges"], np.nan_to_num(window.x))
    moved = np.zeros(len(window.x))
    for i in range(len(study.features)):
        counts = reference["by_stratum"][:, i]
        rows = seen[:, i] & (counts.sum(axis=1) > 0)[window.stratum]
        if rows.any():
            by_bin = _means(added[rows, i], bins[rows, i])
            expected = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0) @ by_bin
            moved[rows] += by_bin[bins[rows, i]] - expected[window.stratum[rows]]
    return moved


def _one_over_rows(counts: Floats, window: Window) -> float:
    """One over the training rows that stand against the window's mix of cities and months; of the scarcest feature."""
    weights = np.bincount(window.stratum, minlength=len(counts)) / len(window.x)
    rows = counts.sum(axis=2)
    used = rows.sum(axis=0) > 0
    shares = np.divide(weights[:, None] ** 2, rows, out=np.zeros_like(rows), where=rows > 0)
    return float(shares.sum(axis=0)[used].max(initial=0.0))


def _contributions(study: Study, model: RiskModel, x: Floats) -> Floats:
    """What each observed value adds to the log-odds, ``(n, d)``; 0 where missing."""
    added = np.zeros(x.shape)
    for seen, rows in patterns(~np.isnan(x)):
        for feature, curve in zip(np.flatnonzero(seen), Scorecard.of(model, seen).curves, strict=True):
            values = rescale(study.features[feature], x[rows, feature])
            added[rows, feature] = np.interp(values, curve.places, curve.points)
    return added


def _means(values: Floats, bins: Integers) -> Floats:
    """The mean of each bin; one that is empty takes it from those beside it."""
    counts = np.bincount(bins, minlength=BINS)
    used = np.flatnonzero(counts)
    return np.asarray(np.interp(np.arange(BINS), used, np.bincount(bins, values, BINS)[used] / counts[used]))
