import numpy as np
import pytest

from fedhealth.federation import Contribution, total
from fedhealth.federation.aggregation import (
    AGGREGATIONS,
    Aggregate,
    TooFewAnswers,
    mean,
    median,
    trimmed_mean,
    weighted,
)
from fedhealth.federation.contribution import arrays
from fedhealth.federation.norms import NormExceeded, check, clip, norm
from fedhealth.model.network import FIRST, WEIGHTS

D = 4
SHAPES = {
    "net.0.weight": (64, 2 * D),
    "net.0.bias": (64,),
    "net.2.weight": (64, 64),
    "net.2.bias": (64,),
    "net.4.weight": (1, 64),
    "net.4.bias": (1,),
}


def answer(moves: float, seen: dict[int, int], rows: int) -> Contribution:
    """A node whose weights all moved by ``moves`` and that observes feature ``f`` in ``seen[f]`` of its rows."""
    counts = [float(seen.get(i, 0)) for i in range(D)]
    sums = weighted("moved", {name: np.full(shape, moves) for name, shape in SHAPES.items()}, counts, rows)
    return Contribution({k: v[None] for k, v in (sums | arrays(coverage=counts, rows=rows)).items()}, rows)


def of(kind: str, *replies: Contribution) -> Aggregate:
    return AGGREGATIONS[kind]({f"node_{i}": reply for i, reply in enumerate(replies)}, "moved")


def column(found: Aggregate, feature: int) -> float:
    """The one value of all first-layer weights that read a feature."""
    values = np.unique(found.values[FIRST][0][:, [feature, D + feature]])
    assert len(values) == 1
    return float(values[0])


def test_a_first_layer_weight_counts_by_the_rows_that_observe_its_feature() -> None:
    # Feature 0: 100 rows move by 1 and 300 by 5, so (100 * 1 + 300 * 5) / 400 = 4. Feature 1: only the second node.
    found = of("mean", answer(1.0, {0: 100}, 100), answer(5.0, {0: 300, 1: 150}, 400))
    assert column(found, 0) == 4.0
    assert column(found, 1) == 5.0


def test_other_weights_count_by_rows_and_what_nobody_observed_is_not_covered() -> None:
    found = of("mean", answer(1.0, {0: 100}, 100), answer(6.0, {0: 300}, 400))
    assert np.all(found.values["net.2.weight"] == 5.0)  # (100 * 1 + 400 * 6) / 500
    assert np.all(found.values["net.0.bias"] == 5.0)
    assert column(found, 2) == 0.0
    assert not found.covered[FIRST][0][:, [2, D + 2]].any()
    assert found.covered[FIRST][0][:, [0, D]].all()


def test_the_mean_needs_only_the_total() -> None:
    nodes = [answer(float(i), {i: 10 * i + 1}, 100 * (i + 1)) for i in range(4)]
    one = mean({"everyone": total(nodes)}, "moved")
    other = of("mean", nodes[3], nodes[1], nodes[2], nodes[0])
    for name in WEIGHTS:
        np.testing.assert_allclose(one.values[name], other.values[name], rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "everywhere", "feature_0"),
    [
        ("median", 3.0, 2.5),  # of 1, 2, 3, 10, 1000; of 1, 2, 3, 1000
        ("trimmed-mean", 5.0, 251.5),  # without 1 and 1000: (2 + 3 + 10) / 3; a fifth of four is none: 1006 / 4
    ],
)
def test_robust_aggregations_by_hand(kind: str, everywhere: float, feature_0: float) -> None:
    nodes = [answer(m, {0: 50} if m != 10 else {1: 7}, 100) for m in (3.0, 1000.0, 1.0, 10.0, 2.0)]
    found = of(kind, *nodes)
    assert np.all(found.values["net.2.weight"] == everywhere)
    assert column(found, 0) == feature_0
    assert column(found, 1) == 10.0  # only one node observes it
    assert column(found, 2) == 0.0
    assert not found.covered[FIRST][0][:, 2].any()


def test_a_trimmed_mean_drops_from_both_ends_of_those_who_measured() -> None:
    nodes = {str(i): answer(m, {0: 50}, 100) for i, m in enumerate((1.0, 2.0, 6.0, 1000.0))}
    assert column(trimmed_mean(nodes, "moved", trim=0.25), 0) == 4.0
    assert column(median(nodes, "moved"), 0) == 4.0


@pytest.mark.parametrize("kind", ["median", "trimmed-mean"])
def test_a_sum_over_nodes_has_no_median(kind: str) -> None:
    nodes = [answer(1.0, {0: 50}, 100), answer(2.0, {0: 50}, 100)]
    with pytest.raises(TooFewAnswers, match="at least 3 nodes; got 1"):
        of(kind, total(nodes))


def test_a_long_move_is_shortened_and_a_short_one_left() -> None:
    moved = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])}  # of length 5
    assert norm(moved) == 5.0
    half = clip(moved, 2.5)
    assert half["a"].tolist() == [1.5, 0.0]
    assert half["b"].tolist() == [[2.0]]
    assert clip(moved, 6.0)["a"].tolist() == [3.0, 0.0]
    assert clip({"a": np.zeros(2)}, 1.0)["a"].tolist() == [0.0, 0.0]


def test_the_server_names_the_node_that_moved_too_far() -> None:
    replies = {"north": answer(0.001, {0: 5}, 10), "south": answer(0.1, {0: 5}, 10)}
    check(replies, 1e3)
    with pytest.raises(NormExceeded, match=r"south moved .* expected at most the bound 1"):
        check(replies, 1.0)
    with pytest.raises(NormExceeded, match="north"):
        check({"north": answer(np.nan, {0: 5}, 10)}, np.inf)
