"""The columns that a risk model reads: a curve per number, a level per category, an indicator where values go missing.

A number's curve is piecewise linear between knots (a linear spline, Hastie, Tibshirani & Friedman 2009, ch. 5),
written as one slope per segment: column ``j`` is how far the value has travelled through segment ``j``. One segment
is logistic regression; more segments make an additive model. A pair of features may have one more column, the product
of their standardised values. Every column is centred on its mean over the rows that observe its features, and is zero
where one is missing; what the observed columns say about the missing ones is a :class:`~fedhealth.model.missing.Fill`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedhealth.model.missing import Fill, Mask, fill
from fedhealth.study import Feature, Study

Floats = NDArray[np.float64]
Arrays = Mapping[str, Floats]
NAMES = ("mean", "sd", "knots", "partial", "pairs", "centre", "column_covariance")
REACH = 4.0  # standard deviations: a value further out counts in a product as if it were there


@dataclass(frozen=True)
class Design:
    """How rows become model columns. All arrays travel between server and nodes, so they are plain floats.

    Attributes:
        study: the study whose features, in order, are the input columns (``d`` of them).
        mean: shape ``(d,)``; federated mean of each number (on its scale), 0 for others.
        sd: shape ``(d,)``; federated standard deviation of each number, 1 for others.
        knots: shape ``(d, k)``; standardised knots of each number in rising order, padded with NaN.
        partial: shape ``(d,)``; 1 where only a part of all rows observe the feature: it gets a "missing" indicator.
        pairs: shape ``(k, 2)``; positions of the features whose product is a column.
        centre: shape ``(w,)``; mean of each value column (intercept, features, pairs) over the rows that observe it.
        column_covariance: shape ``(w, w)``; of the centred value columns.
    """

    study: Study
    mean: Floats
    sd: Floats
    knots: Floats
    partial: Floats
    pairs: Floats
    centre: Floats
    column_covariance: Floats

    @classmethod
    def from_arrays(cls, study: Study, arrays: Arrays) -> "Design":
        """The design whose arrays are found under their own names."""
        return cls(study, *(arrays[name] for name in NAMES))

    def arrays(self) -> dict[str, Floats]:
        """The arrays that define this design, by name."""
        return {name: getattr(self, name) for name in NAMES}

    @cached_property
    def blocks(self) -> tuple[slice, ...]:
        """The columns of each feature; column 0 is the intercept."""
        widths = [_width(f, k) for f, k in zip(self.study.features, self.knots, strict=True)]
        ends = 1 + np.cumsum(widths)
        return tuple(slice(int(end - width), int(end)) for end, width in zip(ends, widths, strict=True))

    @cached_property
    def products(self) -> slice:
        """The columns of the pairs."""
        first = self.blocks[-1].stop
        return slice(first, first + len(self.pairs))

    @cached_property
    def readers(self) -> Mask:
        """Which features each value column reads, shape ``(w, d)``; the intercept reads none."""
        reads = np.zeros((self.products.stop, len(self.study.features)), dtype=np.bool_)
        for i, block in enumerate(self.blocks):
            reads[block, i] = True
        for column, pair in enumerate(self.pairs.astype(np.intp), self.products.start):
            reads[column, pair] = True
        return reads

    @cached_property
    def indicators(self) -> dict[int, int]:
        """The column that says "missing" of each feature that has one."""
        first = self.products.stop
        return {int(f): first + i for i, f in enumerate(np.flatnonzero(self.partial))}

    @cached_property
    def intercepts(self) -> slice:
        """The columns of the nodes' own intercepts; empty unless the study asks for them."""
        first = self.products.stop + len(self.indicators)
        return slice(first, first + (len(self.study.nodes) if self.study.node_intercepts else 0))

    @property
    def width(self) -> int:
        """Number of columns, ``p``."""
        return int(self.intercepts.stop)

    def matrix(self, x: Floats, observed: Mask, site: NDArray[np.int16] | None = None) -> Floats:
        """Columns of each row, shape ``(n, p)``, from ``x`` and ``observed`` of shape ``(n, d)``.

        ``site`` is the position of each row's node; without it, a row is from a new node and gets the average of the
        nodes' intercepts.
        """
        columns = np.zeros((len(x), self.width))
        columns[:, : self.products.stop] = np.where(
            self.seen_columns(observed), self.value_columns(x, observed) - self.centre, 0.0
        )
        for feature, column in self.indicators.items():
            columns[~observed[:, feature], column] = 1.0
        if self.study.node_intercepts:
            self._add_intercepts(columns, site)
        return columns

    def seen_columns(self, observed: Mask) -> Mask:
        """Which value columns can be told from these features, shape ``(n, w)`` for ``observed`` ``(n, d)``."""
        return np.column_stack([observed[:, reads].all(axis=1) for reads in self.readers])

    def value_columns(self, x: Floats, observed: Mask) -> Floats:
        """Uncentred value columns (intercept, features, pairs), shape ``(n, w)``; 0 where a feature is missing."""
        columns = np.zeros((len(x), self.products.stop))
        columns[:, 0] = 1.0
        for i, block in enumerate(self.blocks):
            seen = observed[:, i]
            if seen.any():
                columns[seen, block] = self.feature_columns(i, x[seen, i])
        for column, (one, other) in enumerate(self.pairs.astype(np.intp), self.products.start):
            both = observed[:, one] & observed[:, other]
            columns[both, column] = self.standardised(one, x[both, one]) * self.standardised(other, x[both, other])
        return columns

    def standardised(self, feature: int, values: Floats) -> Floats:
        """Values of one feature as products read them: standard deviations from the mean, at most 4; flags ±0.5."""
        definition = self.study.features[feature]
        if definition.kind == "flag":
            return values - 0.5
        z = (rescale(definition, values) - self.mean[feature]) / self.sd[feature]
        return np.asarray(np.clip(z, -REACH, REACH))

    def fill(self, seen: Mask) -> Fill:
        """What the columns of the features ``seen`` (shape ``(d,)``) say about the others; remembered."""
        key = seen.tobytes()
        if key not in self._fills:
            self._fills[key] = fill(self.column_covariance, self.seen_columns(seen[None])[0])
        return self._fills[key]

    @cached_property
    def _fills(self) -> dict[bytes, Fill]:
        return {}

    def _add_intercepts(self, columns: Floats, site: NDArray[np.int16] | None) -> None:
        if site is None:
            columns[:, self.intercepts] = 1.0 / len(self.study.nodes)
        else:
            columns[np.arange(len(columns)), self.intercepts.start + site.astype(np.intp)] = 1.0

    def feature_columns(self, feature: int, values: Floats) -> Floats:
        """Uncentred columns of one feature, shape ``(n, width of its block)``."""
        definition = self.study.features[feature]
        if definition.kind == "flag":
            return values[:, None]
        if definition.kind == "category":
            return np.asarray(values[:, None] == np.arange(len(definition.levels)), dtype=np.float64)
        knots = self.knots[feature][~np.isnan(self.knots[feature])]
        z = (rescale(definition, values) - self.mean[feature]) / self.sd[feature]
        return np.asarray(np.clip(z[:, None], knots[:-1], knots[1:]) - knots[:-1])

    @cached_property
    def penalty(self) -> tuple[Floats, Floats]:
        """The two penalty matrices, shape ``(p, p)``: roughness (how slopes change) and size (how large they are).

        Neither touches the intercepts or the indicators.
        """
        rough, size = np.zeros((self.width, self.width)), np.zeros((self.width, self.width))
        for definition, block in zip(self.study.features, self.blocks, strict=True):
            width = block.stop - block.start
            if definition.kind == "number":
                change = np.diff(np.eye(width), axis=0)
                rough[block, block] = change.T @ change
            size[block, block] = np.eye(width) / (width if definition.kind == "number" else 1.0)
        size[self.products, self.products] = np.eye(len(self.pairs))
        return rough, size


def rescale(feature: Feature, values: Floats) -> Floats:
    """Values on the scale that knots are placed on: their logarithm for a log-scaled feature."""
    return np.log(np.maximum(values, feature.low)) if feature.scale == "log" else values


def _width(feature: Feature, knots: Floats) -> int:
    if feature.kind == "number":
        return int(np.count_nonzero(~np.isnan(knots))) - 1
    return 1 if feature.kind == "flag" else len(feature.levels)
