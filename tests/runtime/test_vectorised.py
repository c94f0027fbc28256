"""The vectorised runtime gives what the loop gives."""

from dataclasses import replace

import numpy as np
import pytest

from fedhealth.data.shard import HELD_OUT, Shard, generator
from fedhealth.federation import exchange_within, fit, fit_network, metrics, total
from fedhealth.federation.strategies import STRATEGIES
from fedhealth.runtime.experiment import evaluate
from fedhealth.runtime.vectorised import chunked, exchange_vectorised
from fedhealth.study import load_study

STUDY = load_study("health-risk")
SEES = [[f.name in node.features or f.anchor for f in STUDY.features] for node in STUDY.nodes]


def node(number: int, rows: int, missing: float = 0.05) -> Shard:
    """Rows of a node that sees what one of the study's three nodes sees, now and then not even that."""
    rng = generator(7, "node", number)
    low, high = np.array([(f.low, f.high) for f in STUDY.features]).T
    flags = np.array([f.kind == "flag" for f in STUDY.features])
    share = rng.random((rows, len(flags)))
    x = np.where(flags, share > 0.7, low + share * (high - low))
    observed = np.array(SEES[number % 3]) & (rng.random(x.shape) >= missing)
    y = (rng.random(rows) < 0.2 + 0.5 * share[:, 4]).astype(float)
    fold = (rng.permutation(rows) % 4 - 1).astype(np.int8)
    site, stratum = np.full(rows, number % 3, dtype=np.int16), rng.integers(0, 108, rows).astype(np.int16)
    return Shard(f"n{number}", np.where(observed, x, 0.0), observed, y, fold, site, stratum)


RAGGED = [node(number, rows) for number, rows in enumerate((400, 90, 700, 5, 130, 1, 350))]
FEW = [node(number, rows, missing=0.0) for number, rows in enumerate((100, 60, 80, 1))]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_nodes_of_unlike_sizes_and_columns_train_as_in_the_loop(strategy):
    loop, together = (
        fit_network(STUDY, exchange, seed=1, rounds=2, strategy=strategy).model.arrays()
        for exchange in (exchange_within(RAGGED, STUDY), exchange_vectorised(STUDY, RAGGED, nodes=3, rows=800))
    )
    for name, expected in loop.items():
        np.testing.assert_allclose(together[name], expected, rtol=0, atol=1e-9, err_msg=name)


def test_several_epochs_draw_the_same_orders_and_hide_the_same_rows():
    asked = {}

    def noting(step, state):
        asked.update({step: state})
        return exchange_within(RAGGED, STUDY)(step, state)

    fit_network(STUDY, noting, seed=1, rounds=1)
    state = {**asked["average"], "rate": np.array(3e-3), "epochs": np.array(3.0), "withhold": np.array(0.4)}
    loop = total(exchange_within(RAGGED, STUDY)("average", state).values())
    together = total(exchange_vectorised(STUDY, RAGGED)("average", state).values())
    assert together.rows == loop.rows
    assert together.sums.keys() == loop.sums.keys()
    for name in loop.sums:
        np.testing.assert_allclose(together[name], loop[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_an_additive_model_is_fitted_as_in_the_loop():
    fits = [
        fit(STUDY, exchange, 2, penalty=(30.0, 3.0)).model
        for exchange in (exchange_within(FEW, STUDY), exchange_vectorised(STUDY, FEW))
    ]
    np.testing.assert_allclose(fits[1].coefficients, fits[0].coefficients, rtol=0, atol=1e-9)
    np.testing.assert_allclose(fits[1].calibration, fits[0].calibration, rtol=0, atol=1e-9)


def test_held_out_rows_are_evaluated_as_in_the_loop():
    model = fit(STUDY, exchange_vectorised(STUDY, FEW), 1, penalty=(0.0, 3.0)).model
    loop, together = (
        metrics(total(evaluate(STUDY, exchange, model).values()))
        for exchange in (exchange_within(FEW, STUDY), exchange_vectorised(STUDY, FEW))
    )
    assert together.n == loop.n == sum((shard.fold == HELD_OUT).sum() for shard in FEW)
    assert together.auroc == pytest.approx(loop.auroc)


def test_how_nodes_share_chunks_does_not_matter():
    coarse, fine = (
        fit_network(STUDY, exchange_vectorised(STUDY, RAGGED, nodes=n), seed=1, rounds=1).model.weights for n in (7, 1)
    )
    for name in coarse:
        np.testing.assert_allclose(fine[name], coarse[name], rtol=0, atol=1e-9)


def test_chunks_keep_to_their_limits_and_lose_no_row():
    chunks = list(chunked(RAGGED, nodes=2, rows=500))
    assert [chunk.nodes for chunk in chunks] == [("n0", "n1"), ("n2",), ("n3", "n4"), ("n5", "n6")]
    assert sum(len(chunk.rows) for chunk in chunks) == sum(map(len, RAGGED))


def test_the_same_call_gives_the_same_bits():
    first, second = (
        fit_network(STUDY, exchange_vectorised(STUDY, RAGGED), seed=4, rounds=2).model.weights for _ in range(2)
    )
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("step", ["local_baseline", "local_network"])
def test_what_is_each_nodes_own_is_refused(step):
    with pytest.raises(ValueError, match="each node's own"):
        exchange_vectorised(STUDY, RAGGED)(step, {})


def test_a_norm_bound_is_refused():
    bounded = replace(STRATEGIES["fedavg"], norm_bound=1.0)
    with pytest.raises(ValueError, match="norm_bound: got 1"):
        fit_network(STUDY, exchange_vectorised(STUDY, RAGGED), seed=1, strategy=bounded)
