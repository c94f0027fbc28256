"""A whole training run in this process, and what its report says."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from tests.federation.worlds import OFFSET_STUDY, draw_rows, hide, split

from fedhealth.data.dataset import Dataset, load_dataset
from fedhealth.data.shard import stack
from fedhealth.data.synthetic import write_world
from fedhealth.federation import SEGMENTS, exchange_within, fit, metrics, score_histogram
from fedhealth.runtime.experiment import run_experiment
from fedhealth.runtime.local import exchange_in_process
from fedhealth.study import load_study

ROWS = draw_rows(1200, seed=31)
FULL = split(ROWS, np.arange(len(ROWS)) % 4)
SHARDS = (hide(FULL[0], [3]), hide(FULL[1], [0, 1]), FULL[2], hide(FULL[3], [1]))
METRICS = ["auroc", "auprc", "brier", "log_loss", "ece", "calibration_slope", "calibration_intercept", "accuracy"]


def run(folder, shards=SHARDS, full=(), study=OFFSET_STUDY, **options):
    return run_experiment(study, exchange_in_process(study, shards, folder), Dataset(tuple(shards), full), **options)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return run(tmp_path_factory.mktemp("audit"), full=tuple(FULL), seed=4)


@pytest.fixture(scope="module")
def report(found):
    return found.report


def test_a_report_has_what_was_promised(report):
    promised = "study seed model rounds nodes global pooled_rows fully_observed best missing took_part"
    assert set(promised.split()) <= report.keys()
    assert (report["study"], report["outcome"], report["model"], report["seed"]) == ("tiny", "ill", "additive", 4)
    assert report["took_part"] == ["east", "north", "south", "west"]
    for found in (report["global"], report["pooled_rows"], report["fully_observed"], *report["missing"].values()):
        assert {*METRICS, "n", "prevalence"} <= found.keys()
    assert report["global"]["n"] == len(ROWS.held_out)
    assert json.loads(json.dumps(report)) == report


def test_rounds_begin_with_the_untrained_model(report):
    rounds = report["rounds"]
    assert [r["round"] for r in rounds] == list(range(len(rounds)))
    assert rounds[0]["global"]["auroc"] == pytest.approx(0.5, abs=0.02)
    assert rounds[-1]["global"]["auroc"] > 0.65
    assert rounds[-1]["train_loss"] < rounds[0]["train_loss"]
    assert all([n["name"] for n in r["nodes"]] == report["took_part"] for r in rounds)
    assert all({"loss", "accuracy", "auroc"} <= r["global"].keys() for r in rounds)
    sizes = [len(s.training) for s in SHARDS]
    for told in rounds:  # what nodes say of themselves is what the training minimised
        assert np.average([n["loss"] for n in told["nodes"]], weights=sizes) == pytest.approx(told["train_loss"])


def test_nodes_are_told_with_what_they_observe(report):
    nodes = {n["name"]: n for n in report["nodes"]}
    assert {name: n["rows"] for name, n in nodes.items()} == {s.node: len(s) for s in SHARDS}
    assert nodes["east"]["features"] == ["pulse", "lead", "smoker"]
    assert nodes["north"]["features"] == ["smoker", "pain"]
    for shard in SHARDS:
        alone = fit(OFFSET_STUDY, exchange_within([shard], OFFSET_STUDY)).model
        rows = shard.held_out
        local = metrics(score_histogram(alone.risk(rows.x, rows.observed, rows.site), rows.y, 0.3))
        assert nodes[shard.node]["local"] == local.as_dict()
        more = nodes[shard.node]["difference"]
        much = more["log_loss"] >= 0.01 * local.log_loss
        assert nodes[shard.node]["better_alone"] == (more["auroc"] < -0.005 or (more["log_loss_low"] > 0 and much))


def test_the_global_metrics_are_those_of_all_held_out_rows(found):
    rows = stack(SHARDS).held_out
    risk = found.fit.model.risk(rows.x, rows.observed, rows.site)
    expected = metrics(score_histogram(risk, rows.y, 0.3)).as_dict()
    assert found.report["global"] == pytest.approx(expected, abs=1e-12)
    accuracy = np.mean([n["global"]["accuracy"] for n in found.report["nodes"]])
    assert found.report["site_average"]["accuracy"] == pytest.approx(accuracy)


def test_pooling_the_rows_would_give_the_same_model(report):
    assert report["pooled_rows"]["largest_coefficient_difference"] < 1e-8
    assert report["pooled_rows"]["auroc"] == pytest.approx(report["global"]["auroc"], abs=1e-6)


def test_withholding_a_modality_counts_the_rows_that_have_it(report):
    assert list(report["missing"]) == ["wearable", "clinic", "environment"]
    rows = {"wearable": {"east", "south", "west"}, "clinic": set(report["took_part"]), "environment": {"east", "south"}}
    for modality, nodes in rows.items():
        expected = sum(len(s.held_out) for s in SHARDS if s.node in nodes)
        assert report["missing"][modality]["n"] == expected
    assert report["missing"]["wearable"]["auroc"] < report["global"]["auroc"]


def test_rows_with_every_feature_are_compared_where_they_are_known(report, tmp_path):
    full = report["full_rows"]
    assert full["global"]["n"] == report["fully_observed"]["n"] == len(ROWS.held_out)
    assert full["global"]["auroc"] > max(n["auroc"] for n in full["nodes"].values()) - 0.03
    without = run(tmp_path, model="logistic").report
    assert without["full_rows"] is without["fully_observed"] is without["best"] is None


def test_without_rows_in_one_place_the_report_has_only_what_the_nodes_sent(report, tmp_path):
    remote = run_experiment(OFFSET_STUDY, exchange_in_process(OFFSET_STUDY, SHARDS, tmp_path), seed=4).report
    assert remote["pooled_rows"] is None
    for key in ("rounds", "nodes", "global", "missing", "site_average", "penalty"):
        assert remote[key] == report[key]


def test_the_logistic_model_is_the_straight_one(tmp_path):
    found = run(tmp_path, model="logistic")
    assert found.report["model"] == "logistic"
    assert found.fit.model.design.knots.shape[1] == SEGMENTS["logistic"] + 1


def test_the_same_run_gives_the_same_report_and_model(found, tmp_path):
    again = run(tmp_path, full=tuple(FULL), seed=4)
    assert again.report == found.report
    for name, array in again.fit.model.arrays().items():
        np.testing.assert_array_equal(array, found.fit.model.arrays()[name])


def test_stages_and_rounds_are_told_while_they_happen(tmp_path):
    rounds, stages = [], []
    found = run(tmp_path, model="logistic", on_round=rounds.append, on_stage=stages.append)
    assert [r.number for r in rounds] == [r["round"] for r in found.report["rounds"]]
    assert stages
    assert all(isinstance(stage, str) for stage in stages)


def test_a_node_without_held_out_rows_does_not_stop_the_run(tmp_path):
    kept = dataclasses.replace(SHARDS[1], fold=np.maximum(SHARDS[1].fold, 0))
    found = run(tmp_path, (SHARDS[0], kept, *SHARDS[2:]), model="logistic").report
    node = found["nodes"][1]
    assert node["global"]["n"] == 0
    assert node["global"]["auroc"] is node["local"]["auroc"] is None
    assert node["better_alone"] is False
    assert json.loads(json.dumps(found)) == found


def test_a_node_with_one_label_only_does_not_stop_the_run(tmp_path):
    healthy = dataclasses.replace(SHARDS[1], y=np.zeros(len(SHARDS[1])))
    found = run(tmp_path, (SHARDS[0], healthy, *SHARDS[2:]), model="logistic").report
    assert found["nodes"][1]["local"]["auroc"] is None
    assert found["nodes"][1]["global"]["accuracy"] > 0.5
    assert json.loads(json.dumps(found)) == found


def test_without_any_held_out_row_the_report_says_so(tmp_path):
    shards = [dataclasses.replace(s, fold=np.maximum(s.fold, 0)) for s in SHARDS]
    found = run(tmp_path, shards, model="logistic").report
    assert found["global"]["auroc"] is None
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, rows=3000, seed=5)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("model", ["logistic", "additive"])
def test_the_default_study_from_files_to_report(world, tmp_path, model):
    study = load_study("health-risk")
    dataset = load_dataset(study, world, seed=0)
    assert dataset.synthetic
    assert [len(f) for f in dataset.full] == [3000] * 3
    for seen, full in zip(dataset.shards, dataset.full, strict=True):
        np.testing.assert_array_equal(full.x[seen.observed], seen.x[seen.observed])
        assert full.observed.all()
    exchange = exchange_in_process(study, dataset.shards, tmp_path / "audit")
    found = run_experiment(study, exchange, dataset, model=model).report
    assert found["global"]["auroc"] > 0.7
    assert 0.8 < found["global"]["calibration_slope"] < 1.25
    assert found["best"]["subsets"]["all"]["auroc"] == pytest.approx(found["full_rows"]["global"]["auroc"], abs=0.06)
    assert found["pooled_rows"]["largest_coefficient_difference"] < 1e-8


def test_rows_of_the_world_that_were_changed_are_not_taken_for_its_people(world, tmp_path):
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    study = load_study("health-risk")
    path = tmp_path / study.nodes[0].file
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:200]))
    dataset = load_dataset(study, tmp_path, seed=0)
    assert dataset.full == ()
    assert dataset.best is None
    assert dataset.synthetic


def test_a_node_that_is_lost_before_the_end_is_not_in_the_report(tmp_path):
    whole = exchange_in_process(OFFSET_STUDY, SHARDS, tmp_path)
    for lost_from in ("local_baseline", "inventory"):
        gone = []

        def exchange(step, state, lost_from=lost_from, gone=gone):
            gone += [step] if step == lost_from else []
            return {name: reply for name, reply in whole(step, state).items() if not gone or name != "west"}

        report = run_experiment(OFFSET_STUDY, exchange, model="logistic").report
        assert report["took_part"] == [node["name"] for node in report["nodes"]] == ["east", "north", "south"]
        assert [node["name"] for node in report["rounds"][0]["nodes"]][-1] == "west"
