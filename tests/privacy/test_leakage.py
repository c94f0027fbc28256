"""The audit of leakage: it finds what leaks, does not find what does not, and catches broken mechanisms."""

import numpy as np
import pytest
from tests.federation.worlds import STUDY, draw_rows

from fedhealth.federation import exchange_within, fit_private
from fedhealth.privacy import Budget
from fedhealth.privacy.leakage import canaries, differencing, membership
from fedhealth.privacy.noise import noised

ROWS = draw_rows(240, seed=2)
EPSILON, DELTA = 3.0, 1e-5
MU = Budget(EPSILON, DELTA).mu


def honest(nodes, generator, price=lambda state: float(state["spend"])):
    inner = exchange_within(nodes, STUDY)
    return lambda step, state: {
        name: noised(reply, price(state), generator) for name, reply in inner(step, state).items()
    }


def audit(seed, runs=300, **sabotage):
    generator = np.random.default_rng(seed)
    return canaries(STUDY, ROWS, MU, lambda nodes: honest(nodes, generator, **sabotage), runs, seed, DELTA)


@pytest.mark.slow
def test_an_honest_mechanism_spends_no_more_than_it_claims_and_is_seen_to_spend_something():
    found = audit(0, runs=200)
    assert found.epsilon_low <= EPSILON
    assert found.found > found.accused + 0.05


@pytest.mark.full
@pytest.mark.timeout(900)
def test_twenty_audits_of_an_honest_mechanism_stay_below_its_claim():
    assert all(audit(seed).epsilon_low <= EPSILON for seed in range(20))


@pytest.mark.full
@pytest.mark.parametrize(
    "sabotage",
    [
        {"price": lambda state: float(state["spend"]) * np.sqrt(5)},  # five nodes add shares of var / K^2
        {"price": lambda state: MU},  # composition forgotten: every answer has the whole budget
    ],
)
def test_broken_noise_is_caught(sabotage):
    assert audit(1, runs=600, **sabotage).epsilon_low > EPSILON


@pytest.mark.full
def test_missing_clipping_is_caught(monkeypatch):
    from fedhealth.federation import private_sums

    monkeypatch.setattr(private_sums, "clipped", lambda rows, bound: rows)
    assert audit(1, runs=300).epsilon_low > EPSILON


def shadows(n, m, leak, seed=0):
    """Scores that are higher by ``leak`` where a row was trained on."""
    rng = np.random.default_rng(seed)
    inside = rng.random((m + 1, n)) < 0.5
    scores = rng.normal(size=n) + rng.normal(size=(m + 1, n)) + leak * inside
    return scores[0], inside[0], scores[1:], inside[1:]


def test_membership_is_found_as_far_as_it_shows():
    nothing, much = (membership(*shadows(4000, 64, leak)) for leak in (0.0, 2.0))
    assert nothing.auc == pytest.approx(0.5, abs=0.03)
    assert nothing.tpr_at[0.01] < 0.02
    assert much.auc == pytest.approx(0.921, abs=0.02)  # Phi(2 / sqrt 2)
    assert much.tpr_at[0.01] > 0.2
    assert much.tpr_high > much.tpr_at[0.01]


def test_differencing_rebuilds_people_from_exact_answers_and_nobody_from_noisy_ones():
    states = {}

    def listening(step, state):
        states[step] = state
        return exchange_within([ROWS], STUDY)(step, state)

    fit_private(STUDY, listening, MU)
    state, generator = states["private_products"], np.random.default_rng(0)
    assert differencing(STUDY, ROWS, "private_products", state, lambda answer: answer) == 1.0
    price = float(state["spend"])
    assert differencing(STUDY, ROWS, "private_products", state, lambda answer: noised(answer, price, generator)) == 0.0
