"""How far a mean strays by chance when its rows are not independent: people return, and a day is like the day before.

Of rows ``e`` (shape ``(n, k)``, each less what is expected of it) the mean has the covariance

    V = I + P + D,   I = sum_i e_i e_i' / n^2,

where ``P`` is what sums over whole people have more than ``I``, and ``D`` what sums over whole days have more, the days
around weighted by Bartlett (Newey & West 1987; for two ways of clustering at once: Cameron, Gelbach & Miller 2011).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
LEVEL_Z = 2.3263  # of a normal distribution, 99 % lie below
BOTH_SIDES_Z = 2.5758  # and 99 % within this on both sides
LAG_SHARE = 1 / 3  # of the window's days, and at most ...
LONGEST_LAG = 14


@dataclass(frozen=True)
class Spread:
    """The three parts of the covariance of a mean, shape ``(k, k)`` each."""

    independent: Floats
    people: Floats
    days: Floats


def spread(e: Floats, day: Integers, person: Integers) -> Spread:
    """The covariance of the mean of rows ``e``; ``person`` is -1 for readings that nobody is named for.

    The mean itself is taken out first, so that drift does not hide itself.
    """
    n, centred = len(e), e - e.mean(axis=0)
    independent = centred.T @ centred / n**2
    named = person >= 0
    by_person = _sums(centred[named], person[named])
    alone = centred[~named]
    people = _positive_part((by_person.T @ by_person + alone.T @ alone) / n**2 - independent)
    days = _positive_part(_by_day(_sums(centred, day - day.min())) / n**2 - independent)
    return Spread(independent, people, days)


def level(mean: float, variance: float) -> float:
    """The 99 % point of a scaled chi-squared variable of that mean and variance (Satterthwaite 1946).

    To about 1 % (Wilson & Hilferty 1931); spares serving all of SciPy.
    """
    if variance <= 0:
        return 0.0
    degrees = 2 * mean**2 / variance
    part = 2 / (9 * degrees)
    return float(variance / (2 * mean) * degrees * (1 - part + LEVEL_Z * part**0.5) ** 3)


def _sums(e: Floats, group: Integers) -> Floats:
    """Sums of ``e`` over each group, shape ``(groups, k)``."""
    size = int(group.max()) + 1 if len(group) else 0
    return np.stack([np.bincount(group, weights=column, minlength=size) for column in e.T], axis=1)


def _by_day(daily: Floats) -> Floats:
    """Bartlett's sum over days and days around; the last factor gives back what taking out the mean took."""
    length = len(daily)
    lag = int(min(LONGEST_LAG, LAG_SHARE * length))
    total: Floats = daily.T @ daily
    for k in range(1, lag + 1):
        product = daily[k:].T @ daily[:-k]
        total = total + (1 - k / (lag + 1)) * (product + product.T)
    return np.asarray(total / (1 - min((lag + 1) / length, 0.5)))


def _positive_part(matrix: Floats) -> Floats:
    """The nearest matrix that a covariance can be."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)
