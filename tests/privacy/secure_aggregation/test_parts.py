"""Fixed point and secret sharing hold for any numbers."""

import secrets

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as numpy_arrays

from fedhealth.privacy.secure_aggregation import SecureAggregationError
from fedhealth.privacy.secure_aggregation.fixed_point import FRACTION, decode, encode, largest
from fedhealth.privacy.secure_aggregation.sharing import secret_of, share, weights


@given(st.integers(3, 100), st.data())
def test_sums_in_fixed_point_are_exact_to_half_a_step_a_node(nodes, data):
    values = data.draw(numpy_arrays(np.float64, (nodes, 4), elements=st.floats(-1e6, 1e6)))
    total = decode(np.sum([encode(row, nodes) for row in values], axis=0, dtype=np.uint64))
    np.testing.assert_allclose(total, values.sum(axis=0), atol=nodes * 2.0 ** -(FRACTION + 1) + 1e-8)


def test_the_largest_values_of_all_nodes_do_not_overflow():
    nodes = 7
    values = np.array([largest(nodes) * (1 - 1e-9)])
    total = decode(np.sum([encode(values, nodes)] * nodes, axis=0, dtype=np.uint64))
    np.testing.assert_allclose(total, values * nodes)
    with pytest.raises(SecureAggregationError, match="could overflow the sum"):
        encode(np.array([largest(nodes)]), nodes)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 12), st.integers(0, 8), st.randoms())
def test_any_threshold_of_shares_gives_the_secret_and_fewer_do_not(threshold, more, random):
    secret = secrets.token_bytes(32)
    shares = dict(enumerate(share(secret, threshold, threshold + more), start=1))
    places = random.sample(sorted(shares), threshold)
    assert secret_of(shares, weights(places)) == secret
    try:
        wrong = secret_of(shares, weights(places[:-1]))
    except OverflowError:
        return
    assert wrong != secret
