"""Drift: do recent values lie where those that the model learnt from lay, in the same cities and months?

The population stability index of a feature over its bins, with shares ``p`` now and ``q`` in the reference, is

    PSI = sum_i (p_i - q_i) ln(p_i / q_i)

(Siddiqi 2006, Credit Risk Scorecards, chapter 9); from 0.1 a shift is worth a look. The reference shares are those of
each city and month in training, mixed as the cities and months of the recent readings are mixed, so that no season and
no city's weight counts as drift.

Beside it stands the Jensen-Shannon distance of the two, 0 to 1.

How large is PSI by chance? To second order it is the quadratic form ``sum_i (p_i - q_i)^2 / ((p_i + q_i) / 2)``. Were
all readings independent, it would be ``(1/n + 1/m)`` times a chi-squared variable; but people in one city breathe the
same air, a day is like the day before, and a person sends more than one reading. So the covariance ``V`` of the shares
is estimated from sums over days and over people (:mod:`fedhealth.monitoring.chance`), and the form is compared with a
scaled chi-squared variable of the same mean ``tr(DV)`` and variance ``2 tr(DVDV)`` (Rao & Scott 1981). Of the reference
only counts are known: its rows are taken to vary as ours do, and its days to be one whole month for each city and
month. A feature drifts if PSI is above 0.1 and above the 99 % point of that variable: the nominal rate of alarms
without drift is 1 %, for each feature and window.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedhealth.federation.statistics import drift_bins
from fedhealth.monitoring.chance import level, spread
from fedhealth.study import Feature, Study

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Status = Literal["ok", "drift", "too few"]
BINS = 10
WORTH_A_LOOK = 0.1
NOMINAL_RATE = 0.01  # of alarms without drift
DAYS_OF_MONTH = 30.0
FEWEST_READINGS = 100
FEWEST_DAYS, FEWEST_CITY_DAYS = 14, 60  # with fewer, weather alone makes one feature in ten look drifted


@dataclass(frozen=True)
class Window:
    """Recent readings as arrays: values ``x (n, d)`` with NaN where missing, ``stratum (n,)``, day number ``day (n,)``.

    ``stratum`` is ``12 * city + month - 1`` with the city's position in the study; ``person (n,)`` numbers people, -1
    where nobody is named.
    """

    x: Floats
    stratum: Integers
    day: Integers
    person: Integers

    def part(self, chosen: NDArray[np.bool_]) -> "Window":
        """Some of the readings."""
        return Window(self.x[chosen], self.stratum[chosen], self.day[chosen], self.person[chosen])


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's recent values, of at least so many people, beside its reference; ``labels`` name the bins."""

    feature: str
    title: str
    n: int
    people: int
    psi: float | None
    jensen_shannon: float | None
    threshold: float | None
    status: Status
    reference: list[float]
    current: list[float]
    labels: list[str]
    missing_share: float


def window_of(study: Study, rows: Sequence[tuple[str, date, str | None, Mapping[str, float]]]) -> Window:
    """Readings given as city, day, person and values by feature name, as arrays; unknown cities are left out."""
    places = {city: i for i, city in enumerate(study.cities)}
    known = [row for row in rows if row[0] in places]
    nothing = float("nan")
    x = np.array([[values.get(name, nothing) for name in study.names] for *_, values in known], dtype=np.float64)
    stratum = np.array([12 * places[city] + day.month - 1 for city, day, *_ in known], dtype=np.intp)
    days = np.array([day.toordinal() for _, day, *_ in known], dtype=np.intp)
    numbers: dict[str, int] = {}
    people = [-1 if who is None else numbers.setdefault(who, len(numbers)) for _, _, who, _ in known]
    return Window(x.reshape(len(known), len(study.names)), stratum, days, np.array(people, dtype=np.intp))


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
            seen_here = window.part(seen[:, i])
            rows = _Rows(bins[seen[:, i], i], seen_here.stratum, seen_here.day, seen_here.person)
            labels = _labels(feature, edges[i])
            compared.append(_compare(feature, labels, rows, counts[:, i], float(1 - seen[:, i].mean())))
    return compared


