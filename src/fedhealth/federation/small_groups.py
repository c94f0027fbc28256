"""Counts that tell of no small group of people: the fewest that may be told, and rounding to them."""

from collections.abc import Mapping

import numpy as np

from fedhealth.federation.contribution import Floats, State
from fedhealth.study import Study

FEWEST_ROWS: Mapping[str, int] = {"default": 10, "research": 1}
"""Fewest rows of a cell, or of a label, that may be told, by the study's policy."""


def fewest(study: Study, state: State, limit: str) -> int:
    """The study's limit, or the stricter one of the owner, which the node itself puts into a state under its name."""
    return max(FEWEST_ROWS[study.policy], int(state.get(limit, 1)))


def rounded(counts: Floats, fewest: int) -> Floats:
    """Histograms along the last axis, every count a multiple of ``fewest``: controlled rounding (Cox 1987).

    The running totals are rounded, and their steps are the counts, so each running total is at most half of ``fewest``
    away, each count less than ``fewest``, and the shape of the histogram is kept.
    """
    running = np.floor(np.cumsum(counts, axis=-1) / fewest + 0.5) * fewest
    return np.asarray(np.diff(running, axis=-1, prepend=0.0))
