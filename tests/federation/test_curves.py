"""Points for charts agree with the metrics of the same sums."""

import numpy as np
import pytest

from fedhealth.federation import curves, metrics, score_histogram
from fedhealth.model import sigmoid

RNG = np.random.default_rng(1)
LOGIT = RNG.normal(-1, 1.5, 4000)
RISK = sigmoid(LOGIT)
Y = (RNG.random(4000) < RISK).astype(float)


def test_the_area_under_the_curve_is_the_auroc():
    whole = score_histogram(RISK, Y, 0.3)
    across, up = np.array(curves(whole)["roc"]).T
    assert (across[0], up[0], across[-1], up[-1]) == pytest.approx((0, 0, 1, 1))
    assert np.trapezoid(up, across) == pytest.approx(metrics(whole).auroc, abs=1e-9)


def test_groups_of_equal_size_are_calibrated_where_the_risks_are_true():
    risk, share, count = np.array(curves(score_histogram(RISK, Y, 0.3))["calibration"]).T
    assert count.sum() == len(Y)
    assert (count > 300).all()
    assert (np.diff(risk) > 0).all()
    np.testing.assert_allclose(risk, share, atol=0.06)
    bias = metrics(score_histogram(RISK, Y, 0.3)).bias
    assert bias == pytest.approx((count @ (risk - share)) / len(Y), abs=1e-12)
    assert bias == pytest.approx(np.mean(RISK - Y), abs=1e-3)


@pytest.mark.parametrize("y", [np.zeros(20), np.ones(20), np.zeros(0)])
def test_without_both_labels_there_is_nothing_to_draw(y):
    assert curves(score_histogram(RISK[: len(y)], y, 0.3)) == {"roc": [], "calibration": []}
