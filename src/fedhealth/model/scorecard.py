"""A risk model as points on curves: what each feature's value adds to the log-odds is looked up, and added.

Where rows observe the same features, an additive model's logit is a base, plus one piecewise linear curve per feature,
plus a product per pair. The curves are worked out once; then a row costs microseconds, and what each feature adds is
known for free. What the coefficients' doubt comes to is quadratic in the columns: with the covariance ``L Lᵀ`` it is
the squared length of ``columns @ L``, and every point of a curve carries its own part of that vector.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fedhealth.model.design import REACH, Design, Floats, rescale
from fedhealth.model.missing import Mask, fill
from fedhealth.model.risk_model import INTERVAL_Z, RiskModel, pattern_of
from fedhealth.study import Feature

RANK = 1e-12  # of the longest direction: shorter ones are rounding


@dataclass(frozen=True)
class Curve:
    """What one feature adds: ``points`` at rising ``places`` (on its scale), linear between them.

    ``first`` is the row of :attr:`Scorecard.spread` for the first place; ``mean`` and ``sd`` standardise the feature
    for products.
    """

    feature: Feature
    places: list[float]
    points: list[float]
    first: int
    mean: float
    sd: float

    def scaled(self, value: float) -> float:
        """A value (in the study's unit) on the feature's scale."""
        return math.log(max(value, self.feature.low)) if self.feature.scale == "log" else value

    def standardised(self, scaled: float) -> float:
        """Standard deviations from the mean, at most ``REACH``."""
        return min(max((scaled - self.mean) / self.sd, -REACH), REACH)


@dataclass(frozen=True)
class Product:
    """What a pair adds: ``points`` times the product of two standardised values less its mean, ``centre``.

    ``one`` and ``other`` are positions among the observed features, ``row`` is the pair's in the spread.
    """

    one: int
    other: int
    points: float
    centre: float
    row: int


class Score(NamedTuple):
    """One row's answer: calibrated log-odds, what each observed feature adds to them, and the ends of the interval."""

    logit: float
    contributions: list[float]
    low: float
    high: float


@dataclass(frozen=True)
class Scorecard:
    """A model for rows that observe the same features, those of ``curves`` in that order.

    Attributes:
        base: log-odds of an average person of whom these features are known.
        curves: one for each observed feature.
        products: one for each pair of which both features are observed.
        spread: shape ``(k, r)``: parts of ``columns @ L``, the base's, then those of all places, then of products.
        variance: of the logit before calibration, for what is missing.
        shrinkage: by how much the logit is drawn to the middle for what is missing, 0..1.
        calibration: intercept and slope.
    """

    base: float
    curves: tuple[Curve, ...]
    products: tuple[Product, ...]
    spread: Floats
    variance: float
    shrinkage: float
    calibration: tuple[float, float]

    @classmethod
    def of(cls, model: RiskModel, seen: Mask) -> "Scorecard":
        """``model`` for rows that observe just the features ``seen``, shape ``(d,)``; as a row of a new node."""
        return _Maker(model, seen).make()

    def score(self, values: Sequence[float]) -> Score:
        """The answer for one row: its observed values, in the study's units, in the order of ``curves``.

        The interval's ends are as in :meth:`RiskModel.interval`, on the logit.
        """
        weights = np.zeros(len(self.spread))
        weights[0] = 1.0
        added = self.contributions(values, weights)
        vector = weights.dot(self.spread)
        logit = self.base + sum(added)
        intercept, slope = self.calibration
        half = abs(slope) * INTERVAL_Z * math.sqrt(vector.dot(vector) + self.variance)
        middle = intercept + (logit - intercept) / self.shrinkage
        return Score(logit, added, middle - half, middle + half)

    def contributions(self, values: Sequence[float], weights: Floats | None = None) -> list[float]:
        """What each observed feature of a row adds to the log-odds, half of each product to either feature's part.

        ``weights``, if given, becomes that of each row of ``spread`` in ``columns @ L`` of this row.
        """
        added = []
        for (low, places, last, points, slopes, lengths, first), value in zip(self._lookups, values, strict=True):
            if low is not None:
                value = math.log(max(value, low))
            place = bisect_right(places, value, 1, last) - 1
            step = value - places[place]
            added.append(points[place] + step * slopes[place])
            if weights is not None:
                weights[first + place + 1] = share = step / lengths[place]
                weights[first + place] = 1.0 - share
        if self.products:
            self._add_products(values, added, weights)
        return added

    @cached_property
    def _lookups(self) -> list[tuple[float | None, list[float], int, list[float], list[float], list[float], int]]:
        """What :meth:`contributions` reads of each curve, as the list below names it."""
        return [
            (
                curve.feature.low if curve.feature.scale == "log" else None,  # the lowest value, where a scale has one
                curve.places,
                len(curve.places) - 1,
                curve.points,
                (np.diff(curve.points) / np.diff(curve.places)).tolist(),
                np.diff(curve.places).tolist(),
                curve.first,  # the row of the first place in ``spread``
            )
            for curve in self.curves
        ]

    def _add_products(self, values: Sequence[float], added: list[float], weights: Floats | None) -> None:
        scaled = [curve.scaled(value) for curve, value in zip(self.curves, values, strict=True)]
        for product in self.products:
            deviation = self._deviation(product, scaled)
            for feature in (product.one, product.other):
                added[feature] += product.points * deviation / 2
            if weights is not None:
                weights[product.row] = deviation

    def _deviation(self, product: Product, scaled: Sequence[float]) -> float:
        one, other = (self.curves[i].standardised(scaled[i]) for i in (product.one, product.other))
        return one * other - product.centre

    def logits(self, x: Floats) -> Floats:
        """Calibrated log-odds, shape ``(n,)``, of many rows ``x`` of shape ``(n, s)``."""
        scaled = [rescale(curve.feature, values) for curve, values in zip(self.curves, x.T, strict=True)]
        total = np.full(len(x), self.base)
        for curve, values in zip(self.curves, scaled, strict=True):
            total += np.interp(values, curve.places, curve.points)
        for product in self.products:
            one, other = (
                np.clip((scaled[i] - self.curves[i].mean) / self.curves[i].sd, -REACH, REACH)
                for i in (product.one, product.other)
            )
            total += product.points * (one * other - product.centre)
        return total


class _Maker:
    """Takes a model apart; ``columns`` collects those of the base, of every place and of the products."""

    def __init__(self, model: RiskModel, seen: Mask) -> None:
        self.design = model.design
        self.seen = np.flatnonzero(seen)
        known = fill(self.design.column_covariance, self.design.seen_columns(seen[None])[0])
        self.pattern = pattern_of(self.design, model.coefficients, known, new_node=True)
        intercept, slope = model.calibration.tolist()
        self.calibration = intercept, slope
        self.weights = slope * self.pattern.shrunk
        self.root = known.carry(model.covariance_root)
        self.columns = [_base_columns(self.design, seen)]

    def make(self) -> Scorecard:
        base = self.calibration[0] + float(self.columns[0] @ self.weights)
        curves = tuple(self._curve(int(feature)) for feature in self.seen)
        products = tuple(self._products())
        return Scorecard(
            base=base,
            curves=curves,
            products=products,
            spread=_fewest_columns(np.stack(self.columns) @ self.root),
            variance=self.pattern.variance,
            shrinkage=float(self.pattern.shrinkage),
            calibration=self.calibration,
        )

    def _curve(self, feature: int) -> Curve:
        design, block, first = self.design, self.design.blocks[feature], len(self.columns)
        places, values = _places(design, feature)
        columns = np.zeros((len(places), design.width))
        columns[:, block] = values - design.centre[block]
        self.columns.extend(columns)
        definition = design.study.features[feature]
        mean, sd = (0.5, 1.0) if definition.kind == "flag" else (float(design.mean[feature]), float(design.sd[feature]))
        return Curve(definition, places.tolist(), (columns @ self.weights).tolist(), first, mean, sd)

    def _products(self) -> list[Product]:
        design, found = self.design, []
        place = {int(feature): i for i, feature in enumerate(self.seen)}
        for column, (one, other) in enumerate(design.pairs.astype(int).tolist(), design.products.start):
            if one in place and other in place:
                unit = np.zeros(design.width)
                unit[column] = 1.0
                points, centre = float(self.weights[column]), float(design.centre[column])
                found.append(Product(place[one], place[other], points, centre, len(self.columns)))
                self.columns.append(unit)
        return found


def _fewest_columns(spread: Floats) -> Floats:
    """Another matrix with the same ``spread @ spread.T``, as narrow as can be: half the work of every interval."""
    left, lengths, _ = np.linalg.svd(spread, full_matrices=False)
    kept = lengths > RANK * lengths[0] if len(lengths) else slice(0)
    return np.asarray(np.ascontiguousarray((left * lengths)[:, kept]))


def _places(design: Design, feature: int) -> tuple[Floats, Floats]:
    """Where a feature's curve bends, on its scale, shape ``(k,)``, and its uncentred columns there."""
    definition = design.study.features[feature]
    if definition.kind != "number":
        places = np.arange(definition.high + 1)
        return places, design.feature_columns(feature, places)
    knots = design.knots[feature][~np.isnan(design.knots[feature])]
    columns = np.clip(knots[:, None], knots[:-1], knots[1:]) - knots[:-1]
    return design.mean[feature] + design.sd[feature] * knots, columns


def _base_columns(design: Design, seen: Mask) -> Floats:
    """The columns of an average person of whom the features ``seen`` are known, shape ``(p,)``."""
    columns: Floats = design.matrix(np.zeros((1, len(seen))), np.zeros((1, len(seen)), dtype=np.bool_))[0]
    for feature, indicator in design.indicators.items():
        columns[indicator] = 0.0 if seen[feature] else 1.0
    return columns
