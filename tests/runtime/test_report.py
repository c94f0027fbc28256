"""Who is served worse than by their own node's model is named, in the report, the console and the model card."""

import dataclasses
import json

import numpy as np
import pytest
from tests.federation.worlds import STUDY, draw_rows, split

from fedhealth.cli.progress import show_results
from fedhealth.federation import Difference, metrics, score_histogram
from fedhealth.registry import model_card
from fedhealth.runtime.experiment import run_experiment
from fedhealth.runtime.local import exchange_in_process
from fedhealth.runtime.report import served_worse
from fedhealth.study import Subgroup

GROUPED = dataclasses.replace(STUDY, subgroups=(Subgroup("smoker"), Subgroup("pulse", (60, 100))))


def planted():
    """Four nodes; smoking protects at ``north`` and harms at the others, so one model cannot serve its smokers."""
    rows = draw_rows(6000, seed=5)
    shards = split(rows, np.arange(len(rows)) % 4)
    north, rng = shards[1], np.random.default_rng(6)
    smokers = north.x[:, 2] == 1
    spared = smokers & (rng.random(len(north)) < 0.75)
    return [shards[0], dataclasses.replace(north, y=np.where(spared, 0.0, north.y)), *shards[2:]]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    exchange = exchange_in_process(GROUPED, planted(), tmp_path_factory.mktemp("audit"))
    return run_experiment(GROUPED, exchange).report


def test_a_subgroup_that_one_node_serves_better_is_found(report):
    groups = {group["name"]: group for group in report["subgroups"]}
    assert list(groups) == ["smoker = 0", "smoker = 1", "pulse < 60", "60 ≤ pulse < 100", "pulse ≥ 100"]
    assert groups["smoker = 1"]["better_alone"] == ["north"]
    assert groups["smoker = 0"]["better_alone"] == []
    north = next(node for node in groups["smoker = 1"]["nodes"] if node["name"] == "north")
    assert north["difference"]["log_loss_low"] > 0
    assert north["difference"]["log_loss"] == pytest.approx(
        north["global"]["log_loss"] - north["local"]["log_loss"], abs=1e-12
    )


def test_subgroups_hold_the_metrics_of_all_nodes_that_tell(report):
    for group in report["subgroups"]:
        told = [node["name"] for node in group["nodes"]]
        assert sorted(told + group["too_few"]) == sorted(report["took_part"])
        assert group["global"]["n"] == sum(node["global"]["n"] for node in group["nodes"])
        assert group["global"]["auroc_low"] < group["global"]["auroc"] < group["global"]["auroc_high"]
        assert group["by"] in ("smoker", "pulse")
    assert sum(group["global"]["n"] for group in report["subgroups"][:2]) == report["global"]["n"]
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_every_node_is_compared_with_its_local_model(report):
    for node in report["nodes"]:
        more = node["difference"]
        assert more["auroc"] == pytest.approx(node["global"]["auroc"] - node["local"]["auroc"])
        assert more["brier"] == pytest.approx(node["global"]["brier"] - node["local"]["brier"], abs=1e-12)
        assert more["brier_low"] < more["brier"] < more["brier_high"]


def test_the_console_names_them(report, capsys):
    show_results(report)
    printed = " ".join(capsys.readouterr().out.split())
    assert "north, smoker = 1, would do better with the node's local model." in printed
    assert "smoker = 0, would" not in printed
    assert "pulse ≥ 100" in printed


def test_the_model_card_names_them(report):
    threshold = {"value": 0.3, **{k: report["global"][k] for k in ("sensitivity", "specificity")}}
    card = model_card(GROUPED, {**report, "threshold": threshold, "metrics": report["global"]})
    assert "People with smoker = 1 at `north` would be served better by a model of that node alone." in card
    assert "smoker = 0 at" not in card
    found = report["subgroups"][1]["global"]
    assert f"| smoker = 1 | {found['n']} | {found['auroc']:.3f} ({found['auroc_low']:.3f} to" in card


def test_a_subgroup_too_small_everywhere_is_reported_as_such(tmp_path, capsys):
    study = dataclasses.replace(STUDY, subgroups=(Subgroup("pulse", (41,)),))
    shards = split(draw_rows(1200, seed=7), np.arange(1200) % 4)
    found = run_experiment(study, exchange_in_process(study, shards, tmp_path)).report
    group = found["subgroups"][0]
    assert (group["global"], group["nodes"], group["better_alone"]) == (None, [], [])
    assert group["too_few"] == found["took_part"]
    show_results(found)
    assert "too few" in capsys.readouterr().out


NAN = float("nan")
EQUAL = Difference(0.0, -0.1, 0.1, 0.0, -0.1, 0.1, 0.0, -0.1, 0.1)


@pytest.mark.parametrize(
    ("changed", "worse"),
    [
        ({}, False),
        ({"log_loss": 0.2, "log_loss_low": 0.001}, True),
        ({"log_loss": 0.004, "log_loss_low": 0.003}, False),  # beyond doubt, but less than 1 % of 0.5
        ({"log_loss": 0.006, "log_loss_low": 0.003}, True),
        ({"log_loss": 0.2, "log_loss_low": -0.001}, False),
        ({"auroc": -0.2, "auroc_high": -0.001}, True),
        ({"auroc": -0.2, "auroc_high": 0.001}, False),
        ({"brier": 0.2, "brier_low": 0.1}, False),
        ({"log_loss_low": NAN, "auroc_high": NAN}, False),
    ],
)
def test_worse_is_what_matters_and_lies_beyond_doubt(changed, worse):
    risk = np.full(10, np.exp(-0.5))
    local = metrics(score_histogram(risk, np.ones(10), 0.3))
    assert local.log_loss == pytest.approx(0.5)
    assert served_worse(dataclasses.replace(EQUAL, **changed), local) is worse
