"""The four-hospital benchmark: FLamby's rows and split, its interval, and the declared method on a split."""

import numpy as np
import pytest
from benchmarks.heart_disease import (
    FEDAVG,
    FLAMBY_SPLIT,
    MAJORITY,
    METHODS,
    OURS,
    POOLED,
    STUDY,
    Split,
    paired_gain,
    read_hospital,
    score,
)


@pytest.fixture(scope="module")
def flamby(real_data):
    folder = real_data / "uci_heart"
    hospitals = {node.name: read_hospital(folder / node.file) for node in STUDY.nodes}
    return Split(hospitals, {name: h.split(FLAMBY_SPLIT) for name, h in hospitals.items()}, folder, seed=0)


def test_rows_columns_and_test_sets_are_those_of_flamby(flamby):
    sizes = {name: (int((~test).sum()), int(test.sum())) for name, test in flamby.test.items()}
    assert sizes == {"cleveland": (199, 104), "hungarian": (172, 89), "switzerland": (30, 16), "va": (85, 45)}
    assert {h.x.shape[1] for h in flamby.hospitals.values()} == {13}
    assert [set(node.held_out) for node in flamby.study().nodes] == [set(node.held_out) for node in STUDY.nodes]


@pytest.mark.slow
def test_the_declared_method_is_ahead_of_the_baselines(flamby):
    names = (OURS, FEDAVG, POOLED, MAJORITY)
    found = {name: score(flamby, METHODS[name](flamby))["site_accuracy"] for name in names}
    assert found[MAJORITY] == pytest.approx(0.721, abs=0.001)
    assert found[OURS] > max(found[FEDAVG], found[POOLED])


@pytest.mark.full
@pytest.mark.parametrize("name", METHODS)
def test_every_method_answers_for_every_test_row(flamby, name):
    risks = METHODS[name](flamby)
    assert {hospital: len(risk) for hospital, risk in risks.items()} == {n: t.sum() for n, t in flamby.test.items()}
    assert all(((risk >= 0) & (risk <= 1)).all() for risk in risks.values())


def test_the_interval_of_a_gain_by_hand():
    # Gains 1, 2, 3: variance 1; of their mean (1/3 + 1/2) = 0.8333; t with 2 degrees of freedom: 4.3027.
    mean, low, high = paired_gain(np.array([2.0, 4, 6]), np.array([1.0, 2, 3]), 0.5)
    assert mean == 2
    assert (low, high) == pytest.approx((2 - 4.3027 * 0.83333**0.5, 2 + 4.3027 * 0.83333**0.5), abs=1e-3)
