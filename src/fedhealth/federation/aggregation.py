"""How the nodes' answers become one value per weight, counting only the nodes that have something to say about it.

A weight that reads a feature is measured by the rows that observe the feature, every other weight by all rows
(``weighted``). ``mean`` needs only the sum over nodes, so it goes with secure aggregation. ``median`` and
``trimmed_mean`` (Yin et al. 2018, "Byzantine-robust distributed learning", definitions 1 and 2) bound what one node can
do, need every node's own answer, and count each node once, however many rows it has. Over the one or two nodes that
observe a feature they protect nothing; over fewer than three nodes in all they are refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedhealth.federation.contribution import TOGETHER, Contribution, Floats, arrays, total
from fedhealth.model.network import FIRST, WEIGHTS

TRIM = 0.2


@dataclass(frozen=True)
class Aggregate:
    """One value per weight, by name with shapes ``(J, ...)``, and where anybody measured it; elsewhere 0."""

    values: Mapping[str, Floats]
    covered: Mapping[str, NDArray[np.bool_]]


class TooFewAnswers(ValueError):
    """A robust aggregation was asked over a sum or over one or two nodes."""


Aggregation = Callable[[Mapping[str, Contribution], str], Aggregate]
"""From the nodes' replies and the kind of their sums (``moved`` or ``gradient``) to one value per weight."""


def weighted(kind: str, values: Mapping[str, Floats], seen: object, rows: int) -> dict[str, Floats]:
    """One node's sums ``<kind>.<weight>``: its values times their measure, by input column for the first layer.

    ``seen`` (shape ``(d,)``) is how many of the node's ``rows`` observe each feature.
    """
    by_column = np.tile(np.asarray(seen, dtype=np.float64), 2)
    return arrays(
        **{f"{kind}.{name}": value * (by_column if name == FIRST else rows) for name, value in values.items()}
    )


def mean(replies: Mapping[str, Contribution], kind: str) -> Aggregate:
    """The measured average over nodes: sum of values times measure, over the sum of measures (McMahan et al. 2017)."""
    summed = total(replies.values())
    values, measures = _sums(summed, kind), _measures(summed, kind)
    covered = {name: measures[name] > 0 for name in WEIGHTS}
    means = {name: np.where(covered[name], values[name] / np.maximum(measures[name], 1.0), 0.0) for name in WEIGHTS}
    return Aggregate(means, covered)


def median(replies: Mapping[str, Contribution], kind: str) -> Aggregate:
    """Coordinate-wise median over the nodes that measured the coordinate; the mean of the middle two if even."""
    return _over_sorted(replies, kind, lambda count: np.maximum(count - 1, 0) // 2)


def trimmed_mean(replies: Mapping[str, Contribution], kind: str, trim: float = TRIM) -> Aggregate:
    """Coordinate-wise mean without the largest and the smallest ``floor(trim * nodes)`` values of those measured.

    ``trim`` is a share, 0 up to below 0.5, of the nodes that measured the coordinate.
    """
    return _over_sorted(replies, kind, lambda count: np.floor(trim * count).astype(np.intp))


AGGREGATIONS: Mapping[str, Aggregation] = {"mean": mean, "median": median, "trimmed-mean": trimmed_mean}


def _over_sorted(
    replies: Mapping[str, Contribution], kind: str, drop: Callable[[NDArray[np.intp]], NDArray[np.intp]]
) -> Aggregate:
    """The mean of each coordinate's sorted values without the first and last ``drop(count)`` of ``count``."""
    if len(replies) < 3:
        raise TooFewAnswers(
            f"median and trimmed mean need each answer of at least 3 nodes; got {len(replies)}"
            + (
                ", the total under secure aggregation: only a study of the research policy goes without"
                if TOGETHER in replies
                else ""
            )
        )
    values, covered = {}, {}
    each = [(_sums(reply, kind), _measures(reply, kind)) for reply in replies.values()]
    for name in WEIGHTS:
        own = np.stack([np.where(m[name] > 0, v[name] / np.maximum(m[name], 1.0), np.nan) for v, m in each])
        count = np.sum(~np.isnan(own), axis=0)
        place = np.arange(len(own)).reshape(-1, *[1] * count.ndim)
        kept = (place >= drop(count)) & (place < count - drop(count))
        inner = np.where(kept, np.sort(own, axis=0), 0.0).sum(axis=0)  # NaN sorts last
        values[name], covered[name] = inner / np.maximum(kept.sum(axis=0), 1), count > 0
    return Aggregate(values, covered)


def _sums(contribution: Contribution, kind: str) -> dict[str, Floats]:
    return {name: contribution[f"{kind}.{name}"] for name in WEIGHTS}


def _measures(contribution: Contribution, kind: str) -> dict[str, Floats]:
    """How much was measured of each weight, in the weight's shape ``(J, ...)``."""
    measures = {}
    for name in WEIGHTS:
        shape = contribution[f"{kind}.{name}"].shape
        by_rows = contribution["rows"].reshape(-1, *[1] * (len(shape) - 1))
        by_column = np.tile(contribution["coverage"], 2)[:, None, :] if name == FIRST else by_rows
        measures[name] = np.broadcast_to(by_column, shape)
    return measures
