"""Who gets through the gates, and who is refused, with which line."""

import dataclasses

import numpy as np
import pytest
from tests.mirrors import without_mlflow
from tests.registry.trained import GROUPED, SHARDS, Registry, flipped

from fedhealth.data.shard import HELD_OUT
from fedhealth.registry import BundleError
from fedhealth.registry.limits import read_limits


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with without_mlflow():
        yield Registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
def champion(registry):
    return registry.train(SHARDS)


def refused(lines):
    return {line.gate: line.found for line in lines if line.passed is False}


def test_the_first_promotion_has_nobody_to_compare_with_and_says_so(registry, champion):
    lines = registry.ask(*champion, None)
    assert not refused(lines)
    found = {line.gate: line for line in lines}
    for gate in ("schema", "discrimination", "calibration"):
        assert found[gate].found == "no champion to compare with yet"
        assert found[gate].passed is None
    assert {"hash", "golden rows", "nodes: log loss", "subgroups: AUROC", "budget"} <= found.keys()
    assert found["budget"].found == "answers without noise"


def test_the_same_training_on_another_split_passes(registry, champion):
    other = [dataclasses.replace(s, fold=np.roll(s.fold, 1)) for s in SHARDS]
    lines = registry.ask(*registry.train(other, champion[0]), champion[0])
    assert not refused(lines)
    assert sum(line.passed is True for line in lines) == len(lines) - 1  # the budget is of private runs alone


def test_a_model_made_worse_on_purpose_is_refused(registry, champion):
    worse = [flipped(s, 0.3, 1, s.fold != HELD_OUT) for s in SHARDS]
    lines = refused(registry.ask(*registry.train(worse, champion[0]), champion[0]))
    assert lines["discrimination"].startswith("AUROC -0.00")
    assert {"calibration: log loss", "calibration: slope", "calibration: bias"} <= lines.keys()


@pytest.mark.slow
def test_flipped_labels_at_one_node_hardly_move_auroc_but_the_calibration_gate_refuses(registry, champion):
    poisoned = [*SHARDS[:3], flipped(SHARDS[3], 0.3, 2)]
    bundle, report = registry.train(poisoned, champion[0])
    assert abs(report["champion"]["all"]["difference"]["auroc"]) < 0.002
    lines = refused(registry.ask(bundle, report, champion[0]))
    assert set(lines) == {"calibration: slope", "calibration: bias"}
    assert lines["calibration: slope"].split(":")[0] in ("east", "north", "south")  # an honest node shows it


@pytest.mark.slow
def test_a_subgroup_that_is_served_worse_than_by_its_own_node_is_refused_by_name(registry, champion):
    north = SHARDS[1]
    spared = flipped(north, 0.75, 6, (north.x[:, 2] == 1) & (north.y == 1))
    shards = [SHARDS[0], spared, *SHARDS[2:]]
    lines = refused(registry.ask(*registry.train(shards, champion[0]), champion[0]))
    assert lines["subgroups: log loss"].startswith("smoker = 1 at north: log loss +")


def test_other_features_are_refused(registry, champion):
    bundle, report = champion
    older = dataclasses.replace(
        bundle,
        hash="0" * 64,
        study=dataclasses.replace(GROUPED, features=(*GROUPED.features[:2], *GROUPED.features[3:])),
    )
    assert refused(registry.ask(bundle, report, older))["schema"] == "differs in smoker"


def test_a_report_of_another_model_is_refused(registry, champion):
    bundle, report = champion
    lines = refused(registry.ask(bundle, {**report, "bundle": {"hash": "1" * 64}}, None))
    assert lines == {"hash": f"files {bundle.version}, report 111111111111"}


def test_golden_rows_that_the_server_scores_otherwise_are_refused(registry, champion):
    assert refused(registry.ask(*champion, None, golden=lambda _: 1e-6)) == {
        "golden rows": "largest difference 1.0e-06"
    }


def test_without_a_comparison_on_the_same_rows_it_says_unpaired(registry, champion):
    bundle, report = champion
    lines = {line.gate: line for line in registry.ask(bundle, report, dataclasses.replace(bundle, hash="0" * 64))}
    assert "unpaired, other rows" in lines["discrimination"].found
    assert "unpaired, other rows" in lines["calibration: slope"].found
    better = {**bundle.facts["metrics"], "auroc": bundle.facts["metrics"]["auroc"] + 0.02}
    ahead = dataclasses.replace(bundle, hash="0" * 64, facts={**bundle.facts, "metrics": better})
    assert set(refused(registry.ask(bundle, report, ahead))) == {"discrimination"}


