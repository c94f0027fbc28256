"""Sums for training under differential privacy: their sensitivity holds for any row, and without noise they teach."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.federation.worlds import STUDY, draw_rows, split

from fedhealth.data.shard import stack
from fedhealth.federation import (
    NETWORK_PLAN,
    PLAN,
    STEPS,
    exchange_within,
    fit,
    fit_private,
    fit_private_network,
    metrics,
    private_scores,
    score_histogram,
)
from fedhealth.federation.contribution import Contribution, arrays, total
from fedhealth.federation.private_sums import clipped
from fedhealth.model import NetworkModel
from fedhealth.model.network import WEIGHTS
from fedhealth.privacy.noise import noised

ROWS = draw_rows(6000, seed=5)
SHARDS = split(ROWS, np.arange(6000) % 4)
TEST = draw_rows(6000, seed=6)


@cache
def asked():
    """Every step of a private run with the state it was asked with."""
    states, exchange, mu = {}, exchange_within(SHARDS, STUDY), 1.0

    def listening(step, state):
        states[step] = state
        return exchange(step, state)

    fit_private_network(STUDY, listening, mu, seed=0)
    model = fit_private(STUDY, listening, mu).model
    return states | {"private_scores": model.arrays()}


STEPS_ASKED = sorted({*PLAN.times, *NETWORK_PLAN.times})


def contributed(step, rows):
    return STEPS[step](STUDY, asked()[step], rows)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.sampled_from(STEPS_ASKED), st.booleans())
def test_no_row_moves_an_answer_further_than_its_sensitivity(row, step, outlier):
    rows = SHARDS[0].rows(np.arange(len(SHARDS[0])) < 1000)
    if outlier:
        x = rows.x.copy()
        x[row, :2] = (140, 100)
        rows = replace(rows, x=x)
    with_it, without = (contributed(step, part) for part in (rows, rows.rows(np.arange(1000) != row)))
    moved = np.concatenate([np.ravel(with_it[name] - without[name]) for name in with_it.sums])
    assert np.linalg.norm(moved) <= with_it.sensitivity * (1 + 1e-9) + 1e-6


@pytest.mark.parametrize("step", STEPS_ASKED)
def test_answers_of_two_nodes_add_up_and_keep_the_larger_sensitivity(step):
    first, second, both = (contributed(step, part) for part in (SHARDS[0], SHARDS[1], stack(SHARDS[:2])))
    together = first + second
    assert together.sensitivity == both.sensitivity
    for name in both.sums:
        np.testing.assert_allclose(together[name], both[name], rtol=1e-9, atol=1e-6)


def test_the_shares_are_the_whole_budget():
    for plan in (PLAN, NETWORK_PLAN):
        assert sum(plan.shares.values()) == pytest.approx(1)
        assert sum(times * plan.spend(step, 0.3) ** 2 for step, times in plan.times.items()) == pytest.approx(0.3**2)


def noisy_exchange(shards, generator):
    exchange = exchange_within(shards, STUDY)
    return lambda step, state: {
        name: noised(reply, float(state["spend"]), generator) for name, reply in exchange(step, state).items()
    }


def figures(model):
    return metrics(score_histogram(model.risk(TEST.x, TEST.observed), TEST.y, STUDY.outcome.threshold))


def test_with_a_large_budget_the_model_is_nearly_that_without_noise():
    plain = figures(fit(STUDY, exchange_within(SHARDS, STUDY)).model)
    private = figures(fit_private(STUDY, noisy_exchange(SHARDS, np.random.default_rng(1)), mu=100.0).model)
    assert private.auroc > plain.auroc - 0.01
    assert private.calibration_slope == pytest.approx(1, abs=0.15)
    assert private.calibration_intercept == pytest.approx(0, abs=0.15)


def test_with_a_small_budget_it_still_ranks_people_and_its_mean_risk_holds():
    model = fit_private(STUDY, noisy_exchange(SHARDS, np.random.default_rng(2)), mu=0.719).model
    assert figures(model).auroc > 0.7
    assert abs(model.risk(TEST.x, TEST.observed).mean() - TEST.y.mean()) < 0.05


def test_nodes_that_observe_different_things_can_be_taught_too():
    seen = np.array([[True, False, True, False], [False, True, True, False], [False, False, True, True]])
    shards = [replace(s, observed=s.observed & seen[k % 3]) for k, s in enumerate(SHARDS)]
    study_nodes = [
        replace(node, features=tuple(n for n, there in zip(STUDY.names, seen[k % 3], strict=True) if there))
        for k, node in enumerate(STUDY.nodes)
    ]
    study = replace(STUDY, nodes=tuple(study_nodes))
    exchange, generator = exchange_within(shards, study), np.random.default_rng(3)
    model = fit_private(
        study,
        lambda step, state: {
            name: noised(reply, float(state["spend"]), generator) for name, reply in exchange(step, state).items()
        },
        mu=1.666,
    ).model
    assert figures(model).auroc > 0.65


def test_metrics_of_noisy_score_bins_are_those_of_the_scores_but_for_the_noise():
    model = fit(STUDY, exchange_within(SHARDS, STUDY)).model
    told = [STEPS["private_scores"](STUDY, model.arrays(), shard) for shard in SHARDS]
    held = stack(SHARDS).held_out
    exact = metrics(score_histogram(model.risk(held.x, held.observed, held.site), held.y, 0.3))
    coarse = metrics(private_scores(total(told), 0.3))
    assert coarse.auroc == pytest.approx(exact.auroc, abs=0.01)
    assert coarse.brier == pytest.approx(exact.brier, abs=0.01)
    assert coarse.n == exact.n


def test_noise_follows_from_the_sensitivity_and_tells_no_number_of_rows():
    answer = noised(Contribution(arrays(gradient=np.zeros(200_000)), 1000, 3.0), 0.5, np.random.default_rng(0))
    assert answer["gradient"].std() == pytest.approx(6.0, rel=0.01)
    assert (answer.noise, answer.rows) == (6.0, 0)
    for wrong in (Contribution(arrays(gradient=np.zeros(3)), 1000), Contribution(arrays(loss=1.0), 10, 1.0)):
        with pytest.raises(ValueError, match="noise for mu"):
            noised(wrong, 0.0 if np.isfinite(wrong.sensitivity) else 1.0, np.random.default_rng(0))


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "mu"), [(12, 0.1), (40, 0.268), (300, 0.1), (300, 3.0)])
def test_few_rows_and_much_noise_give_a_model_that_answers(rows, mu):
    for seed in range(5):
        shards = split(draw_rows(rows, seed=seed, missing=0.3), np.arange(rows) % 4)
        model = fit_private(STUDY, noisy_exchange(shards, np.random.default_rng(seed)), mu).model
        risk = model.risk(TEST.x, TEST.observed)
        assert ((risk >= 0) & (risk <= 1)).all()


def test_the_gradient_of_the_network_is_that_of_finite_differences():
    state = {**asked()["private_network_gradient"], "clip": np.array(1e9)}
    rows = SHARDS[0]

    def loss(bias):
        model = NetworkModel.from_arrays(STUDY, {**state, "net.2.bias": bias})
        part = rows.training
        logit = model.logit(part.x, part.observed)
        return (np.logaddexp(0, logit) - part.y * logit).sum()

    found = STEPS["private_network_gradient"](STUDY, state, rows)["gradient"]
    sizes = np.cumsum([state[name].size for name in WEIGHTS])
    bias, place = state["net.2.bias"], sizes[WEIGHTS.index("net.2.bias") - 1]
    for unit in (0, 7, 40):
        step = np.zeros_like(bias)
        step[unit] = 1e-5
        assert found[place + unit] == pytest.approx((loss(bias + step) - loss(bias - step)) / 2e-5, rel=1e-3, abs=1e-4)


def test_a_network_too_is_taught_with_noise():
    model = fit_private_network(STUDY, noisy_exchange(SHARDS, np.random.default_rng(1)), mu=5.0, seed=0).model
    assert figures(model).auroc > 0.7
    assert abs(model.risk(TEST.x, TEST.observed).mean() - TEST.y.mean()) < 0.05


def test_a_row_that_is_not_finite_counts_as_nothing():
    rows = np.array([[3.0, 4.0], [np.nan, 1.0], [np.inf, 0.0], [1e200, 1e200]])
    np.testing.assert_allclose(clipped(rows, 1.0), [[0.6, 0.8], [0, 0], [0, 0], [0, 0]])
