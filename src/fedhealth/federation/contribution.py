"""What leaves a node in one step: named sums over its rows, always addable, never a row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from math import hypot, inf

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TOGETHER = "all nodes together"  # the one name in a step's replies where the server sees nothing but their total
State = Mapping[str, Floats]


@dataclass(frozen=True)
class Contribution:
    """Named arrays that are sums over ``rows`` rows.

    Adding two contributions of the same step gives the contribution of both nodes' rows together, so the server
    only ever needs the total.

    ``sensitivity`` is how far one row, added or removed, can move all the arrays together (L2), where each row was
    clipped so that this is known; else infinite. ``noise`` is the standard deviation of the noise in every value.
    """

    sums: Mapping[str, Floats]
    rows: int
    sensitivity: float = inf
    noise: float = 0.0

    def __add__(self, other: "Contribution") -> "Contribution":
        if self.sums.keys() != other.sums.keys():
            raise ValueError(f"contributions differ: got {sorted(other.sums)}; expected {sorted(self.sums)}")
        return Contribution(
            {name: self.sums[name] + other.sums[name] for name in self.sums},
            self.rows + other.rows,
            max(self.sensitivity, other.sensitivity),
            hypot(self.noise, other.noise),
        )

    def __getitem__(self, name: str) -> Floats:
        return self.sums[name]


Replies = Mapping[str, Contribution]  # to one step, by node


def total(contributions: Iterable[Contribution]) -> Contribution:
    """The sum, added in the order given (node order), so that every runtime gets the same floats."""
    return reduce(Contribution.__add__, contributions)


def arrays(**values: object) -> dict[str, Floats]:
    """A state or a set of sums: every value as an array of float64."""
    return {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}
