"""What observed columns say about missing ones.

Columns are centred and taken as jointly normal with the covariance that the nodes' sums give, so the missing ones have
a conditional mean, linear in the observed ones, and a conditional covariance (Little & Rubin 2019, ch. 11).
A logit of which only the mean ``m`` and the variance ``v`` are known has the risk ``E sigmoid(m + sqrt(v) Z)``, close
to ``sigmoid(m / sqrt(1 + pi v / 8))`` (MacKay 1992): a risk is drawn towards the middle by what was not observed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.intp]

SHRINK = np.pi / 8
RIDGE = 0.01  # on the observed columns' variances: collinear columns share what they say


@dataclass(frozen=True)
class Fill:
    """The missing columns of rows that observe the same features, given their observed ones.

    Attributes:
        seen: positions of the ``s`` observed columns.
        missing: positions of the ``m`` missing columns.
        weights: shape ``(s, m)``; the missing columns' mean is ``columns[:, seen] @ weights``.
        covariance: shape ``(m, m)``; of the missing columns, given the observed ones.
    """

    seen: Places
    missing: Places
    weights: Floats
    covariance: Floats

    def carry(self, coefficients: Floats) -> Floats:
        """Coefficients (``(p,)`` or ``(p, J)``) on the observed columns alone that give the mean of the logit."""
        carried = coefficients.copy()
        carried[self.missing] = 0.0
        carried[self.seen] += self.weights @ coefficients[self.missing]
        return carried

    def doubt(self, coefficients: Floats) -> Floats:
        """Half the gradient of the logit's variance, shape as ``coefficients``; times them it is the variance."""
        doubts = np.zeros_like(coefficients)
        doubts[self.missing] = self.covariance @ coefficients[self.missing]
        return doubts


def fill(covariance: Floats, seen: Mask) -> Fill:
    """The fill for columns with this ``covariance`` (shape ``(w, w)``) of which ``seen`` (shape ``(w,)``) are there.

    Of a covariance that no rows can have, and that leaves the weights open, all are 0: were it refused, the refusal
    would tell which features somebody here observes.
    """
    there, gone = np.flatnonzero(seen), np.flatnonzero(~seen)
    among, across = covariance[np.ix_(there, there)], covariance[np.ix_(there, gone)]
    known = np.diag(among) > 0
    among = among + np.diag(np.where(known, RIDGE * np.diag(among), 1.0))
    try:
        weights = np.linalg.solve(among, across)
    except np.linalg.LinAlgError:
        weights = np.zeros_like(across)
    left = covariance[np.ix_(gone, gone)] - across.T @ weights
    return Fill(there, gone, weights, (left + left.T) / 2)


def shrinkage(variance: Floats) -> Floats:
    """What a mean logit is multiplied with where its variance is ``variance``: 0..1."""
    return np.asarray(1.0 / np.sqrt(1.0 + SHRINK * np.maximum(variance, 0.0)))


def patterns(observed: Mask) -> Iterator[tuple[Mask, Places]]:
    """Every distinct row of ``observed`` (shape ``(n, d)``), and the rows that are like it."""
    if len(observed) == 0:
        return
    packed = np.ascontiguousarray(np.packbits(observed, axis=1))
    keys = packed.view(f"V{packed.shape[1]}")[:, 0]
    _, first, which, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    order, ends = np.argsort(which, kind="stable"), np.cumsum(counts)
    for row, end, count in zip(first, ends, counts, strict=True):
        yield observed[row], order[end - count : end]
