"""One round of every strategy by hand. All weights of a network share one value; feature 1 is covered by nobody."""

from collections.abc import Callable

import numpy as np
import pytest

from fedhealth.federation.aggregation import Aggregate
from fedhealth.federation.strategies import (
    FEDADAGRAD,
    FEDADAM,
    FEDAVG,
    FEDPROX,
    FEDYOGI,
    SCAFFOLD,
    STRATEGIES,
    Strategy,
)
from fedhealth.model.network import FIRST, WEIGHTS

SHAPES = {name: (2, 3) if name.endswith("weight") else (2,) for name in WEIGHTS}
UNCOVERED = (..., 1)


def aggregated(**values: float) -> Callable[[str], Aggregate]:
    """What the nodes' answers come to, by kind; nobody covers the second column of the first layer."""

    def of(kind: str) -> Aggregate:
        means = {name: np.full((1, *shape), values[kind]) for name, shape in SHAPES.items()}
        covered = {name: np.ones_like(mean, dtype=bool) for name, mean in means.items()}
        covered[FIRST][UNCOVERED] = False
        means[FIRST][UNCOVERED] = 0.0
        return Aggregate(means, covered)

    return of


def start(strategy: Strategy) -> dict[str, np.ndarray]:
    weights = {name: np.ones((1, *shape)) for name, shape in SHAPES.items()}
    return {**weights, **strategy.init(weights)}


def rounds(strategy: Strategy, *moves: float) -> dict[str, np.ndarray]:
    state = start(strategy)
    for move in moves:
        state = strategy.update(state, aggregated(moved=move, gradient=move / 2))
    return state


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_what_nobody_covers_stays_and_so_do_its_moments(strategy: Strategy) -> None:
    before, after = start(strategy), rounds(strategy, 0.2, -0.1)
    assert before.keys() == after.keys()
    for name in (name for name in before if name.endswith(FIRST)):
        np.testing.assert_array_equal(after[name][UNCOVERED], before[name][UNCOVERED])
    assert not np.array_equal(after[FIRST], before[FIRST])


def test_fedavg_adds_the_average_move() -> None:
    after = rounds(FEDAVG, 0.2, -0.1)
    assert np.allclose(after["net.2.weight"], 1.1)


def test_fedprox_averages_as_fedavg_and_tells_the_nodes_its_strength() -> None:
    after = rounds(FEDPROX, 0.2, -0.1)
    assert np.allclose(after["net.2.weight"], 1.1)
    assert float(after["mu"]) == 0.01


def test_scaffold_keeps_the_average_gradient_and_where_it_was_taken() -> None:
    after = rounds(SCAFFOLD, 0.2, -0.1)
    assert np.allclose(after["net.2.weight"], 1.1)
    assert np.allclose(after["control.net.2.weight"], -0.05)  # of the last round
    assert np.allclose(after["before.net.2.weight"], 1.2)  # the weights that were sent in it


# m = 0.5 * 0.2 = 0.1, then 0.5 * 0.1 + 0.5 * 0.4 = 0.25; v starts at 0.03^2 = 9e-4; steps are 0.1 m / (sqrt(v) + 0.03).
BY_HAND = {
    # v = 0.99 * 9e-4 + 0.01 * 0.1^2 = 9.91e-4; then 0.99 * 9.91e-4 + 0.01 * 0.25^2 = 1.60609e-3
    "fedadam": (FEDADAM, [(0.1, 9.91e-4), (0.25, 1.60609e-3)]),
    # v = 9e-4 + 0.01 * 0.1^2 = 1e-3 (m^2 is the larger); then 1e-3 + 0.01 * 0.25^2 = 1.625e-3
    "fedyogi": (FEDYOGI, [(0.1, 1e-3), (0.25, 1.625e-3)]),
    # without momentum: v = 9e-4 + 0.2^2; then + 0.4^2
    "fedadagrad": (FEDADAGRAD, [(0.2, 0.0409), (0.4, 0.2009)]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_adaptive_servers_by_hand(name: str) -> None:
    strategy, steps = BY_HAND[name]
    state, weight = start(strategy), 1.0
    for move, (m, v) in zip((0.2, 0.4), steps, strict=True):
        state = strategy.update(state, aggregated(moved=move))
        weight += 0.1 * m / (np.sqrt(v) + 0.03)
        np.testing.assert_allclose(state["m.net.2.weight"], m)
        np.testing.assert_allclose(state["v.net.2.weight"], v)
        np.testing.assert_allclose(state["net.2.weight"], weight)


def test_yogi_lets_go_slowly_when_moves_get_small() -> None:
    state = rounds(FEDYOGI, 1.0)
    before = state["v.net.2.weight"]
    assert np.allclose(before, 9e-4 + 0.01 * 0.25)  # m = 0.5
    after = FEDYOGI.update({**state, "m.net.2.weight": np.zeros_like(before)}, aggregated(moved=0.01))
    assert np.allclose(after["v.net.2.weight"], before - 0.01 * 2.5e-5, rtol=1e-12)  # m = 0.005, m^2 below v
