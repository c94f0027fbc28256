"""Federated equals pooled, and both equal the textbook's fit."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from tests.federation.worlds import OFFSET_STUDY, STUDY, draw_rows, make_shard, split

from fedhealth.data.shard import stack
from fedhealth.federation import SEGMENTS, exchange_within, fit, newton
from fedhealth.federation.training import describe
from fedhealth.model import risk_model
from fedhealth.model.missing import patterns

TINY = 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("model", SEGMENTS)
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(60, 300),
    missing=st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=4, max_size=4),
    shares=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    offsets=st.booleans(),
)
def test_federated_equals_pooled_over_random_splits_of_the_rows(model, seed, n, missing, shares, offsets):
    study = OFFSET_STUDY if offsets else STUDY
    rng = np.random.default_rng(seed)
    place = rng.choice(4, n, p=np.array(shares) / sum(shares))
    shards = [s for s in split(draw_rows(n, seed, missing), place) if len(s.training)]
    federated = fit(study, exchange_within(shards, study), SEGMENTS[model])
    pooled = fit(study, exchange_within([stack(shards)], study), SEGMENTS[model])
    assert federated.penalty == pooled.penalty
    np.testing.assert_allclose(federated.model.coefficients, pooled.model.coefficients, rtol=0, atol=TINY)
    np.testing.assert_allclose(federated.model.calibration, pooled.model.calibration, rtol=0, atol=1e-6)
    covariances = [found.model.design.column_covariance for found in (federated, pooled)]
    np.testing.assert_allclose(*covariances, rtol=0, atol=TINY)
    np.testing.assert_allclose(federated.model.covariance, pooled.model.covariance, rtol=1e-6, atol=TINY)


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    blocks=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=4, max_size=4),
)
def test_federated_equals_pooled_where_nodes_observe_different_features(seed, blocks):
    shards = split(draw_rows(240, seed), np.arange(240) % 4)
    for i, block in enumerate(blocks):
        observed = shards[i].observed & np.array(block)
        shards[i] = dataclasses.replace(shards[i], observed=observed, x=np.where(observed, shards[i].x, 0.0))
    federated = fit(OFFSET_STUDY, exchange_within(shards, OFFSET_STUDY))
    pooled = fit(OFFSET_STUDY, exchange_within([stack(shards)], OFFSET_STUDY))
    np.testing.assert_allclose(federated.model.coefficients, pooled.model.coefficients, rtol=0, atol=TINY)


@pytest.mark.slow
@pytest.mark.parametrize("values", [2, 3])
@pytest.mark.parametrize("low", [0.1, 36.6, 1 / 3])
def test_federated_equals_pooled_where_values_stand_on_the_edges_of_counting_bins(low, values):
    """A few values, equally often: round numbers of standard deviations from the mean, so of bins."""
    study = dataclasses.replace(
        STUDY, features=(dataclasses.replace(STUDY.features[0], low=-1000.0, high=1000.0), *STUDY.features[1:])
    )
    n = 450
    rows = draw_rows(n, seed=2)
    x = rows.x.copy()
    x[:, 0] = low + 0.7 * (np.arange(n) // 5 % values)
    rows = dataclasses.replace(rows, x=x)
    pooled = fit(study, exchange_within([rows], study), penalty=(1.0, 0.3)).model.coefficients
    for seed in range(6):
        place = np.random.default_rng(seed).integers(4, size=n)
        federated = fit(study, exchange_within(split(rows, place), study), penalty=(1.0, 0.3)).model.coefficients
        np.testing.assert_allclose(federated, pooled, rtol=0, atol=TINY)


def test_the_order_of_the_nodes_does_not_matter():
    shards = split(draw_rows(400, seed=5, missing=0.2), np.arange(400) % 4)
    forward = fit(OFFSET_STUDY, exchange_within(shards, OFFSET_STUDY)).model
    backward = fit(OFFSET_STUDY, exchange_within(shards[::-1], OFFSET_STUDY)).model
    np.testing.assert_allclose(forward.coefficients, backward.coefficients, rtol=0, atol=TINY)


def test_a_fit_equals_scikit_learn():
    """One flag and one straight line, all observed: ridge logistic regression on (z, flag)."""
    study = dataclasses.replace(
        STUDY,
        features=(STUDY.features[0], STUDY.features[2]),
        nodes=(dataclasses.replace(STUDY.nodes[0], features=("pulse", "smoker")),),
    )
    drawn = draw_rows(500, seed=9)
    rows = dataclasses.replace(drawn, x=drawn.x[:, [0, 2]], observed=drawn.observed[:, [0, 2]])
    found = fit(study, exchange_within([rows], study), SEGMENTS["logistic"], penalty=(0.0, 3.0)).model
    train = rows.training
    z = (train.x[:, 0] - train.x[:, 0].mean()) / train.x[:, 0].std()
    columns = np.column_stack([z, train.x[:, 1] - train.x[:, 1].mean()])
    expected = LogisticRegression(C=1 / (3 + 1e-6), tol=1e-12, max_iter=1000).fit(columns, train.y)
    np.testing.assert_allclose(found.coefficients[1:], expected.coef_[0], atol=1e-6)
    np.testing.assert_allclose(found.coefficients[0], expected.intercept_[0], atol=1e-6)


def test_a_fit_by_hand():
    """A flag alone, almost without penalty: the log odds of either group."""
    flag = np.array([0] * 10 + [1] * 10)
    y = np.array([1] * 2 + [0] * 8 + [1] * 6 + [0] * 4)
    study = dataclasses.replace(
        STUDY, features=(STUDY.features[2],), nodes=(dataclasses.replace(STUDY.nodes[0], features=("smoker",)),)
    )
    rows = make_shard(flag[:, None], np.ones((20, 1)), y, fold=np.arange(20) % 3)
    found = fit(study, exchange_within([rows], study), penalty=(0.0, 0.0)).model
    assert found.coefficients[1] == pytest.approx(np.log(6 / 4) - np.log(2 / 8), abs=1e-5)
    without_flag, with_flag = found.coefficients[0] + found.coefficients[1] * np.array([-0.5, 0.5])
    assert without_flag == pytest.approx(np.log(2 / 8), abs=1e-5)
    assert with_flag == pytest.approx(np.log(6 / 4), abs=1e-5)


@pytest.mark.parametrize("study", [STUDY, OFFSET_STUDY], ids=["plain", "node intercepts"])
def test_a_fit_is_the_minimum_of_the_penalised_loss(study):
    shards = split(draw_rows(500, seed=7, missing=[0.2, 0, 0, 0.3]), np.arange(500) % 4)
    found = fit(study, exchange_within(shards, study), penalty=(30.0, 3.0)).model
    train = stack(shards).training
    matrix = found.design.matrix(train.x, train.observed, train.site)
    penalty = newton.penalties(found.design, np.array([30.0]), np.array([3.0]))[0]

    def loss(b):
        logit = np.zeros(len(train))
        for seen, rows in patterns(train.observed):
            logit[rows] = (
                matrix[rows] @ risk_model.pattern_of(found.design, b, found.design.fill(seen), new_node=False).shrunk
            )
        return (np.logaddexp(0, logit) - train.y * logit).sum() + b @ penalty @ b / 2

    def slope(b):
        each = 1e-5 * np.eye(len(b))
        return np.array([(loss(b + step) - loss(b - step)) / 2e-5 for step in each])

    assert np.abs(slope(found.coefficients)).max() < 1e-4
    rng = np.random.default_rng(0)
    best = loss(found.coefficients)
    assert all(loss(found.coefficients + rng.normal(0, size, matrix.shape[1])) > best for size in (0.01, 0.1, 1.0))


def test_the_covariance_is_the_inverse_hessian():
    rows = draw_rows(400, seed=8)
    found = fit(STUDY, exchange_within([rows], STUDY), penalty=(30.0, 3.0)).model
    train = rows.training
    matrix = found.design.matrix(train.x, train.observed)
    risk = 1 / (1 + np.exp(-matrix @ found.coefficients))
    hessian = (matrix * (risk * (1 - risk))[:, None]).T @ matrix
    penalty = newton.penalties(found.design, np.array([30.0]), np.array([3.0]))[0]
    np.testing.assert_allclose(found.covariance @ (hessian + penalty), np.eye(len(hessian)), atol=1e-5)


def test_a_contribution_by_hand():
    rows = make_shard([[80.0, 1.0, 1.0, 0.0], [90.0, 1.0, 0.0, 2.0]], np.ones((2, 4)), [1, 0], fold=[0, 1])
    design, _ = describe(STUDY, exchange_within([rows], STUDY), 1)
    state = newton.init(design, np.array([-1.0, 0.0]), prevalence=0.25)
    found = newton.contribute(STUDY, state, rows)
    np.testing.assert_allclose(state["coefficients"][:, 0], np.log(1 / 3))
    np.testing.assert_allclose(found["loss"], [-np.log(0.25) - np.log(0.75), -np.log(0.75)])
    np.testing.assert_allclose(found["left_out"], [0, -np.log(0.25)])
    np.testing.assert_array_equal(found["rows"], [2, 1])
    np.testing.assert_allclose(found["gradient"][:, 0], [-0.75 + 0.25, 0.25])
    np.testing.assert_allclose(found["hessian"][:, 0, 0], [2 * 0.1875, 0.1875])
    np.testing.assert_array_equal(found["hessian"], found["hessian"].transpose(0, 2, 1))


def test_separable_rows_still_end_in_finite_coefficients():
    x = np.column_stack([np.linspace(50, 110, 90), np.ones(90), np.arange(90) >= 45, np.zeros(90)])
    rows = make_shard(x, np.ones(x.shape), np.arange(90) >= 45)
    found = fit(STUDY, exchange_within([rows], STUDY))
    assert np.isfinite(found.model.coefficients).all()
    risk = found.model.risk(x, np.ones(x.shape, dtype=bool))
    assert risk[:45].max() < 0.5 < risk[45:].min()


def test_a_rare_outcome_converges():
    rows = draw_rows(2000, seed=12)
    rare = dataclasses.replace(rows, y=(np.arange(2000) % 200 == 7).astype(float))
    found = fit(STUDY, exchange_within([rare], STUDY))
    assert found.rounds < 15
    assert found.model.risk(rare.x, rare.observed).mean() == pytest.approx(0.005, abs=0.004)
