"""Drift: do recent values lie where those that the model learnt from lay, in the same cities and months?

The population stability index of a feature over its bins, with shares ``p`` now and ``q`` in the reference, is

    PSI = sum_i (p_i - q_i) ln(p_i / q_i)

(Siddiqi 2006, Credit Risk Scorecards, chapter 9); from 0.1 a shift is worth a look. The reference shares are those of
each city and month in training, mixed as the cities and months of the recent readings are mixed, so that no season and
no city's weight counts as drift.

How large is PSI by chance? To second order it is the quadratic form ``sum_i (p_i - q_i)^2 / ((p_i + q_i) / 2)``. Were
all readings independent, it would be ``(1/n + 1/m)`` times a chi-squared variable; but people in one city breathe the
same air, neighbouring cities share their weather, and a day is like the day before. So the covariance ``V`` of the
shares is estimated from the sums over whole days, with Bartlett's weights for the days around (Newey & West 1987), and
the form is compared with a scaled chi-squared variable of the same mean ``tr(DV)`` and variance ``2 tr(DVDV)`` (Rao &
Scott 1981; Satterthwaite 1946). Of the reference only counts are known: its rows are taken to vary as ours do, and its
days to be one whole month for each city and month. A feature drifts if PSI is above 0.1 and above the 99 % point of
that variable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedhealth.federation.statistics import drift_bins
from fedhealth.study import Feature, Study

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Status = Literal["ok", "drift", "too few"]
BINS = 10
WORTH_A_LOOK = 0.1
LEVEL_Z = 2.3263  # of a normal distribution, 99 % lie below
DAYS_OF_MONTH = 30.0
FEWEST_READINGS = 100
FEWEST_DAYS, FEWEST_CITY_DAYS = 14, 60  # with fewer, weather alone makes one feature in ten look drifted
LAG_SHARE = 1 / 3  # of the window's days, and at most ...
LONGEST_LAG = 14


@dataclass(frozen=True)
class Window:
    """Recent readings as arrays: values ``x (n, d)`` with NaN where missing, ``stratum (n,)``, day number ``day (n,)``.

    ``stratum`` is ``12 * city + month - 1`` with the city's position in the study.
    """

    x: Floats
    stratum: Integers
    day: Integers


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's recent values beside its reference; shares by bin, ``labels`` name the bins."""

    feature: str
    title: str
    n: int
    psi: float | None
    threshold: float | None
    status: Status
    reference: list[float]
    current: list[float]
    labels: list[str]
    missing_share: float


def window_of(study: Study, rows: Sequence[tuple[str, date, Mapping[str, float]]]) -> Window:
    """Readings given as city, day and values by feature name, as arrays; those of unknown cities are left out."""
    places = {city: i for i, city in enumerate(study.cities)}
    known = [row for row in rows if row[0] in places]
    nothing = float("nan")
    x = np.array([[values.get(name, nothing) for name in study.names] for _, _, values in known], dtype=np.float64)
    stratum = np.array([12 * places[city] + day.month - 1 for city, day, _ in known], dtype=np.intp)
    days = np.array([day.toordinal() for _, day, _ in known], dtype=np.intp)
    return Window(x.reshape(len(known), len(study.names)), stratum, days)


def drift(study: Study, reference: Mapping[str, Floats], window: Window) -> list[FeatureDrift]:
    """Every feature that the reference knows by city and month, in the study's order; none without such a reference."""
    if "by_stratum" not in reference or not len(window.x):
        return []
    edges, counts = reference["edges"], reference["by_stratum"]
    seen = ~np.isnan(window.x)
    bins = drift_bins(study, edges, np.nan_to_num(window.x))
    compared = []
    for i, feature in enumerate(study.features):
        if counts[:, i].any():
            rows = _Rows(bins[seen[:, i], i], window.stratum[seen[:, i]], window.day[seen[:, i]])
            labels = _labels(feature, edges[i])
            compared.append(_compare(feature, labels, rows, counts[:, i], float(1 - seen[:, i].mean())))
    return compared


@dataclass(frozen=True)
class _Rows:
    """The bin, stratum and day of each reading in which a feature was observed."""

    bin: Integers
    stratum: Integers
    day: Integers

    def of(self, known: NDArray[np.bool_]) -> "_Rows":
        chosen = known[self.stratum]
        return _Rows(self.bin[chosen], self.stratum[chosen], self.day[chosen])

    @property
    def city_days(self) -> int:
        """How many days of cities there are; two cities on one day count twice."""
        return len(np.unique(self.stratum.astype(np.int64) * 10**7 + self.day))

    @property
    def enough(self) -> bool:
        """Whether chance can be told from drift."""
        days = len(np.unique(self.day))
        return len(self.bin) >= FEWEST_READINGS and days >= FEWEST_DAYS and self.city_days >= FEWEST_CITY_DAYS


