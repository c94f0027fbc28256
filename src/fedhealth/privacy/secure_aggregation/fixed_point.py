"""Numbers as integers modulo 2^64, where sums are exact and masks cancel: 32 bits after the point."""

import numpy as np
from numpy.typing import NDArray

from fedhealth.federation.contribution import Floats
from fedhealth.privacy.secure_aggregation.errors import UnfitError

Ring = NDArray[np.uint64]
FRACTION = 32  # bits after the point: steps of 2e-10
WHOLE = 62  # bits that a sum over all nodes may take


def largest(nodes: int) -> float:
    """The magnitude from which a value of one of ``nodes`` nodes is refused: their sum could overflow."""
    return float(2 ** (WHOLE - FRACTION) / nodes)


def encode(values: Floats, nodes: int) -> Ring:
    """Values (any shape) rounded to the grid; their sum over ``nodes`` nodes cannot overflow.

    Raises:
        UnfitError: a value is not finite, or too large.
    """
    flat = np.ravel(np.asarray(values, dtype=np.float64))
    if not np.isfinite(flat).all():
        raise UnfitError(f"value {int(np.argmin(np.isfinite(flat)))} is not finite; expected numbers")
    if flat.size and np.abs(flat).max() >= largest(nodes):
        raise UnfitError(
            f"value {int(np.abs(flat).argmax())} could overflow the sum; expected less than {largest(nodes):g}"
        )
    return np.round(flat * 2.0**FRACTION).astype(np.int64).view(np.uint64)


def decode(total: Ring) -> Floats:
    """The numbers that a sum of encoded ones stands for, shape ``(n,)``."""
    return total.view(np.int64).astype(np.float64) / 2.0**FRACTION
