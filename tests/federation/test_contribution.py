import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.federation.worlds import OFFSET_STUDY, draw_rows, split

from fedhealth.federation import STEPS, Contribution, exchange_within, fit, total
from fedhealth.federation.contribution import arrays

numbers = st.floats(-1e6, 1e6)
contributions = st.builds(
    lambda a, b, rows: Contribution(arrays(a=a, b=b), rows),
    numbers,
    st.tuples(numbers, numbers),
    st.integers(0, 99),
)


def assert_same(a: Contribution, b: Contribution) -> None:
    assert a.rows == b.rows
    assert a.sums.keys() == b.sums.keys()
    for name in a.sums:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-12, atol=1e-12 * 1e7)


@given(contributions, contributions)
def test_the_order_of_two_does_not_matter(a, b):
    assert_same(a + b, b + a)


@given(contributions, contributions, contributions)
def test_neither_does_the_grouping_of_three(a, b, c):
    assert_same((a + b) + c, a + (b + c))
    assert_same(total([a, b, c]), total([c, a, b]))


def test_by_hand():
    a, b = Contribution(arrays(x=[1, 2], n=3), 4), Contribution(arrays(x=[10, 20], n=30), 40)
    both = a + b
    np.testing.assert_array_equal(both["x"], [11, 22])
    assert (float(both["n"]), both.rows) == (33, 44)
    np.testing.assert_array_equal(a["x"], [1, 2])


def test_contributions_of_different_steps_do_not_add():
    with pytest.raises(ValueError, match=r"contributions differ: got \['y'\]; expected \['x'\]"):
        Contribution(arrays(x=1), 1) + Contribution(arrays(y=1), 1)


@pytest.mark.parametrize(
    "step", ["inventory", "moments", "counts", "reference", "columns", "newton", "calibrate", "evaluate"]
)
def test_two_nodes_contributions_add_up_to_that_of_their_rows_together(step):
    rows = draw_rows(300, seed=1, missing=0.2)
    place = np.random.default_rng(2).integers(4, size=len(rows))
    shards = split(rows, place)
    asked = []

    def listen(name, state):
        if name == step:
            asked.append(state)
        return {shard.node: STEPS[name](OFFSET_STUDY, state, shard) for shard in shards}

    model = fit(OFFSET_STUDY, listen).model
    hidden = arrays(withhold=[0, 1, 0, 0])
    state = asked[-1] if asked else {**model.arrays(), **hidden, **arrays(edges=np.tile(np.arange(9.0), (4, 1)))}
    # One row after another, each in a shard of its own: the same sums.
    order = np.argsort(place, kind="stable")
    pieces = [rows.rows(np.arange(len(rows)) == i) for i in order]
    sites = np.repeat(np.arange(4, dtype=np.int16), np.bincount(place, minlength=4))
    one_by_one = [STEPS[step](OFFSET_STUDY, state, _at(piece, site)) for piece, site in zip(pieces, sites, strict=True)]
    by_node = [STEPS[step](OFFSET_STUDY, state, shard) for shard in shards]
    first, second = total(one_by_one), total(by_node)
    assert first.rows == second.rows
    for name in first.sums:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-12, atol=1e-10)


def _at(piece, site):
    (shard,) = [s for s in split(piece, np.array([site])) if len(s)]
    return shard


def test_an_exchange_answers_in_the_order_of_the_nodes():
    shards = split(draw_rows(100, seed=0), np.arange(100) % 4)
    assert list(exchange_within(shards, OFFSET_STUDY)("moments", {})) == ["east", "north", "south", "west"]
