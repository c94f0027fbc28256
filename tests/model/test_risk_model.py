import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.federation.worlds import OFFSET_STUDY, STUDY, draw_rows, hide, make_shard, split

from fedhealth.data.shard import Shard
from fedhealth.federation import SEGMENTS, exchange_within, fit, metrics, score_histogram
from fedhealth.model import RiskModel, log_odds, sigmoid

ROWS = draw_rows(1500, seed=3, missing=[0.1, 0.2, 0.0, 0.3])
TEST = draw_rows(400, seed=4)
FULL = draw_rows(20_000, seed=3)
PARTIAL = draw_rows(400, seed=5, missing=0.4)


@pytest.fixture(scope="module", params=["additive", "logistic", "additive with node intercepts"])
def model(request) -> RiskModel:
    study = OFFSET_STUDY if "intercepts" in request.param else STUDY
    shards = split(ROWS, np.arange(len(ROWS)) % 4)
    return fit(study, exchange_within(shards, study), SEGMENTS[request.param.split()[0]]).model


def baselines(model: RiskModel, rows: Shard) -> np.ndarray:
    """The log-odds of a person from a new node of whom only the same features are known, all of them average."""
    columns = model.design.matrix(rows.x, rows.observed)
    columns[:, 1 : model.design.products.stop] = 0.0
    shrunk = np.stack([model.pattern(seen).shrunk for seen in rows.observed])
    return model.calibration[0] + model.calibration[1] * (columns * shrunk).sum(axis=1)


def test_risks_are_probabilities_that_follow_the_labels(model):
    risk = model.risk(TEST.x, TEST.observed)
    assert ((risk > 0) & (risk < 1)).all()
    assert risk[TEST.y == 1].mean() > risk[TEST.y == 0].mean() + 0.1
    assert risk.mean() == pytest.approx(TEST.y.mean(), abs=0.06)


@pytest.mark.parametrize("rows", [TEST, PARTIAL], ids=["all observed", "some missing"])
def test_contributions_add_up_to_the_logit(model, rows):
    total = baselines(model, rows) + model.contributions(rows.x, rows.observed).sum(axis=1)
    np.testing.assert_allclose(total, model.logit(rows.x, rows.observed), atol=1e-12)


def test_contributions_of_missing_features_are_zero(model):
    assert not model.contributions(PARTIAL.x, PARTIAL.observed)[~PARTIAL.observed].any()


def test_contributions_are_about_zero_on_average(model):
    parts = model.contributions(FULL.x, FULL.observed)
    np.testing.assert_allclose(parts.mean(axis=0), 0, atol=0.1)


def test_the_interval_contains_the_risk(model):
    for rows in (TEST, PARTIAL, hide(TEST, range(4))):
        low, high = model.interval(rows.x, rows.observed).T
        risk = model.risk(rows.x, rows.observed)
        assert ((low > 0) & (low < risk) & (risk < high) & (high < 1)).all()


def test_the_interval_widens_as_features_go_missing(model):
    def width(hidden):
        rows = hide(TEST, hidden)
        return np.diff(log_odds(model.interval(rows.x, rows.observed)), axis=1)[:, 0]

    steps = [width(range(hidden)) for hidden in range(5)]
    assert (np.diff([w.mean() for w in steps]) > 0).all()
    assert np.median(steps[4] / steps[0]) > 1.5
    assert all((width([feature]) > steps[0]).mean() > 0.8 for feature in range(4))


def test_a_known_node_gets_its_own_intercept():
    place = np.arange(len(ROWS)) % 4
    more = (place == 2) & (np.random.default_rng(0).random(len(ROWS)) < 0.3)
    louder = dataclasses.replace(ROWS, y=np.where(more, 1.0, ROWS.y))
    model = fit(OFFSET_STUDY, exchange_within(split(louder, place), OFFSET_STUDY)).model
    at = [model.risk(TEST.x, TEST.observed, np.full(len(TEST), i, dtype=np.int16)) for i in range(4)]
    new = model.logit(TEST.x, TEST.observed)
    assert (at[2] > at[0]).all()
    average = np.mean([log_odds(risk) for risk in at], axis=0)
    assert (np.abs(new) < np.abs(average)).all()  # a node not met before leaves some doubt
    np.testing.assert_allclose(new, average * (new / average).mean(), atol=1e-3)


