"""Newton's method on summed gradients and Hessians: exactly the pooled maximum-likelihood fit.

The penalised negative log-likelihood is ``L(b) = sum_i log(1 + exp(m_i)) - y_i m_i + b'Pb / 2``, where row ``i`` has
the logit ``m_i = s x_i'b``: ``x_i`` are its columns with missing ones at their mean given the others, and
``s = (1 + pi b'Vb / 8)^-1/2`` shrinks it by the variance ``b'Vb`` that they leave (see :mod:`fedhealth.model.missing`;
``s = 1`` where all is observed). With ``J_i = dm_i/db = s x_i - (pi / 8) s^2 m_i V b`` the gradient
``sum_i J_i (r_i - y_i) + P b`` and the Gauss-Newton Hessian ``sum_i r_i (1 - r_i) J_i J_i' + P`` are sums over rows, so
sums over nodes. Iteratively reweighted least squares: McCullagh & Nelder 1989, ch. 2; federated: Wu et al. 2012.

Several fits run side by side (one per penalty and fold), each with its own coefficients.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedhealth.data.shard import Shard
from fedhealth.federation.contribution import Contribution, Floats, State, arrays
from fedhealth.model.design import Design
from fedhealth.model.missing import SHRINK, Fill, patterns, shrinkage
from fedhealth.model.risk_model import sigmoid
from fedhealth.study import Study

INDICATOR_PENALTY = 16.0
ROUNDED = 1e-8  # of a summed loss: secure aggregation rounds each node's to 2e-10


def init(design: Design, folds: Floats, prevalence: float) -> dict[str, Floats]:
    """State of ``J`` fits: fit ``j`` leaves out fold ``folds[j]`` (-1: none); all start at the prevalence."""
    coefficients = np.zeros((len(folds), design.width))
    coefficients[:, 0] = np.log(prevalence / (1 - prevalence))
    return {**design.arrays(), **arrays(coefficients=coefficients, fold=folds)}


def contribute(study: Study, state: State, shard: Shard) -> Contribution:
    """Loss, gradient and Hessian of each fit over its rows; and the loss over the fold that it leaves out.

    Sums: ``loss (J,)``, ``gradient (J, p)``, ``hessian (J, p, p)``, ``rows (J,)``, ``left_out (J,)``.
    """
    rows = shard.training
    parts = list(_parts(Design.from_arrays(study, state), rows))
    fits, width = state["coefficients"].shape
    loss, left_out, count = np.zeros((3, fits))
    gradient, hessian = np.zeros((fits, width)), np.zeros((fits, width, width))
    for j, fold in enumerate(state["fold"]):
        for part in parts:
            used = part.fold != fold
            each, slope, curve = part.derivatives(state["coefficients"][j], used)
            loss[j] += each[used].sum()
            left_out[j] += each[~used].sum()
            count[j] += used.sum()
            gradient[j] += slope
            hessian[j] += curve
    return Contribution(arrays(loss=loss, gradient=gradient, hessian=hessian, rows=count, left_out=left_out), len(rows))


@dataclass(frozen=True)
class _Part:
    """Rows that are summed together: either all of one pattern, on its observed columns, or rows of many, filled.

    Attributes:
        columns: shape ``(n, a)``.
        lift: shape ``(a, p)``; the filled columns are ``columns @ lift``.
        fills: the rows' patterns, in the rows' order.
        starts: the first row of each pattern.
        y, fold: shape ``(n,)``.
    """

    columns: Floats
    lift: Floats
    fills: Sequence[Fill]
    starts: NDArray[np.intp]
    y: Floats
    fold: NDArray[np.int8]

    def derivatives(self, coefficients: Floats, used: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
        """Loss of each row ``(n,)``; gradient ``(p,)`` and Hessian ``(p, p)`` over the rows that are ``used``."""
        doubts = np.stack([fill.doubt(coefficients) for fill in self.fills])
        sizes = np.diff(np.append(self.starts, len(self.y)))
        shrunk = np.repeat(shrinkage(doubts @ coefficients), sizes)
        logit = shrunk * (self.columns @ (self.lift @ coefficients))
        each = np.logaddexp(0.0, logit) - self.y * logit
        risk = sigmoid(logit)
        residual = np.where(used, risk - self.y, 0.0)
        weight = np.where(used, risk * (1 - risk), 0.0)
        pull = SHRINK * shrunk**2 * logit  # how fast doubt draws the logit to 0
        slope = self.lift.T @ (self.columns.T @ (shrunk * residual)) - doubts.T @ self._by_pattern(pull * residual)
        scaled = self.columns * (shrunk * np.sqrt(weight))[:, None]
        curve = self.lift.T @ (scaled.T @ scaled) @ self.lift
        across = self._by_pattern(self.columns * (shrunk * weight * pull)[:, None]) @ self.lift
        crossed = across.T @ doubts
        curve += (doubts.T * self._by_pattern(pull**2 * weight)) @ doubts - crossed - crossed.T
        return each, slope, curve

    def _by_pattern(self, values: Floats) -> Floats:
        return np.asarray(np.add.reduceat(values, self.starts, axis=0))


def _parts(design: Design, rows: Shard) -> Iterator[_Part]:
    """A part for every pattern with more rows than columns; one for all the others."""
    matrix = design.matrix(rows.x, rows.observed, rows.site)
    few: list[tuple[Fill, NDArray[np.intp]]] = []
    for seen, chosen in patterns(rows.observed):
        fill = design.fill(seen)
        if len(chosen) <= design.width:
            few.append((fill, chosen))
            continue
        columns = matrix[chosen]
        active = np.flatnonzero(columns.any(axis=0))
        lift = np.zeros((len(active), design.width))
        lift[np.arange(len(active)), active] = 1.0
        within = np.isin(active, fill.seen)
        lift[np.ix_(within, fill.missing)] = fill.weights[np.isin(fill.seen, active)]
        yield _Part(columns[:, active], lift, [fill], np.zeros(1, dtype=np.intp), rows.y[chosen], rows.fold[chosen])
    if few:
        order = np.concatenate([chosen for _, chosen in few])
        for fill, chosen in few:
            matrix[np.ix_(chosen, fill.missing)] = matrix[np.ix_(chosen, fill.seen)] @ fill.weights
        starts = np.cumsum([0, *(len(chosen) for _, chosen in few[:-1])])
        fills = [fill for fill, _ in few]
        yield _Part(matrix[order], np.eye(design.width), fills, starts, rows.y[order], rows.fold[order])


def update(state: State, total: Contribution, penalty: Floats) -> tuple[dict[str, Floats], float]:
    """One Newton step of every fit, and the largest change of a coefficient.

    ``penalty`` has shape ``(J, p, p)``. Where the last step made a fit's penalised loss worse, half of that step is
    taken back instead.
    """
    now = state["coefficients"]
    objective = total["loss"] + 0.5 * np.einsum("jp,jpq,jq->j", now, penalty, now)
    before = state.get("previous", now)
    worse = objective > state.get("objective", np.full(len(now), np.inf)) * (1 + 1e-12) + ROUNDED
    slope = total["gradient"] + np.einsum("jpq,jq->jp", penalty, now)
    step = np.linalg.solve(total["hessian"] + penalty, slope[..., None])[..., 0]
    following = np.where(worse[:, None], (now + before) / 2, now - step)
    kept = {
        "coefficients": following,
        "previous": np.where(worse[:, None], before, now),
        "objective": np.where(worse, state.get("objective", objective), objective),
    }
    return {**state, **kept}, float(np.abs(following - now).max())


def penalties(design: Design, rough: Floats, size: Floats) -> Floats:
    """Penalty matrices, shape ``(J, p, p)``, for ``J`` strengths of roughness and size.

    In every fit a node's own intercept has a prior standard deviation of 1 on the logit, an indicator one of 0.25 (that
    a feature is missing says little by itself; without this, patterns nobody has are all doubt), and every
    column a trace that keeps the Hessian invertible where categories or nodes are redundant.
    """
    roughness, sizes = design.penalty
    fixed = 1e-6 * np.eye(design.width)
    fixed[0, 0] = 0.0
    indicators = list(design.indicators.values())
    fixed[indicators, indicators] += INDICATOR_PENALTY
    fixed[design.intercepts, design.intercepts] += np.eye(design.intercepts.stop - design.intercepts.start)
    return np.asarray(rough[:, None, None] * roughness + size[:, None, None] * sizes + fixed)
