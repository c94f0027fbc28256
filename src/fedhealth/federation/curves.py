"""What a chart of a model shows beside its metrics: the ROC curve and calibration by group, from summed histograms."""

import numpy as np

from fedhealth.federation.contribution import Contribution
from fedhealth.federation.metrics import size_groups

GROUPS = 10


def curves(total: Contribution) -> dict[str, list[list[float]]]:
    """Points for charts, plain numbers for JSON; empty lists without rows of both labels.

    ``roc``: false and true positive share at every score bin that holds rows, from (0, 0) to (1, 1). ``calibration``:
    mean risk, observed share and number of rows of ``GROUPS`` groups of about equal size, from low to high risk.
    """
    positives, negatives, risks = total["positives"], total["negatives"], total["risks"]
    count = positives + negatives
    if not positives.sum() or not negatives.sum():
        return {"roc": [], "calibration": []}
    steps = np.stack([negatives[::-1] / negatives.sum(), positives[::-1] / positives.sum()])[:, count[::-1] > 0]
    group = size_groups(count, GROUPS)
    sums = [np.bincount(group, weights=values, minlength=GROUPS) for values in (risks, positives, count)]
    held = sums[2] > 0
    shares = np.stack([sums[0][held] / sums[2][held], sums[1][held] / sums[2][held], sums[2][held]])
    return {"roc": [[0.0, 0.0], *np.cumsum(steps, axis=1).T.tolist()], "calibration": shares.T.tolist()}
