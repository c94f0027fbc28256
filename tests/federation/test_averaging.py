from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from fedhealth.data.shard import Shard
from fedhealth.federation import Contribution, State, averaging, exchange_within, fit_network, norms
from fedhealth.federation.aggregation import mean, median, trimmed_mean
from fedhealth.federation.strategies import FEDAVG, SCAFFOLD, STRATEGIES, Strategy
from fedhealth.model.network import FIRST
from fedhealth.study import load_study

STUDY = load_study("health-risk")
D = len(STUDY.features)


def shard(node: str, features: list[int], rows: int, seed: int = 0) -> Shard:
    rng = np.random.default_rng(seed)
    observed = np.zeros((rows, D), dtype=bool)
    observed[:, features] = True
    x = np.where(observed, 20 + rng.normal(0, 5, (rows, D)), 0.0)
    y = (rng.random(rows) < 1 / (1 + np.exp(-(x[:, features[0]] - 21) / 3))).astype(np.float64)
    fold = (np.arange(rows) % 5 - 1).astype(np.int8)
    fold[fold == 3] = 2
    return Shard(node, x, observed, y, fold, np.zeros(rows, np.int16), np.full(rows, -1, np.int16))


def test_training_is_keyed_by_seed_and_learns() -> None:
    exchange = exchange_within([shard("node_1", [0, 1], 500), shard("node_3", [0, 5], 400, 1)], STUDY)
    losses: list[float] = []
    first = fit_network(STUDY, exchange, 3, rounds=8, on_round=lambda r: losses.append(r.train_loss))
    again = fit_network(STUDY, exchange, 3, rounds=8)
    other = fit_network(STUDY, exchange, 4, rounds=3)
    assert losses[-1] < losses[0]
    for name, array in first.model.arrays().items():
        np.testing.assert_array_equal(array, again.model.arrays()[name])
    assert not np.array_equal(first.model.weights[FIRST], other.model.weights[FIRST])


def test_a_feature_that_nobody_observes_says_nothing() -> None:
    fitted = fit_network(STUDY, exchange_within([shard("node_1", [0, 1], 500)], STUDY), 0, rounds=2)
    unseen = [i for i in range(2 * D) if i % D not in (0, 1)]
    assert fitted.rounds > 0
    assert not fitted.model.weights[FIRST][:, unseen].any()
    rows = shard("node_1", list(range(D)), 50)
    for value in (0.0, 1e6):
        x = np.where(np.arange(D) > 1, value, rows.x)
        known = rows.observed & (np.arange(D) < 2)
        np.testing.assert_array_equal(fitted.model.risk(x, rows.observed), fitted.model.risk(x, known))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_every_strategy_learns_and_moves_nothing_that_nobody_covers(strategy: Strategy) -> None:
    nodes = [shard("node_1", [0, 1], 600), shard("node_3", [0, 5], 600, 1)]
    losses: list[float] = []
    fitted = fit_network(
        STUDY, exchange_within(nodes, STUDY), 3, 6, on_round=lambda r: losses.append(r.train_loss), strategy=strategy
    )
    assert fitted.rounds > 0
    assert min(losses) < 0.97 * losses[0]
    assert not fitted.model.weights[FIRST][:, [i for i in range(2 * D) if i % D not in (0, 1, 5)]].any()


def test_a_node_keeps_its_move_within_the_bound_and_the_server_checks_it() -> None:
    nodes, bound = [shard("node_1", [0, 1], 500), shard("node_3", [0, 5], 400, 1)], 0.05
    inner, lengths = exchange_within(nodes, STUDY), []

    def watched(step: str, state: State) -> Mapping[str, Contribution]:
        replies = inner(step, state)
        if step == "average":
            for reply in replies.values():
                moved = mean({"": reply}, "moved").values
                lengths.append(norms.norm({name: move[0] for name, move in moved.items()}))
        return replies

    def careless(step: str, state: State) -> Mapping[str, Contribution]:
        return inner(step, {**state, "norm_bound": np.array(np.inf)})

    bounded = replace(FEDAVG, norm_bound=bound)
    fit_network(STUDY, watched, 0, rounds=2, strategy=bounded)
    assert max(lengths) == pytest.approx(bound)
    with pytest.raises(norms.NormExceeded, match="node_1 moved"):
        fit_network(STUDY, careless, 0, rounds=2, strategy=bounded)


def test_with_a_median_one_node_of_four_cannot_carry_the_model_off() -> None:
    nodes = [shard(f"node_{i}", [0, 1], 400, i) for i in range(4)]
    inner = exchange_within(nodes, STUDY)

    def poisoned(step: str, state: State) -> Mapping[str, Contribution]:
        replies = dict(inner(step, state))
        if step == "average":
            bad = replies["node_3"]
            sums = {name: a * (-100 if name.startswith("moved") else 1) for name, a in bad.sums.items()}
            replies["node_3"] = Contribution(sums, bad.rows)
        return replies

    def last_loss(strategy: Strategy) -> float:
        losses: list[float] = []
        fit_network(STUDY, poisoned, 0, 5, on_round=lambda r: losses.append(r.train_loss), strategy=strategy)
        return losses[-1] / losses[0]

    assert last_loss(FEDAVG) > 2
    assert last_loss(replace(FEDAVG, aggregate=median)) < 1
    assert last_loss(replace(FEDAVG, aggregate=partial(trimmed_mean, trim=0.25))) < 1


def test_scaffold_needs_no_memory_at_the_node() -> None:
    """A node's control variate is its gradient at the weights before; the server's is their average."""
    nodes = [shard("node_1", [0, 1], 300), shard("node_3", [0, 5], 200, 1)]
    inner, sent = exchange_within(nodes, STUDY), []

    def watched(step: str, state: State) -> Mapping[str, Contribution]:
        if step == "average":
            sent.append(state)
        return inner(step, state)

    fit_network(STUDY, watched, 0, rounds=2, strategy=SCAFFOLD)
    assert not averaging.tasks(STUDY, sent[0], nodes[0])[0].correction
    corrections = [averaging.tasks(STUDY, sent[1], node)[0].correction for node in nodes]
    rows = [len(node.training) for node in nodes]
    for name in ("net.0.bias", "net.2.weight", "net.4.weight"):  # weighted by rows they cancel
        assert any(part[name].any() for part in corrections)
        assert np.abs(sum(n * part[name] for n, part in zip(rows, corrections, strict=True))).max() < 1e-9


def test_without_torch_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'")

    monkeypatch.setattr(averaging, "import_module", absent)
    with pytest.raises(ImportError, match="pip install"):
        averaging.torch_module()
