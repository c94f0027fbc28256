import numpy as np
import pytest

from fedhealth.data.shard import Shard
from fedhealth.federation import Contribution, averaging, exchange_within, fit_network, total
from fedhealth.model.network import FIRST, WEIGHTS
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


def zeros(networks: int = 1) -> dict[str, np.ndarray]:
    weights = averaging.init(D, 0, 0.5)
    return {name: np.zeros((networks, *w.shape)) for name, w in weights.items()}


def answer(moves: float, seen: dict[int, int], rows: int) -> Contribution:
    """A node whose weights all moved by ``moves`` and that observes feature ``f`` in ``seen[f]`` of its rows."""
    moved = {name: np.full(w.shape[1:], moves) for name, w in zeros().items()}
    counts = [float(seen.get(i, 0)) for i in range(D)]
    return Contribution({k: v[None] for k, v in averaging.weighted(moved, counts, rows).items()}, rows)


def test_a_first_layer_weight_counts_by_the_rows_that_observe_its_feature() -> None:
    # Feature 0: 100 rows move by 1 and 300 by 5, so (100 * 1 + 300 * 5) / 400 = 4. Feature 1: only the second node.
    summed = answer(1.0, {0: 100}, 100) + answer(5.0, {0: 300, 1: 150}, 400)
    after = averaging.update(zeros(), summed)
    assert np.all(after[FIRST][0, :, [0, D]] == 4.0)
    assert np.all(after[FIRST][0, :, [1, D + 1]] == 5.0)


def test_other_weights_count_by_rows_and_what_nobody_observed_stays() -> None:
    summed = answer(1.0, {0: 100}, 100) + answer(6.0, {0: 300}, 400)
    after = averaging.update(zeros(), summed)
    assert np.all(after["net.2.weight"] == 5.0)  # (100 * 1 + 400 * 6) / 500
    assert np.all(after["net.0.bias"] == 5.0)
    assert np.all(after[FIRST][0][:, [2, D + 2]] == 0.0)


def test_the_server_needs_only_the_total() -> None:
    nodes = [answer(float(i), {i: 10 * i + 1}, 100 * (i + 1)) for i in range(4)]
    one = averaging.update(zeros(), total(nodes))
    other = averaging.update(zeros(), (nodes[3] + nodes[1]) + (nodes[2] + nodes[0]))
    for name in WEIGHTS:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-12)


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


def test_weights_of_a_feature_that_nobody_observes_never_move() -> None:
    fitted = fit_network(STUDY, exchange_within([shard("node_1", [0, 1], 500)], STUDY), 0, rounds=2)
    untouched = averaging.init(D, 0, 0.5)[FIRST]
    unseen = [i for i in range(2 * D) if i % D not in (0, 1)]
    assert fitted.rounds > 0
    np.testing.assert_array_equal(fitted.model.weights[FIRST][:, unseen], untouched[:, unseen])


def test_without_torch_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'")

    monkeypatch.setattr(averaging, "import_module", absent)
    with pytest.raises(ImportError, match="pip install"):
        averaging.torch_module()
