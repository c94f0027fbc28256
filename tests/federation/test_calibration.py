import dataclasses

import numpy as np
import pytest
from scipy.optimize import minimize
from tests.federation.worlds import STUDY, draw_rows, make_shard, split

from fedhealth.federation import STEPS, exchange_within, fit, metrics, score_histogram
from fedhealth.federation.contribution import arrays
from fedhealth.federation.training import calibrate, describe

ROWS = draw_rows(900, seed=6)
SHARDS = split(ROWS, np.arange(len(ROWS)) % 4)
DESIGN, _ = describe(STUDY, exchange_within(SHARDS, STUDY), 1)


def rowwise(coefficients):
    """The logit of each training row under the fit that left its fold out, and its label."""
    train = ROWS.training
    logits = DESIGN.matrix(train.x, train.observed) @ coefficients.T
    return logits[np.arange(len(train)), train.fold], train.y


def test_the_line_is_that_of_a_direct_fit():
    noise = np.random.default_rng(0).normal(0, 0.2, (3, DESIGN.width))
    coefficients = fit(STUDY, exchange_within(SHARDS, STUDY), 1).model.coefficients + noise
    logit, y = rowwise(coefficients)

    def loss(line):
        margin = line[0] + line[1] * logit
        gap = 1 / (1 + np.exp(-margin)) - y
        return np.mean(np.logaddexp(0, margin) - y * margin), [gap.mean(), (gap * logit).mean()]

    direct = minimize(loss, [0.0, 1.0], jac=True, options={"gtol": 1e-10}).x
    assert 0.2 < direct[1] < 2
    np.testing.assert_allclose(
        calibrate(exchange_within(SHARDS, STUDY), "calibrate", {**DESIGN.arrays(), "coefficients": coefficients}),
        direct,
        atol=1e-5,
    )


def test_a_row_is_scored_by_the_fit_that_left_its_fold_out():
    coefficients = np.zeros((3, DESIGN.width))
    coefficients[:, 0] = [-3.0, 0.0, 3.0]
    state = {**DESIGN.arrays(), **arrays(coefficients=coefficients, calibration=[0.0, 1.0])}
    one = make_shard([[80, 1, 0, 0]] * 3, np.ones((3, 4)), [0, 0, 0], fold=[0, 1, 2])
    found = STEPS["calibrate"](STUDY, state, one)
    logit = one.fold * 3.0 - 3.0 + 0.0
    risk = 1 / (1 + np.exp(-logit))
    np.testing.assert_allclose(found["gradient"], [risk.sum(), (risk * logit).sum()], atol=1e-12)


@pytest.mark.parametrize(("scale", "limit"), [(50.0, 0.2), (0.001, 2.0)])
def test_the_slope_stays_sensible(scale, limit):
    fitted = fit(STUDY, exchange_within(SHARDS, STUDY), 1).model.coefficients
    coefficients = np.tile(fitted * scale, (3, 1))
    line = calibrate(exchange_within(SHARDS, STUDY), "calibrate", {**DESIGN.arrays(), "coefficients": coefficients})
    assert np.isfinite(line).all()
    assert line[1] == limit


def test_a_fitted_model_is_calibrated_on_held_out_rows():
    big = draw_rows(8_000, seed=7)
    model = fit(STUDY, exchange_within(split(big, np.arange(8_000) % 4), STUDY)).model
    test = big.held_out
    found = metrics(score_histogram(model.risk(test.x, test.observed), test.y, 0.3))
    assert found.calibration_slope == pytest.approx(1, abs=0.2)
    assert found.calibration_intercept == pytest.approx(0, abs=0.2)
    assert found.ece < 0.06


def test_an_overconfident_small_fit_is_corrected():
    small = draw_rows(120, seed=8)
    model = fit(STUDY, exchange_within([small], STUDY), penalty=(0.001, 0.001)).model
    assert 0.2 <= model.calibration[1] < 0.95
    assert abs(model.calibration[0]) < 3


@pytest.mark.slow
@pytest.mark.parametrize("n", [40, 100, 200])
def test_few_rows_of_a_rare_outcome_give_risks_near_its_share(n):
    for seed in range(5):
        rows = draw_rows(n, seed, missing=0.2)
        y = np.zeros(n)
        y[[1, 7, 13, 29]] = 1  # of different folds, none held out
        rows = dataclasses.replace(rows, y=y)
        model = fit(STUDY, exchange_within([rows], STUDY)).model
        train = rows.training
        risk = model.risk(train.x, train.observed)
        assert risk.mean() == pytest.approx(train.y.mean(), abs=0.05), seed
        assert risk.max() < 0.9
