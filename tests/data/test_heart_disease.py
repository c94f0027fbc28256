"""The four-hospital data: FLamby's test sets, each hospital's missingness, and the promised figures."""

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from fedhealth.data.dataset import load_dataset
from fedhealth.runtime.experiment import run_experiment
from fedhealth.runtime.local import exchange_in_process
from fedhealth.study import load_study

STUDY = load_study("heart-disease")
TRAINING_ROWS = {"cleveland": 199, "hungarian": 172, "switzerland": 30, "va": 85}
ROWS = {"cleveland": 303, "hungarian": 294, "switzerland": 123, "va": 200}


def complete_rows(path):
    """Positions and labels of the rows that FLamby keeps: complete once slope, ca and thal are dropped."""
    lines = [line.split(",") for line in path.read_text().split()]
    kept = [i for i, cells in enumerate(lines) if not {"?", "-9", "-9.0"} & {*cells[:10], cells[13]}]
    return np.array(kept), np.array([int(float(lines[i][13]) > 0) for i in kept])


@pytest.mark.parametrize("node", STUDY.nodes, ids=lambda node: node.name)
def test_held_out_rows_are_the_test_set_of_flamby(real_data, node):
    kept, label = complete_rows(real_data / "uci_heart" / node.file)
    stratify = label if np.bincount(label, minlength=2).min() > 2 else None
    training, test = train_test_split(
        kept, train_size=0.66, test_size=0.34, random_state=43, shuffle=True, stratify=stratify
    )
    assert len(training) == TRAINING_ROWS[node.name]
    assert sorted(node.held_out) == sorted(test.tolist())


def test_every_row_and_every_value_that_was_measured_is_used(real_data):
    shards = load_dataset(STUDY, real_data / "uci_heart", seed=0).shards
    assert {s.node: len(s) for s in shards} == ROWS
    assert {s.node: int(s.y.sum()) for s in shards} == {
        "cleveland": 139,
        "hungarian": 106,
        "switzerland": 115,
        "va": 149,
    }
    seen = {s.node: dict(zip(STUDY.names, s.observed.mean(axis=0), strict=True)) for s in shards}
    assert seen["cleveland"]["vessels"] == pytest.approx(299 / 303)
    assert seen["hungarian"]["vessels"] == pytest.approx(3 / 294)
    assert seen["switzerland"]["cholesterol"] == 0  # all written as 0, which means "not measured"
    assert all(s.observed[:, STUDY.index("age")].all() for s in shards)


@pytest.mark.slow
def test_the_promised_figures_on_the_published_split(real_data, tmp_path):
    dataset = load_dataset(STUDY, real_data / "uci_heart", seed=0)
    report = run_experiment(STUDY, exchange_in_process(STUDY, dataset.shards, tmp_path), dataset).report
    assert [n["global"]["n"] for n in report["nodes"]] == [104, 89, 16, 45]
    assert np.mean([n["global"]["accuracy"] for n in report["nodes"]]) >= 0.84
    assert report["global"]["auroc"] >= 0.895
    assert report["pooled_rows"]["largest_coefficient_difference"] <= 1e-8
