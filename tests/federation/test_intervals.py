"""Intervals beside formulas over rows, and how often they hold the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.federation.test_metrics import measure, scored

from fedhealth.federation import intervals
from fedhealth.model import sigmoid


def test_delong_by_hand():
    # Scores 0.2- 0.6+ 0.7- 0.8+: placements 1 and 1/2 of the positives, 1 and 1/2 of the negatives.
    value, variance = intervals.auroc(np.array([0.0, 1, 0, 1]), np.array([1.0, 0, 1, 0]))
    assert value == 0.75
    assert variance == pytest.approx(0.125 / 2 + 0.125 / 2)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=8))
def test_auroc_and_its_variance_are_those_over_pairs(counts):
    positives, negatives = np.array(counts, dtype=np.float64).T
    if positives.sum() < 2 or negatives.sum() < 2:
        assert np.isnan(intervals.auroc(positives, negatives)[1])
        return
    bins = np.arange(len(counts))
    high, low = np.repeat(bins, positives.astype(int)), np.repeat(bins, negatives.astype(int))
    wins = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    value, variance = intervals.auroc(positives, negatives)
    assert value == pytest.approx(wins.mean())
    by_row, by_column = wins.mean(axis=1).var(ddof=1) / len(high), wins.mean(axis=0).var(ddof=1) / len(low)
    assert variance == pytest.approx(by_row + by_column, abs=1e-12)


def test_a_mean_by_hand():
    # 1, 2, 3: mean 2, standard deviation 1, standard error 1 / sqrt(3).
    low, high = intervals.of_mean(6.0, 14.0, 3)
    assert (low, high) == pytest.approx((2 - 1.959964 / 3**0.5, 2 + 1.959964 / 3**0.5))
    assert np.isnan(intervals.of_mean(1.0, 1.0, 1)).all()


def test_a_share_stays_between_0_and_1():
    low, high = intervals.of_share(0.97, 0.03**2)
    assert 0 < low < 0.97 < high < 1
    assert np.isnan(intervals.of_share(1.0, 0.0)).all()


def test_the_calibration_slope_has_the_standard_error_of_a_direct_fit():
    risk, y = scored(4000, seed=1)
    found = measure(risk, y)
    logit = np.log(risk / (1 - risk))
    columns = np.column_stack([np.ones(len(y)), logit])
    fitted = sigmoid(columns @ [found.calibration_intercept, found.calibration_slope])
    covariance = np.linalg.inv((columns * (fitted * (1 - fitted))[:, None]).T @ columns)
    half = (found.calibration_slope_high - found.calibration_slope_low) / 2
    assert half == pytest.approx(1.959964 * covariance[1, 1] ** 0.5, rel=5e-3)
    half = (found.calibration_intercept_high - found.calibration_intercept_low) / 2
    assert half == pytest.approx(1.959964 * covariance[0, 0] ** 0.5, rel=5e-3)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = measure(*scored(400_000, seed=0))
    draws = [measure(*scored(250, seed)) for seed in range(1, 301)]
    expected = {"auroc": truth.auroc, "brier": truth.brier, "log_loss": truth.log_loss}
    expected |= {"calibration_slope": 1.0, "calibration_intercept": 0.0}
    for name, value in expected.items():
        held = np.mean([getattr(d, f"{name}_low") <= value <= getattr(d, f"{name}_high") for d in draws])
        assert 0.91 <= held <= 0.985, name
