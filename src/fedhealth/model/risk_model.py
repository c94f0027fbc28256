"""A calibrated additive risk model that answers from any subset of features."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedhealth.model.design import Arrays, Design, Floats
from fedhealth.study import Study

INTERVAL_Z = 1.6449  # 90 % of a normal distribution


def sigmoid(logit: Floats) -> Floats:
    """The logistic function, without overflow."""
    positive: Floats = 1.0 / (1.0 + np.exp(-np.abs(logit)))
    return np.where(logit >= 0, positive, 1.0 - positive)


@dataclass(frozen=True)
class RiskModel:
    """``risk = sigmoid(a + b · columns · coefficients)``.

    Attributes:
        design: how rows become columns.
        coefficients: shape ``(p,)``.
        calibration: shape ``(2,)``; intercept ``a`` and slope ``b`` on the logit.
        covariance: shape ``(p, p)``; covariance of the coefficients (inverse penalised Hessian).
        spread: shape ``(d,)``; variance of each feature's contribution over the rows that observe it, on the logit.
    """

    design: Design
    coefficients: Floats
    calibration: Floats
    covariance: Floats
    spread: Floats

    @classmethod
    def from_arrays(cls, study: Study, arrays: Arrays) -> "RiskModel":
        """The model whose arrays are found under their own names."""
        names = ("coefficients", "calibration", "covariance", "spread")
        return cls(Design.from_arrays(study, arrays), *(np.asarray(arrays[name]) for name in names))

    def arrays(self) -> dict[str, Floats]:
        """All arrays that define the model, by name."""
        own = ("coefficients", "calibration", "covariance", "spread")
        return {**self.design.arrays(), **{name: getattr(self, name) for name in own}}

    def logit(self, x: Floats, observed: NDArray[np.bool_], site: NDArray[np.int16] | None = None) -> Floats:
        """Calibrated log-odds of each row, shape ``(n,)``; arguments as in :meth:`Design.matrix`."""
        raw = self.design.matrix(x, observed, site) @ self.coefficients
        return np.asarray(self.calibration[0] + self.calibration[1] * raw)

    def risk(self, x: Floats, observed: NDArray[np.bool_], site: NDArray[np.int16] | None = None) -> Floats:
        """Risk of each row, 0..1, shape ``(n,)``."""
        return sigmoid(self.logit(x, observed, site))

    def contributions(self, x: Floats, observed: NDArray[np.bool_]) -> Floats:
        """What each feature adds to the log-odds beside an average person, shape ``(n, d)``; 0 where missing.

        With the intercept and the indicators of missing features they add up to the logit.
        """
        weighted = self.design.matrix(x, observed) * self.coefficients * self.calibration[1]
        return np.column_stack([weighted[:, block].sum(axis=1) for block in self.design.blocks])

    def interval(self, x: Floats, observed: NDArray[np.bool_]) -> Floats:
        """A 90 % interval of each row's risk, shape ``(n, 2)``: lower and upper end, 0..1.

        Two sources of doubt add up on the logit: the coefficients' covariance, and for each missing feature the
        spread of what it contributes among people who observe it (as if features were independent, so it is wide
        where a missing feature could be guessed from the others).
        """
        columns = self.design.matrix(x, observed)
        logit = self.calibration[0] + self.calibration[1] * (columns @ self.coefficients)
        fitted = np.einsum("np,pq,nq->n", columns, self.covariance, columns)
        missing = (~observed) @ self.spread
        half = INTERVAL_Z * np.sqrt(self.calibration[1] ** 2 * np.maximum(fitted + missing, 0.0))
        return sigmoid(np.column_stack([logit - half, logit + half]))
