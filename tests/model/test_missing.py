"""Conditional means and variances of a normal distribution, and the logistic-normal shrinkage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedhealth.model import sigmoid
from fedhealth.model.missing import RIDGE, fill, patterns, shrinkage

COVARIANCE = np.array([[4.0, 2.0, 0.0], [2.0, 9.0, 3.0], [0.0, 3.0, 5.0]])


def test_a_fill_by_hand():
    """Given the first of three columns: means 2/4 and 0 times it, and what stays (with the ridge on its variance)."""
    found = fill(COVARIANCE, np.array([True, False, False]))
    known = 4 * (1 + RIDGE)
    np.testing.assert_allclose(found.weights, [[2 / known, 0.0]])
    np.testing.assert_allclose(found.covariance, [[9 - 4 / known, 3], [3, 5]])


def test_coefficients_are_carried_to_what_is_seen():
    found = fill(COVARIANCE, np.array([True, False, True]))
    coefficients, rows = np.array([0.5, -1.0, 2.0]), np.random.default_rng(0).normal(size=(5, 3))
    rows[:, 1] = rows[:, [0, 2]] @ found.weights[:, 0]
    np.testing.assert_allclose(rows @ found.carry(coefficients), rows @ coefficients)
    assert coefficients @ found.doubt(coefficients) == pytest.approx(found.covariance[0, 0])


def test_nothing_missing_leaves_no_doubt_and_nothing_seen_leaves_all():
    ones = np.ones(3)
    assert ones @ fill(COVARIANCE, np.ones(3, dtype=bool)).doubt(ones) == 0
    assert ones @ fill(COVARIANCE, np.zeros(3, dtype=bool)).doubt(ones) == pytest.approx(COVARIANCE.sum())


def test_columns_that_never_vary_say_nothing():
    covariance = np.zeros((2, 2))
    covariance[1, 1] = 1.0
    np.testing.assert_array_equal(fill(covariance, np.array([True, False])).weights, [[0.0]])


@pytest.mark.parametrize("mean", [-3.0, -1.0, 0.5, 2.0])
@pytest.mark.parametrize("variance", [0.2, 1.0, 2.0])
def test_shrinkage_gives_the_expected_risk(mean, variance):
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    expected = (sigmoid(mean + np.sqrt(variance) * nodes) * weights).sum() / weights.sum()
    assert sigmoid(np.array(mean * shrinkage(np.array(variance)))) == pytest.approx(expected, abs=0.013)


@given(st.lists(st.lists(st.booleans(), min_size=9, max_size=9), max_size=40))
def test_patterns_part_the_rows(rows):
    observed = np.array(rows, dtype=bool).reshape(-1, 9)
    found = list(patterns(observed))
    assert sorted(np.concatenate([places for _, places in found]).tolist() if found else []) == list(range(len(rows)))
    assert len({seen.tobytes() for seen, _ in found}) == len(found)
    assert all((observed[places] == seen).all() for seen, places in found)
