"""Federated calibration: an intercept and a slope on the logit (Cox 1958; Platt 1999), fitted across folds.

Each row is scored by the fit that never saw its fold, so the slope corrects the over-confidence of the final fit.
"""

import numpy as np

from fedhealth.data.shard import Shard
from fedhealth.federation.contribution import Contribution, Floats, State, arrays
from fedhealth.model.design import Design
from fedhealth.model.risk_model import RiskModel, sigmoid
from fedhealth.study import Study

SLOPES = (0.2, 2.0)  # a fit outside would say that the scores carry nearly nothing


def contribute(study: Study, state: State, shard: Shard) -> Contribution:
    """Gradient ``(2,)`` and Hessian ``(2, 2)`` of the log loss in intercept and slope.

    ``state['coefficients']`` has one row per fold, fitted without that fold; ``state['calibration']`` is the current
    intercept and slope.
    """
    rows = shard.training
    design, logit = Design.from_arrays(study, state), np.zeros(len(rows))
    for fold, coefficients in enumerate(state["coefficients"]):
        left_out = rows.fold == fold
        chosen = rows.rows(left_out)
        model = RiskModel(design, coefficients, np.array([0.0, 1.0]), np.zeros((design.width,) * 2))
        logit[left_out] = model.logit(chosen.x, chosen.observed, chosen.site)
    return sums(logit, rows.y, state["calibration"])


def sums(logit: Floats, y: Floats, line: Floats) -> Contribution:
    """Gradient and Hessian at ``line`` (intercept and slope), of rows with these raw logits and labels."""
    columns = np.column_stack([np.ones(len(y)), logit])
    risk = sigmoid(columns @ line)
    return Contribution(
        arrays(gradient=columns.T @ (risk - y), hessian=(columns * (risk * (1 - risk))[:, None]).T @ columns),
        len(y),
    )


def update(calibration: Floats, total: Contribution) -> Floats:
    """One Newton step of at most 1 in either; the slope stays within 0.2..2, and the intercept follows it."""
    gradient, hessian = total["gradient"], total["hessian"] + 1e-9 * np.eye(2)
    intercept, slope = calibration - np.clip(np.linalg.solve(hessian, gradient), -1.0, 1.0)
    held = np.clip(slope, *SLOPES)
    if held != slope:
        step = (gradient[0] + hessian[0, 1] * (held - calibration[1])) / hessian[0, 0]
        intercept = calibration[0] - np.clip(step, -1.0, 1.0)
    return np.array([intercept, held])