def _compare(feature: Feature, labels: list[str], rows: _Rows, counts: Floats, missing: float) -> FeatureDrift:
    rows = rows.of(counts.sum(axis=1) > 0)  # no word on cities and months that training did not see
    n = len(rows.bin)
    current, q = np.zeros(BINS), np.zeros(BINS)
    psi = threshold = None
    status: Status = "too few"
    if n:
        weights = np.bincount(rows.stratum, minlength=len(counts)) / n
        per_stratum = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
        current, q = np.bincount(rows.bin, minlength=BINS) / n, weights @ per_stratum
    if rows.enough:
        m = 1 / float((weights**2 / np.maximum(counts.sum(axis=1), 1.0)).sum())
        psi = population_stability_index(current, q, n, m)
        threshold = max(WORTH_A_LOOK, _chance_level(rows, per_stratum, current, q, m))
        status = "drift" if psi > threshold else "ok"
    used = len(labels)
    shares = q[:used].tolist(), current[:used].tolist()
    return FeatureDrift(feature.name, feature.title, n, psi, threshold, status, *shares, labels, missing)


def population_stability_index(current: Floats, reference: Floats, n: float, m: float) -> float:
    """PSI of shares of ``n`` recent and ``m`` reference values, half a value added to each bin that either has.

    The added halves keep the logarithm finite where a bin is empty on one side.
    """
    used = (current > 0) | (reference > 0)
    p, q = (current[used] * n + 0.5) / (n + 0.5 * used.sum()), (reference[used] * m + 0.5) / (m + 0.5 * used.sum())
    return float(((p - q) * np.log(p / q)).sum())


def _chance_level(rows: _Rows, per_stratum: Floats, current: Floats, q: Floats, m: float) -> float:
    """The 99 % point of PSI without drift; see the module's words."""
    n = len(rows.bin)
    independent = (np.diag(current) - np.outer(current, current)) / n
    by_day = _covariance_by_day(rows, per_stratum) / n**2
    extra = _positive_part(by_day - independent)
    days = rows.city_days / len(np.unique(rows.stratum))
    covariance = (1 + n / m) * independent + (1 + min(days / DAYS_OF_MONTH, 1.0)) * extra
    middle = (current + q) / 2
    used = middle > 0
    form = covariance[np.ix_(used, used)] / np.sqrt(np.outer(middle[used], middle[used]))
    mean, variance = float(np.trace(form)), 2 * float((form**2).sum())
    if variance <= 0:
        return 0.0
    return variance / (2 * mean) * _chi_squared(2 * mean**2 / variance)


def _chi_squared(degrees: float) -> float:
    """The 99 % point of a chi-squared variable, to about 1 % (Wilson & Hilferty 1931); spares serving all of SciPy."""
    part = 2 / (9 * degrees)
    return float(degrees * (1 - part + LEVEL_Z * part**0.5) ** 3)


def _covariance_by_day(rows: _Rows, per_stratum: Floats) -> Floats:
    """Covariance of the counts by bin, ``(10, 10)``, from daily sums of deviations from their city and month.

    The window's own mean deviation is taken out, so that drift does not hide itself; what this takes from the variance
    is given back by the last factor.
    """
    first = int(rows.day.min())
    length, strata = int(rows.day.max()) - first + 1, len(per_stratum)
    day = rows.day - first
    counts = np.bincount(day * BINS + rows.bin, minlength=length * BINS).reshape(length, BINS)
    mix = np.bincount(day * strata + rows.stratum, minlength=length * strata).reshape(length, strata)
    daily = counts - mix @ per_stratum
    daily -= mix.sum(axis=1, keepdims=True) * daily.sum(axis=0) / len(day)
    lag = int(min(LONGEST_LAG, LAG_SHARE * length))
    total: Floats = daily.T @ daily
    for k in range(1, lag + 1):
        product = daily[k:].T @ daily[:-k]
        total += (1 - k / (lag + 1)) * (product + product.T)
    return total / (1 - min((lag + 1) / length, 0.5))


def _positive_part(matrix: Floats) -> Floats:
    """The nearest matrix that a covariance can be."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


def _labels(feature: Feature, edges: Floats) -> list[str]:
    if feature.kind == "flag":
        return ["no", "yes"]
    if feature.kind == "category":
        return list(feature.levels)[:BINS]
    shown = [f"{edge:.3g}" if abs(edge) < 100 else f"{edge:.0f}" for edge in _in_units(feature, edges)]
    between = [f"{low} to {high}" for low, high in pairwise(shown)]
    return [f"under {shown[0]}", *between, f"from {shown[-1]}"]


def _in_units(feature: Feature, edges: Floats) -> Floats:
    """Bin edges in the feature's unit; they are kept on the scale that curves are placed on."""
    return np.exp(edges) if feature.scale == "log" else edges