def test_the_logistic_model_is_a_straight_line_in_each_number():
    model = fit(STUDY, exchange_within([ROWS], STUDY), SEGMENTS["logistic"]).model
    pulse = np.linspace(40, 140, 11)
    x = np.tile(TEST.x[0], (11, 1))
    x[:, 0] = pulse
    steps = np.diff(model.logit(x, np.ones(x.shape, dtype=bool)))
    np.testing.assert_allclose(steps, steps[0], atol=1e-10)


def test_the_additive_model_finds_a_curve_that_a_line_cannot():
    shards = [draw_rows(3000, seed=11)]
    risks = {}
    x = np.tile(TEST.x[0], (3, 1))
    x[:, 0] = [50, 80, 115]
    for name, segments in SEGMENTS.items():
        model = fit(STUDY, exchange_within(shards, STUDY), segments).model
        risks[name] = model.risk(x, np.ones(x.shape, dtype=bool))
    low, middle, high = risks["additive"]
    assert low > middle < high
    low, middle, high = risks["logistic"]
    assert (low < middle) == (middle < high)


def test_no_rows_no_risks(model):
    nobody = TEST.rows(np.zeros(len(TEST), dtype=bool))
    assert model.risk(nobody.x, nobody.observed).shape == (0,)
    assert model.interval(nobody.x, nobody.observed).shape == (0, 2)
    assert model.contributions(nobody.x, nobody.observed).shape == (0, 4)


def test_the_arrays_define_the_model(model):
    again = RiskModel.from_arrays(model.design.study, model.arrays())
    np.testing.assert_array_equal(
        again.interval(PARTIAL.x, PARTIAL.observed), model.interval(PARTIAL.x, PARTIAL.observed)
    )
    np.testing.assert_array_equal(again.risk(PARTIAL.x, PARTIAL.observed), model.risk(PARTIAL.x, PARTIAL.observed))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_the_logistic_function_neither_overflows_nor_leaves_0_to_1(values):
    logits = np.array(values)
    risk = sigmoid(logits)
    assert ((risk >= 0) & (risk <= 1)).all()
    np.testing.assert_allclose(risk + sigmoid(-logits), 1, atol=1e-15)
    assert (np.diff(risk[np.argsort(logits)]) >= 0).all()


def test_the_logistic_function_by_hand():
    np.testing.assert_allclose(sigmoid(np.array([0.0, np.log(3), -np.log(3), 800.0, -800.0])), [0.5, 0.75, 0.25, 1, 0])
    np.testing.assert_allclose(log_odds(np.array([0.5, 0.75, 0.25])), [0, np.log(3), -np.log(3)])
    np.testing.assert_allclose(log_odds(np.array([0.0, 1.0])), [np.log(1e-9), -np.log(1e-9)])


def test_what_a_missing_feature_would_say_is_guessed_from_the_others():
    """A federation in which two nodes see two copies of one thing: alone each tells all, together they count once."""
    rng = np.random.default_rng(0)
    x = draw_rows(6000, seed=13).x
    x[:, 1] = np.exp(np.clip((x[:, 0] - 80) / 10 + rng.normal(0, 0.1, len(x)), -4, 4))
    y = (rng.random(len(x)) < sigmoid((x[:, 0] - 80) / 10)).astype(float)
    full = make_shard(x, np.ones(x.shape), y, fold=np.arange(len(x)) % 3)
    place = np.arange(len(x)) % 10  # a tenth of the people is seen by both
    seen = np.column_stack([place < 6, (place == 0) | (place > 5), place >= 0, place >= 0])
    rows = dataclasses.replace(full, x=np.where(seen, x, 0.0), observed=seen)
    model = fit(STUDY, exchange_within(split(rows, place % 4), STUDY)).model
    for hidden in ([], [0], [1]):
        asked = hide(full, hidden)
        found = metrics(score_histogram(model.risk(asked.x, asked.observed), y, 0.3))
        assert found.calibration_slope == pytest.approx(1.0, abs=0.12)
