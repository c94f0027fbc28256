"""Whether what is told was measured, or made by a computer."""

from typing import Literal

SYNTHETIC = "synthetic"  # the source of readings that a computer made
Synthetic = Literal["all", "some", "none"]


def how_synthetic(synthetic: int, readings: int) -> Synthetic:
    """How many of ``readings`` are synthetic, in a word."""
    if synthetic == readings:
        return "all"
    return "some" if synthetic else "none"
