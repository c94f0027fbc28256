"""Newton's method on summed gradients and Hessians: exactly the pooled maximum-likelihood fit.

For the penalised log-likelihood of logistic regression, ``L(b) = sum_i log(1 + exp(m_i)) - y_i m_i + b'Pb / 2`` with
``m = X b``, the gradient ``X'(r - y) + P b`` and the Hessian ``X' diag(r (1 - r)) X + P`` are sums over rows, so sums
over nodes. Iteratively reweighted least squares: McCullagh & Nelder 1989, ch. 2; federated: Wu et al. 2012 (GLORE).

Several fits run side by side (one per penalty and fold), each with its own coefficients.
"""

import numpy as np

from fedhealth.data.shard import Shard
from fedhealth.federation.contribution import Contribution, Floats, State, arrays
from fedhealth.model.design import Design
from fedhealth.model.risk_model import sigmoid
from fedhealth.study import Study

INDICATOR_PENALTY = 16.0


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
    design = Design.from_arrays(study, state)
    matrix = design.matrix(rows.x, rows.observed, rows.site)
    active = np.flatnonzero(matrix.any(axis=0))
    matrix = matrix[:, active]
    fits, width = state["coefficients"].shape
    loss, left_out, count = np.zeros(fits), np.zeros(fits), np.zeros(fits)
    gradient, hessian = np.zeros((fits, width)), np.zeros((fits, width, width))
    for j, fold in enumerate(state["fold"]):
        margin = matrix @ state["coefficients"][j, active]
        each = np.logaddexp(0.0, margin) - rows.y * margin
        used = rows.fold != fold
        left_out[j], loss[j], count[j] = each[~used].sum(), each[used].sum(), used.sum()
        risk = sigmoid(margin)
        gradient[j, active] = matrix.T @ np.where(used, risk - rows.y, 0.0)
        weighted = matrix * np.where(used, risk * (1 - risk), 0.0)[:, None]
        hessian[j][np.ix_(active, active)] = matrix.T @ weighted
    return Contribution(arrays(loss=loss, gradient=gradient, hessian=hessian, rows=count, left_out=left_out), len(rows))


def update(state: State, total: Contribution, penalty: Floats) -> tuple[dict[str, Floats], float]:
    """One Newton step of every fit, and the largest change of a coefficient.

    ``penalty`` has shape ``(J, p, p)``. Where the last step made a fit's penalised loss worse, half of that step is
    taken back instead.
    """
    now = state["coefficients"]
    objective = total["loss"] + 0.5 * np.einsum("jp,jpq,jq->j", now, penalty, now)
    before = state.get("previous", now)
    worse = objective > state.get("objective", np.full(len(now), np.inf)) * (1 + 1e-12) + 1e-9
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
