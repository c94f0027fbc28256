"""Noise on what leaves a node: normal, from the operating system's randomness, drawn anew for every answer."""

import secrets
from dataclasses import replace
from math import isinf, sqrt

import numpy as np

from fedhealth.federation import Contribution


def fresh_generator() -> np.random.Generator:
    """Random numbers that nobody can foresee or repeat: a seed that was known would take the noise off again."""
    return np.random.default_rng(secrets.randbits(256))


def noised(contribution: Contribution, mu: float, generator: np.random.Generator, summed_over: int = 1) -> Contribution:
    """The contribution with the normal noise that makes it mu-GDP; its number of rows is not told.

    The standard deviation is the contribution's own sensitivity over ``mu``. Of the noise in a total over K nodes that
    nobody sees in parts (``summed_over``) each adds a share of 1/(K - 1) of the variance: what one node knows of it, or
    left out, the others' make up for.

    Raises:
        ValueError: the contribution has no known sensitivity, or ``mu`` is not above 0.
    """
    if isinf(contribution.sensitivity) or not mu > 0:
        raise ValueError(
            f"noise for mu = {mu} on a sensitivity of {contribution.sensitivity}; expected mu above 0 and a finite one"
        )
    deviation = contribution.sensitivity / mu / sqrt(max(summed_over - 1, 1))
    sums = {name: array + generator.normal(0.0, deviation, array.shape) for name, array in contribution.sums.items()}
    return replace(contribution, sums=sums, rows=0, noise=deviation)
