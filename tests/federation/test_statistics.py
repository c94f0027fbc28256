import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.federation.worlds import STUDY, draw_rows, make_shard, split

from fedhealth.federation import exchange_within, statistics, total
from fedhealth.federation.contribution import arrays
from fedhealth.federation.training import describe
from fedhealth.study import load_study

ROWS = draw_rows(600, seed=0, missing=[0.2, 0.0, 0.1, 0.3])


def moments_of(rows):
    return statistics.moments(STUDY, total([statistics.contribute_moments(STUDY, {}, s) for s in rows]))


def test_moments_are_those_of_numpy_over_observed_training_rows():
    mean, sd, partial = moments_of(split(ROWS, np.arange(len(ROWS)) % 4))
    train = ROWS.training
    pulse, lead = train.x[train.observed[:, 0], 0], np.log(train.x[:, 1])
    np.testing.assert_allclose(mean, [pulse.mean(), lead.mean(), 0, 0], atol=1e-12)
    np.testing.assert_allclose(sd, [pulse.std(), lead.std(), 1, 1], atol=1e-12)
    np.testing.assert_array_equal(partial, [1, 0, 1, 1])


def test_held_out_rows_are_not_looked_at():
    held_out = ROWS.fold < 0
    x, y = np.where(held_out[:, None], 99.0, ROWS.x), np.where(held_out, 1.0, ROWS.y)
    spoilt = dataclasses.replace(ROWS, x=x, y=y)
    for before, after in zip(moments_of([ROWS]), moments_of([spoilt]), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_constant_and_an_unobserved_number_are_harmless():
    rows = make_shard(
        np.column_stack([np.full(40, 72.3), np.zeros(40), np.arange(40) % 2, np.zeros(40)]),
        np.tile([True, False, True, True], (40, 1)),
        np.arange(40) % 2,
    )
    mean, sd, partial = moments_of([rows])
    np.testing.assert_allclose(mean, [72.3, 0, 0, 0])
    np.testing.assert_array_equal(sd, 1)
    np.testing.assert_array_equal(partial, 0)


@given(st.floats(0.1, 1e6), st.integers(2, 400))
def test_a_constant_number_has_no_spread_however_large_it_is(value, n):
    study = dataclasses.replace(STUDY, features=(dataclasses.replace(STUDY.features[0], high=1e9, low=0.0),))
    rows = make_shard(np.full((n, 1), value), np.ones((n, 1)), np.arange(n) % 2, fold=np.zeros(n))
    found = statistics.contribute_moments(study, {}, rows)
    np.testing.assert_array_equal(statistics.moments(study, found)[1], 1.0)


values = st.lists(st.floats(40, 140), min_size=1, max_size=200)


@given(values, st.lists(st.floats(0.01, 0.99), min_size=1, max_size=5))
def test_quantiles_are_exact_to_a_bin(sample, probabilities):
    low, high = 40.0, 140.0
    counts = np.histogram(sample, bins=statistics.BINS, range=(low, high))[0].astype(np.float64)
    found = statistics.quantiles(counts, low, high, np.array(probabilities))
    width = (high - low) / statistics.BINS
    below = np.quantile(sample, probabilities, method="inverted_cdf")
    above = np.quantile(sample, probabilities, method="higher")
    assert (found >= np.minimum(below, above) - width - 1e-9).all()
    assert (found <= np.maximum(below, above) + width + 1e-9).all()


def test_quantiles_by_hand():
    np.testing.assert_allclose(
        statistics.quantiles(np.array([2.0, 0.0, 2.0]), 0.0, 3.0, np.array([0.25, 0.75, 1.0])), [0.5, 2.5, 3.0]
    )
    assert statistics.quantiles(np.zeros(5), 0.0, 1.0, np.array([0.5])).size == 0


def test_many_values_have_the_quantiles_of_numpy():
    sample = np.random.default_rng(0).normal(80, 15, 20_000).clip(40, 140)
    x = np.zeros((len(sample), 4))
    x[:, 0] = sample
    rows = make_shard(x, np.tile([True, False, False, False], (len(x), 1)), np.arange(len(x)) % 2)
    design, description = describe(STUDY, exchange_within(split(rows, np.arange(len(x)) % 3), STUDY), 8)
    inner = design.knots[0][1:-1] * design.sd[0] + design.mean[0]
    np.testing.assert_allclose(inner, np.quantile(rows.training.x[:, 0], np.arange(1, 8) / 8), atol=0.75)
    assert description.reference["counts"][0].sum() == len(rows.training)


def test_knots_end_at_the_plausible_range_and_rise():
    design, _ = describe(STUDY, exchange_within([ROWS], STUDY), 8)
    for i in (0, 1):
        found = design.knots[i][~np.isnan(design.knots[i])] * design.sd[i] + design.mean[i]
        feature = STUDY.features[i]
        ends = statistics.rescale(feature, np.array([feature.low, feature.high]))
        np.testing.assert_allclose(found[[0, -1]], ends)
        assert (np.diff(found) > 0).all()
        assert len(found) <= 9
    assert np.isnan(design.knots[2:]).all()


def test_few_different_values_get_few_knots():
    x = np.zeros((200, 4))
    x[:, 0] = np.where(np.arange(200) % 10 == 0, 100, 60)
    x[:, 1] = 1.0
    design, _ = describe(STUDY, exchange_within([make_shard(x, np.ones(x.shape), np.arange(200) % 3 == 0)], STUDY), 8)
    knots = design.knots[0][~np.isnan(design.knots[0])]
    assert (np.diff(knots) > 0.01).all()


def test_one_segment_has_no_inner_knot():
    design, _ = describe(STUDY, exchange_within([ROWS], STUDY), 1)
    assert design.knots.shape == (4, 2)
    assert [b.stop - b.start for b in design.blocks] == [1, 1, 1, 3]


def test_columns_are_centred_where_they_are_observed():
    design, _ = describe(STUDY, exchange_within([ROWS], STUDY), 8)
    train = ROWS.training
    matrix = design.matrix(train.x, train.observed)
    for i, block in enumerate(design.blocks):
        np.testing.assert_allclose(matrix[train.observed[:, i], block].mean(axis=0), 0, atol=1e-12)


def test_the_covariance_of_fully_observed_columns_is_that_of_numpy():
    rows = draw_rows(4000, seed=31)
    design, _ = describe(STUDY, exchange_within(split(rows, np.arange(len(rows)) % 4), STUDY), 8)
    train = rows.training
    expected = np.cov(design.value_columns(train.x, train.observed).T, bias=True)
    for block in design.blocks:
        np.testing.assert_allclose(design.column_covariance[block, block], expected[block, block], rtol=0.05, atol=0.01)


def test_an_inventory_counts_all_rows_and_values():
    found = statistics.contribute_inventory(STUDY, {}, ROWS)
    assert found.rows == len(ROWS) == found["rows"]
    np.testing.assert_array_equal(found["seen"], ROWS.observed.sum(axis=0))


def test_reference_histograms_by_city_and_month():
    study = dataclasses.replace(STUDY, cities=("Karachi", "Lahore"))
    train = ROWS.training
    stratum = np.random.default_rng(0).integers(-1, 24, len(ROWS)).astype(np.int16)
    rows = dataclasses.replace(ROWS, stratum=stratum)
    _, description = describe(study, exchange_within(split(rows, np.arange(len(rows)) % 4), study), 8)
    found = description.reference["by_stratum"]
    known = rows.training.stratum >= 0
    assert found.shape == (24, 4, 10)
    np.testing.assert_array_equal(found.sum(axis=(0, 2)), train.observed[known].sum(axis=0))
    np.testing.assert_array_equal(
        description.reference["stratum_rows"], np.bincount(rows.training.stratum[known], minlength=24)
    )
    place = 14
    smokers = (rows.training.stratum == place) & train.observed[:, 2]
    np.testing.assert_array_equal(found[place, 2, :2], np.bincount(train.x[smokers, 2].astype(int), minlength=2))
    shares = found[:, 0].sum(axis=0) / found[:, 0].sum()
    np.testing.assert_allclose(shares, 0.1, atol=0.05)


def test_the_counting_grid_depends_on_no_single_row():
    mean, sd = np.array([80.0, 0, 0, 0]), np.array([10.0, 2.0, 1, 1])
    low, high = statistics.grid(STUDY, mean, sd)
    np.testing.assert_allclose(low[:2], [40, np.log(0.01)])
    assert 125 < high[0] < 135
    np.testing.assert_allclose(high[1], np.log(100))
    outlier = make_shard(np.array([[139.0, 1, 0, 0]]), np.ones((1, 4)), [1], fold=[0])
    counts = statistics.contribute_counts(STUDY, arrays(low=low, high=high), outlier)["counts"]
    assert counts[0, -1] == 1
    assert counts[0].sum() == 1


@pytest.mark.parametrize("name", ["health-risk", "heart-disease", "nhanes"])
def test_every_built_in_study_has_a_grid(name):
    study = load_study(name)
    low, high = statistics.grid(study, *np.full((2, len(study.features)), 1.0))
    assert np.isfinite([low, high]).all()
