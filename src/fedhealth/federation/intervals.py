"""95 % intervals of metrics, from sums. Rows count as independent people."""

import numpy as np

from fedhealth.federation.contribution import Floats

Z = 1.959964  # 97.5 % point of the normal distribution
Interval = tuple[float, float]
UNDEFINED: Interval = (float("nan"), float("nan"))


def auroc(positives: Floats, negatives: Floats) -> tuple[float, float]:
    """AUROC of binned scores and its variance, from the counts of each label per bin in rising order of score.

    ``A = sum_i V(i) / m`` over ``m`` positives, with ``V(i)`` the share of negatives that score lower (ties count
    half), and ``W(j)`` the share of positives above one of ``n`` negatives. Variance: ``var(V) / m + var(W) / n``
    (DeLong, DeLong & Clarke-Pearson 1988). NaN without both labels; the variance also with only one row of a label.
    """
    m, n = positives.sum(), negatives.sum()
    if m == 0 or n == 0:
        return UNDEFINED
    lower = (np.cumsum(negatives) - negatives / 2) / n
    higher = (m - np.cumsum(positives) + positives / 2) / m
    value = float((positives * lower).sum() / m)
    if m < 2 or n < 2:
        return value, float("nan")
    spread = (positives * (lower - value) ** 2).sum() / (m - 1) / m
    return value, float(spread + (negatives * (higher - value) ** 2).sum() / (n - 1) / n)


def of_share(value: float, variance: float) -> Interval:
    """Interval of a share such as AUROC, symmetric on the logit (Pepe 2003, ch. 5); undefined at 0 and 1."""
    if not 0 < value < 1 or np.isnan(variance):
        return UNDEFINED
    centre, half = np.log(value / (1 - value)), Z * np.sqrt(variance) / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-np.clip([centre - half, centre + half], -700, 700)))
    return float(low), float(high)


def of_mean(total: float, squares: float, n: int) -> Interval:
    """Interval of a mean over ``n`` rows from their sum and sum of squares (central limit theorem).

    For the Brier score: Bradley, Schwartz & Hashino 2008. Undefined below two rows.
    """
    if n < 2:
        return UNDEFINED
    mean = total / n
    half = Z * np.sqrt(max(squares / n - mean**2, 0.0) / (n - 1))
    return float(mean - half), float(mean + half)


def of_estimate(value: float, variance: float) -> Interval:
    """Interval of a maximum-likelihood estimate, its variance from the inverse Hessian (Wald)."""
    half = Z * float(np.sqrt(max(variance, 0.0)))
    return value - half, value + half
