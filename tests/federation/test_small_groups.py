"""No count by city and month tells of a handful of people."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as any_array

from fedhealth.federation.small_groups import rounded

TABLES = any_array(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 4)), elements=st.integers(0, 40).map(float))


@given(TABLES, st.integers(1, 12))
def test_every_count_is_a_multiple_and_the_running_totals_stay_near(counts, fewest):
    told = rounded(counts, fewest)
    assert (told % fewest == 0).all()
    assert (told >= 0).all()
    assert (np.abs(told - counts) < fewest).all()
    assert (np.abs(told.cumsum(axis=1) - counts.cumsum(axis=1)) <= fewest / 2).all()


def test_with_no_limit_every_count_is_told():
    counts = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(rounded(counts, 1), counts)