@dataclass(frozen=True)
class _Rows:
    """The bin, stratum, day and person of each reading in which a feature was observed."""

    bin: Integers
    stratum: Integers
    day: Integers
    person: Integers

    def of(self, known: NDArray[np.bool_]) -> "_Rows":
        """Those whose stratum is ``known``."""
        chosen = known[self.stratum]
        return _Rows(self.bin[chosen], self.stratum[chosen], self.day[chosen], self.person[chosen])

    @property
    def city_days(self) -> int:
        """How many days of cities there are; two cities on one day count twice."""
        return len(np.unique(self.stratum.astype(np.int64) * 10**7 + self.day))

    @property
    def months_share(self) -> float:
        """How much of a month of each city and month there is: the reference's own days vary as much, once whole."""
        return min(self.city_days / len(np.unique(self.stratum)) / DAYS_OF_MONTH, 1.0)

    @property
    def enough(self) -> bool:
        """Whether chance can be told from drift."""
        days = len(np.unique(self.day))
        return len(self.bin) >= FEWEST_READINGS and days >= FEWEST_DAYS and self.city_days >= FEWEST_CITY_DAYS


def people_of(person: Integers) -> int:
    """How many people readings are of, at least: all those without a name (-1) may be of one."""
    return len(np.unique(person))


def _compare(feature: Feature, labels: list[str], rows: _Rows, counts: Floats, missing: float) -> FeatureDrift:
    rows = rows.of(counts.sum(axis=1) > 0)  # no word on cities and months that training did not see
    n = len(rows.bin)
    current, q = np.zeros(BINS), np.zeros(BINS)
    psi = distance = threshold = None
    status: Status = "too few"
    if n:
        weights = np.bincount(rows.stratum, minlength=len(counts)) / n
        per_stratum = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
        current, q = np.bincount(rows.bin, minlength=BINS) / n, weights @ per_stratum
    if rows.enough:
        m = 1 / float((weights**2 / np.maximum(counts.sum(axis=1), 1.0)).sum())
        psi, distance = population_stability_index(current, q, n, m), jensen_shannon(current, q)
        threshold = max(WORTH_A_LOOK, _chance_level(rows, per_stratum, current, q, m))
        status = "drift" if psi > threshold else "ok"
    used = len(labels)
    shares = q[:used].tolist(), current[:used].tolist()
    return FeatureDrift(
        feature.name,
        feature.title,
        n,
        people_of(rows.person),
        psi,
        distance,
        threshold,
        status,
        *shares,
        labels,
        missing,
    )


def population_stability_index(current: Floats, reference: Floats, n: float, m: float) -> float:
    """PSI of shares of ``n`` recent and ``m`` reference values, half a value added to each bin that either has.

    The added halves keep the logarithm finite where a bin is empty on one side.
    """
    used = (current > 0) | (reference > 0)
    p, q = (current[used] * n + 0.5) / (n + 0.5 * used.sum()), (reference[used] * m + 0.5) / (m + 0.5 * used.sum())
    return float(((p - q) * np.log(p / q)).sum())


def jensen_shannon(current: Floats, reference: Floats) -> float:
    """The Jensen-Shannon distance of two sets of shares, base 2: 0 if equal, 1 where nothing is shared (Lin 1991)."""
    middle = (current + reference) / 2
    both = np.stack([current, reference])
    logs = np.log2(np.divide(both, middle, out=np.ones_like(both), where=both > 0))
    return float(np.sqrt(max((both * logs).sum() / 2, 0.0)))


def _chance_level(rows: _Rows, per_stratum: Floats, current: Floats, q: Floats, m: float) -> float:
    """The 99 % point of PSI without drift; see the module's words."""
    n = len(rows.bin)
    parts = spread(np.eye(BINS)[rows.bin] - per_stratum[rows.stratum], rows.day, rows.person)
    covariance = (1 + n / m) * parts.independent + parts.people + (1 + rows.months_share) * parts.days
    middle = (current + q) / 2
    used = middle > 0
    form = covariance[np.ix_(used, used)] / np.sqrt(np.outer(middle[used], middle[used]))
    return level(float(np.trace(form)), 2 * float((form**2).sum()))


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