def test_a_model_without_an_auroc_does_not_pass(registry, champion):
    bundle, report = champion
    blind = {**bundle.facts["metrics"], "auroc": None, "auroc_low": None, "auroc_high": None}
    unknown = dataclasses.replace(bundle, facts={**bundle.facts, "metrics": blind})
    served = dataclasses.replace(bundle, hash="0" * 64)
    assert refused(registry.ask(unknown, report, served))["discrimination"].startswith("AUROC undefined, champion 0.")


@pytest.mark.parametrize(("epsilon", "passed"), [(3.0, True), (8.5, False)])
def test_a_private_run_must_keep_to_the_budget(registry, champion, epsilon, passed):
    bundle, report = champion
    nodes = [{**node, "difference": None} for node in report["nodes"]]
    facts = {**bundle.facts, "privacy": {"epsilon": epsilon}, "subgroups": []}
    private = dataclasses.replace(bundle, facts=facts)
    lines = {line.gate: line for line in registry.ask(private, {**report, "nodes": nodes, "subgroups": []}, None)}
    assert (lines["budget"].found, lines["budget"].passed) == (f"epsilon {epsilon:g}", passed)
    assert lines["nodes: AUROC"].passed is None
    assert "private run" in lines["nodes: AUROC"].found


def test_a_report_that_leaves_nodes_or_subgroups_out_is_refused(registry, champion):
    bundle, report = champion
    lines = refused(registry.ask(bundle, {**report, "nodes": [], "subgroups": []}, None))
    assert {"report", "nodes: log loss", "nodes: AUROC", "subgroups: log loss", "subgroups: AUROC"} == lines.keys()
    lines = refused(registry.ask(bundle, {**report, "nodes": report["nodes"][1:], "privacy": {"epsilon": 1.0}}, None))
    assert lines == {"report": "nothing of east"}
    lines = refused(registry.ask(bundle, {**report, "subgroups": report["subgroups"][1:]}, None))
    assert lines == {"report": f"nothing of {report['subgroups'][0]['name']}"}


def test_a_study_without_subgroups_needs_none(registry, champion):
    bundle, report = champion
    plain = dataclasses.replace(
        bundle, study=dataclasses.replace(GROUPED, subgroups=()), facts={**bundle.facts, "subgroups": []}
    )
    assert not refused(registry.ask(plain, {**report, "subgroups": []}, None))


@pytest.mark.slow
@pytest.mark.parametrize("step", ["evaluate", "compare"])
def test_a_node_that_skips_the_comparison_does_not_switch_it_off_for_others(registry, champion, step):
    worse = [flipped(s, 0.3, 1, s.fold != HELD_OUT) for s in SHARDS]
    bundle, report = registry.train(worse, champion[0], skips=("west", step))
    assert [node["name"] for node in report["champion"]["nodes"]] == ["east", "north", "south"]
    assert report["champion"]["all"]["model"]["n"] == sum((s.fold == HELD_OUT).sum() for s in SHARDS[:3])
    lines = refused(registry.ask(bundle, report, champion[0]))
    assert lines["discrimination"].startswith("AUROC -0.00")
    assert lines["discrimination"].endswith("; not compared at west")


def test_limits_come_from_a_file(registry, champion, tmp_path):
    strict = tmp_path / "gates.toml"
    strict.write_text("[champion]\nauroc = 0\n[budget]\nepsilon = 1\n")
    limits = read_limits(tmp_path)
    assert (limits["champion"]["auroc"], limits["champion"]["slope"], limits["budget"]["epsilon"]) == (0, 0.1, 1)
    assert read_limits(tmp_path / "elsewhere", strict) == limits


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("x", "not valid TOML"),
        ("[champions]\nauroc = 1", r"unknown table 'champions'; expected \[champion\], \[local\], \[budget\]"),
        ("[champion]\nAUROC = 1", r"\[champion\] AUROC: unknown key; expected auroc, log_loss, slope, bias"),
        ("[local]\nauroc = 'much'", r"\[local\] auroc: got 'much'; expected a number from 0"),
        ("[local]\nauroc = -0.1", "expected a number from 0"),
        ("[local]\nauroc = nan", "expected a number from 0"),
    ],
)
def test_a_file_of_limits_that_cannot_be_meant_is_refused(tmp_path, text, wrong):
    (tmp_path / "gates.toml").write_text(text)
    with pytest.raises(BundleError, match=rf"gates\.toml: .*{wrong}"):
        read_limits(tmp_path)


def test_an_absent_file_of_limits_is_refused(tmp_path):
    with pytest.raises(BundleError, match="cannot be read"):
        read_limits(tmp_path, tmp_path / "none.toml")
