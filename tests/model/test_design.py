import dataclasses

import numpy as np
import pytest
from tests.federation.worlds import OFFSET_STUDY, STUDY

from fedhealth.model import Design

NAN = np.nan
# Columns: intercept | pulse, 2 segments | lead (log), 1 segment | smoker | pain, 3 levels | "lead is missing"
DESIGN = Design(
    STUDY,
    mean=np.array([80.0, 0.0, 0.0, 0.0]),
    sd=np.array([10.0, 2.0, 1.0, 1.0]),
    knots=np.array([[-4.0, 0.5, 6.0], [np.log(0.01) / 2, np.log(100) / 2, NAN], [NAN] * 3, [NAN] * 3]),
    partial=np.array([0.0, 1.0, 0.0, 0.0]),
    pairs=np.zeros((0, 2)),
    centre=np.array([0.0, 4.0, 1.0, 2.5, 0.25, 0.5, 0.3, 0.2]),
    column_covariance=np.zeros((8, 8)),
)
ALL = np.ones((1, 4), dtype=bool)


def row(*values):
    return np.array([values], dtype=np.float64)


def test_columns_by_hand():
    # pulse 95 is z = 1.5: 4.5 of the first segment (-4 to 0.5), 1.0 of the second; lead 10 is log(10)/2 from 0.
    columns = DESIGN.matrix(row(95, 10, 1, 2), ALL)
    lead = np.log(10) / 2 - np.log(0.01) / 2
    np.testing.assert_allclose(
        columns, [[1, 4.5 - 4, 1 - 1, lead - 2.5, 1 - 0.25, 0 - 0.5, 0 - 0.3, 1 - 0.2, 0]], atol=1e-15
    )


def test_a_value_below_the_first_inner_knot_travels_the_first_segment_only():
    np.testing.assert_allclose(DESIGN.feature_columns(0, np.array([40.0, 60.0, 85.0, 140.0])),
                               [[0, 0], [2, 0], [4.5, 0], [4.5, 5.5]])  # fmt: skip


def test_values_beyond_the_range_count_as_its_ends():
    np.testing.assert_array_equal(
        DESIGN.feature_columns(0, np.array([-1e9, 1e9])), DESIGN.feature_columns(0, np.array([40.0, 140.0]))
    )
    np.testing.assert_array_equal(
        DESIGN.feature_columns(1, np.array([-5.0, 0.0, 1e9])), DESIGN.feature_columns(1, np.array([0.01, 0.01, 100.0]))
    )


def test_a_missing_feature_has_zero_columns_and_its_indicator():
    columns = DESIGN.matrix(row(95, 0, 1, 2), np.array([[True, False, True, True]]))
    assert columns[0, 3] == 0
    assert columns[0, DESIGN.indicators[1]] == 1
    np.testing.assert_array_equal(columns[0, :3], [1, 0.5, 0])


def test_what_stands_in_a_missing_cell_does_not_matter():
    rng = np.random.default_rng(0)
    observed = rng.random((50, 4)) < 0.5
    x = rng.uniform(0.5, 1.5, (50, 4)).round(1)
    first = DESIGN.matrix(np.where(observed, x, 0.0), observed)
    np.testing.assert_array_equal(DESIGN.matrix(np.where(observed, x, NAN), observed), first)
    np.testing.assert_array_equal(DESIGN.matrix(np.where(observed, x, 77.0), observed), first)


def test_without_any_feature_only_the_intercept_and_the_indicators_are_left():
    columns = DESIGN.matrix(row(0, 0, 0, 0), ~ALL)
    np.testing.assert_array_equal(columns, [[1, 0, 0, 0, 0, 0, 0, 0, 1]])


def test_layout():
    assert DESIGN.width == 9
    assert [(b.start, b.stop) for b in DESIGN.blocks] == [(1, 3), (3, 4), (4, 5), (5, 8)]
    assert DESIGN.indicators == {1: 8}
    assert (DESIGN.intercepts.start, DESIGN.intercepts.stop) == (9, 9)


def test_a_known_node_has_its_own_intercept_and_a_new_one_the_average():
    design = dataclasses.replace(DESIGN, study=OFFSET_STUDY)
    assert (design.width, design.intercepts) == (13, slice(9, 13))
    rows, seen = np.repeat(row(95, 10, 1, 2), 2, axis=0), np.repeat(ALL, 2, axis=0)
    own = design.matrix(rows, seen, np.array([2, 0], dtype=np.int16))
    np.testing.assert_array_equal(own[:, 9:], [[0, 0, 1, 0], [1, 0, 0, 0]])
    np.testing.assert_array_equal(design.matrix(rows, seen)[:, 9:], 0.25)


def test_rows_do_not_influence_each_other():
    rng = np.random.default_rng(1)
    x, observed = rng.uniform(0, 2, (20, 4)).round(), rng.random((20, 4)) < 0.7
    together = DESIGN.matrix(x, observed)
    alone = np.vstack([DESIGN.matrix(x[i : i + 1], observed[i : i + 1]) for i in range(20)])
    np.testing.assert_array_equal(together, alone)
    assert DESIGN.matrix(x[:0], observed[:0]).shape == (0, 9)


def test_one_segment_is_logistic_regression():
    straight = dataclasses.replace(DESIGN, knots=np.array([[-4.0, 6.0], DESIGN.knots[1, :2], [NAN] * 2, [NAN] * 2]))
    values = np.linspace(40, 140, 7)
    np.testing.assert_allclose(straight.feature_columns(0, values)[:, 0], (values - 40) / 10, atol=1e-14)


def test_more_segments_add_up_to_one():
    values = np.linspace(40, 140, 50)
    np.testing.assert_allclose(DESIGN.feature_columns(0, values).sum(axis=1), (values - 40) / 10, atol=1e-13)


def test_penalties_by_hand():
    rough, size = DESIGN.penalty
    expected = np.zeros((9, 9))
    expected[1:3, 1:3] = [[1, -1], [-1, 1]]
    np.testing.assert_array_equal(rough, expected)
    np.testing.assert_array_equal(np.diag(size), [0, 0.5, 0.5, 1, 1, 1, 1, 1, 0])
    assert np.count_nonzero(size - np.diag(np.diag(size))) == 0


def test_the_arrays_define_the_design():
    again = Design.from_arrays(STUDY, DESIGN.arrays())
    x = row(95, 10, 1, 2)
    np.testing.assert_array_equal(again.matrix(x, ALL), DESIGN.matrix(x, ALL))
    with pytest.raises(KeyError):
        Design.from_arrays(STUDY, {})
