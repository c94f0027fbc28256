"""What Gaussian noise costs, beside published figures and the definition."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedhealth.privacy.accounting import Budget, delta_of, epsilon_of, mu_of


@pytest.mark.parametrize(("epsilon", "mu"), [(1, 0.268), (3, 0.719), (8, 1.666)])
def test_mu_of_usual_epsilons(epsilon, mu):
    assert mu_of(epsilon, 1e-5) == pytest.approx(mu, abs=5e-4)


@given(st.floats(0.05, 20), st.floats(1e-9, 0.1))
def test_epsilon_and_mu_are_each_others_inverse_and_never_flatter(epsilon, delta):
    mu = mu_of(epsilon, delta)
    assert delta_of(mu, epsilon) <= delta
    assert epsilon * (1 - 1e-5) <= epsilon_of(mu, delta) <= epsilon * (1 + 1e-5)


def test_delta_is_the_definition_integrated():
    """The hockey-stick divergence of N(mu, 1) from N(0, 1), by hand on a fine grid."""
    mu, epsilon = 0.7, 0.5
    z = np.linspace(-12, 12, 400_001)
    density = [np.exp(-((z - shift) ** 2) / 2) / np.sqrt(2 * np.pi) for shift in (mu, 0.0)]
    by_hand = np.maximum(density[0] - np.exp(epsilon) * density[1], 0).sum() * (z[1] - z[0])
    assert delta_of(mu, epsilon) == pytest.approx(by_hand, abs=1e-7)


def test_ends():
    assert epsilon_of(0.0) == 0
    assert epsilon_of(inf) == inf
    assert delta_of(0.0, 1.0) == 0
    for epsilon, delta, said in ((0, 1e-5, "epsilon: got 0"), (1, 0, "delta: got 0"), (1, 1, "delta: got 1")):
        with pytest.raises(ValueError, match=said):
            _ = Budget(epsilon, delta).mu
