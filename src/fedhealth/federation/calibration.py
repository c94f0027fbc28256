"""Federated calibration: an intercept and a slope on the logit (Cox 1958; Platt 1999), fitted across folds.

Each row is scored by the fit that never saw its fold, so the slope corrects the over-confidence of the final fit.
"""

import numpy as np

from fedhealth.data.shard import Shard
from fedhealth.federation.contribution import Contribution, Floats, State, arrays
from fedhealth.model.design import Design
from fedhealth.model.risk_model import sigmoid
from fedhealth.study import Study


def contribute(study: Study, state: State, shard: Shard) -> Contribution:
    """Gradient ``(2,)`` and Hessian ``(2, 2)`` of the log loss in intercept and slope.

    ``state['coefficients']`` has one row per fold, fitted without that fold; ``state['calibration']`` is the current
    intercept and slope.
    """
    rows = shard.training
    matrix = Design.from_arrays(study, state).matrix(rows.x, rows.observed, rows.site)
    logits = matrix @ state["coefficients"].T
    return sums(logits[np.arange(len(rows)), rows.fold], rows.y, state["calibration"])


def sums(logit: Floats, y: Floats, line: Floats) -> Contribution:
    """Gradient and Hessian at ``line`` (intercept and slope), of rows with these raw logits and labels."""
    columns = np.column_stack([np.ones(len(y)), logit])
    risk = sigmoid(columns @ line)
    return Contribution(
        arrays(gradient=columns.T @ (risk - y), hessian=(columns * (risk * (1 - risk))[:, None]).T @ columns),
        len(y),
    )


def update(calibration: Floats, total: Contribution) -> Floats:
    """One Newton step, the slope held within 0.2..2 of a sensible fit."""
    step = np.linalg.solve(total["hessian"] + 1e-9 * np.eye(2), total["gradient"])
    after = calibration - step
    return np.array([after[0], np.clip(after[1], 0.2, 2.0)])
