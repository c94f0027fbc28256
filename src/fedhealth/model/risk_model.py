"""A calibrated additive risk model that answers from any subset of features."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedhealth.model.design import Arrays, Design, Floats
from fedhealth.model.missing import Fill, Mask, patterns, shrinkage
from fedhealth.study import Study

INTERVAL_Z = 1.96  # 95 % of a normal distribution
NEGLIGIBLE = 1e-14  # of the largest variance
OWN = ("coefficients", "calibration", "covariance")


def sigmoid(logit: Floats) -> Floats:
    """The logistic function, without overflow."""
    positive: Floats = 1.0 / (1.0 + np.exp(-np.abs(logit)))
    return np.where(logit >= 0, positive, 1.0 - positive)


def log_odds(risk: Floats) -> Floats:
    """The logit of risks, finite at 0 and 1 too: no risk counts as nearer to them than 1e-9."""
    inside = np.clip(risk, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(inside / (1 - inside)))


@dataclass(frozen=True)
class Pattern:
    """The model for rows that observe the same features, on the logit before calibration.

    Attributes:
        coefficients: shape ``(p,)``; on the observed columns, for the mean of the full logit.
        variance: of the full logit about that mean.
        fill: what the observed columns say about the missing ones.
    """

    coefficients: Floats
    variance: float
    fill: Fill

    @property
    def shrinkage(self) -> Floats:
        """What the mean logit is multiplied with for the logit of the expected risk: 0..1."""
        return shrinkage(np.array(self.variance))

    @cached_property
    def shrunk(self) -> Floats:
        """Coefficients for the logit of the expected risk, shape ``(p,)``."""
        return self.coefficients * self.shrinkage


@dataclass(frozen=True)
class RiskModel:
    """``risk = sigmoid(a + b · s · columns · coefficients)``, with missing columns at their mean given the others.

    ``s`` (0..1) shrinks a logit that is in doubt because features are missing: see :mod:`fedhealth.model.missing`.

    Attributes:
        design: how rows become columns.
        coefficients: shape ``(p,)``.
        calibration: shape ``(2,)``; intercept ``a`` and slope ``b`` on the logit.
        covariance: shape ``(p, p)``; covariance of the coefficients (inverse penalised Hessian).
    """

    design: Design
    coefficients: Floats
    calibration: Floats
    covariance: Floats

    @classmethod
    def from_arrays(cls, study: Study, arrays: Arrays) -> "RiskModel":
        """The model whose arrays are found under their own names."""
        return cls(Design.from_arrays(study, arrays), *(np.asarray(arrays[name]) for name in OWN))

    def arrays(self) -> dict[str, Floats]:
        """All arrays that define the model, by name."""
        return {**self.design.arrays(), **{name: getattr(self, name) for name in OWN}}

    def pattern(self, seen: Mask, new_node: bool = True) -> Pattern:
        """The model for rows that observe just the features ``seen`` (shape ``(d,)``); remembered.

        A row of a ``new_node`` is also in doubt about its node's intercept.
        """
        key = (seen.tobytes(), new_node)
        if key not in self._patterns:
            self._patterns[key] = pattern_of(self.design, self.coefficients, self.design.fill(seen), new_node)
        return self._patterns[key]

    @cached_property
    def _patterns(self) -> dict[tuple[bytes, bool], Pattern]:
        return {}

    @cached_property
    def covariance_root(self) -> Floats:
        """``L``, shape ``(p, r)``, with ``L Lᵀ`` the coefficients' covariance."""
        values, vectors = np.linalg.eigh(self.covariance)
        kept = values > NEGLIGIBLE * values[-1]
        return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))

    @property
    def study(self) -> Study:
        """The study whose features, in order, are read."""
        return self.design.study

    def logit(self, x: Floats, observed: Mask, site: NDArray[np.int16] | None = None) -> Floats:
        """Calibrated log-odds of each row, shape ``(n,)``; arguments as in :meth:`Design.matrix`."""
        columns, raw = self.design.matrix(x, observed, site), np.zeros(len(x))
        for seen, rows in patterns(observed):
            raw[rows] = columns[rows] @ self.pattern(seen, site is None).shrunk
        return np.asarray(self.calibration[0] + self.calibration[1] * raw)

    def risk(self, x: Floats, observed: Mask, site: NDArray[np.int16] | None = None) -> Floats:
        """Risk of each row, 0..1, shape ``(n,)``."""
        return sigmoid(self.logit(x, observed, site))

    def contributions(self, x: Floats, observed: Mask) -> Floats:
        """What each feature adds to the log-odds beside an average person, shape ``(n, d)``; 0 where missing.

        A feature answers also for what it says about missing ones; a product is shared by its two features. With the
        intercept and the indicators of missing features they add up to the logit.
        """
        columns, added = self.design.matrix(x, observed), np.zeros(x.shape)
        reads = self.design.readers.astype(np.float64)
        shares = reads / np.maximum(reads.sum(axis=1, keepdims=True), 1.0)
        for seen, rows in patterns(observed):
            weights = self.pattern(seen).shrunk * self.calibration[1]
            added[rows] = (columns[rows] * weights)[:, : len(shares)] @ shares
        return added

    def interval(self, x: Floats, observed: Mask) -> Floats:
        """A 95 % interval of the risk that all features would give, shape ``(n, 2)``: lower and upper end, 0..1.

        Two sources of doubt add up on the logit: the coefficients' covariance, and what the missing features would
        add, given the observed ones.
        """
        columns, ends = self.design.matrix(x, observed), np.zeros((len(x), 2))
        for seen, rows in patterns(observed):
            pattern = self.pattern(seen)
            fill, filled = pattern.fill, columns[rows]
            mean = filled @ pattern.coefficients
            filled[:, fill.missing] = filled[:, fill.seen] @ fill.weights
            fitted = np.einsum("np,pq,nq->n", filled, self.covariance, filled, optimize=True)
            half = INTERVAL_Z * np.sqrt(np.maximum(fitted, 0.0) + pattern.variance)
            ends[rows] = np.column_stack([mean - half, mean + half])
        return sigmoid(self.calibration[0] + self.calibration[1] * ends)


def pattern_of(design: Design, coefficients: Floats, fill: Fill, new_node: bool) -> Pattern:
    """What ``coefficients`` (shape ``(p,)``) come to where ``fill`` says what the known columns tell of the others.

    In a row of a ``new_node`` the node's intercept is integrated out: it varies as those of the study's nodes do.
    """
    variance = float(coefficients @ fill.doubt(coefficients))
    if new_node and design.study.node_intercepts:
        variance += float(coefficients[design.intercepts].var())
    return Pattern(fill.carry(coefficients), max(variance, 0.0), fill)
