"""A policy's limits: what stays inside, and how the owner is told."""

import dataclasses
import re

import numpy as np
import pytest
from tests.federation.worlds import STUDY, draw_rows
from tests.privacy.doors import TWO
from typer.testing import CliRunner

from fedhealth.cli.main import app
from fedhealth.data.synthetic import write_world
from fedhealth.federation.contribution import arrays
from fedhealth.privacy import POLICIES, approve, policy_file, policy_of
from fedhealth.runtime.local import exchange_in_process
from fedhealth.study import load_study

DEFAULT = POLICIES["default"]
SHARD = dataclasses.replace(draw_rows(600, seed=3), node="north")
NUMBER = next(i for i, f in enumerate(STUDY.features) if f.kind == "number")
FLAG = next(i for i, f in enumerate(STUDY.features) if f.kind == "flag")


def observed_by(count, feature=NUMBER):
    """The shard with ``feature`` observed in ``count`` training rows and in all held-out rows."""
    observed = SHARD.observed.copy()
    training = np.flatnonzero(SHARD.fold >= 0)
    observed[:, feature] = True
    observed[training[count:], feature] = False
    return dataclasses.replace(SHARD, observed=observed)


@pytest.mark.parametrize(("count", "stays"), [(0, True), (1, True), (9, True), (10, False), (200, False)])
def test_a_feature_that_few_rows_observe_stays_inside(count, stays):
    shard = observed_by(count)
    assert (STUDY.features[NUMBER].name in DEFAULT.kept_inside(STUDY, shard)) == stays
    assert DEFAULT.visible(STUDY, shard).observed[:, NUMBER].any() != stays


@pytest.mark.parametrize(("having", "stays"), [(0, False), (1, True), (9, True), (10, False), (-9, True), (-10, False)])
def test_a_flag_that_few_have_or_have_not_stays_inside(having, stays):
    shard = observed_by(300, FLAG)
    x = shard.x.copy()
    seen = np.flatnonzero((shard.fold >= 0) & shard.observed[:, FLAG])
    x[:, FLAG] = float(having < 0)
    x[seen[: abs(having)], FLAG] = float(having >= 0)
    shard = dataclasses.replace(shard, x=x)
    assert (STUDY.features[FLAG].name in DEFAULT.kept_inside(STUDY, shard)) == stays


def test_what_stays_inside_is_in_no_answer(tmp_path):
    shard = observed_by(3)
    canary = shard.x.copy()
    canary[:, NUMBER] = 1e6 * np.pi
    exchange = exchange_in_process(TWO, [dataclasses.replace(shard, x=canary)], tmp_path)
    answer = exchange("moments", {})["north"]
    assert answer["seen"][NUMBER] == answer["sum"][NUMBER] == answer["squares"][NUMBER] == 0
    assert exchange("inventory", {})["north"]["seen"][NUMBER] == 0


def test_nothing_is_kept_inside_where_nothing_is_rare():
    assert DEFAULT.visible(STUDY, SHARD) is SHARD


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_world(folder, rows=400, seed=1)
    return folder


def run(*command):
    return CliRunner().invoke(app, ["node", "policy", *command])


def test_the_owner_reads_the_policy_in_plain_words(data):
    told = run("show", "node_1", "--data", str(data))
    assert told.exit_code == 0
    assert "node_1 will never" in told.output
    assert "fewer than 100 rows" in told.output
    assert "node_1.policy.toml" in told.output


def test_the_owner_learns_what_would_stay_inside(data):
    told = run("check", "node_3", "--data", str(data))
    assert "It could take part" in told.output
    policy_file(data, "node_3").write_text("minimum_rows = 5000\nminimum_cell = 400\n")
    told = run("check", "node_3", "--data", str(data))
    policy_file(data, "node_3").unlink()
    assert "It could not take part: too few rows" in told.output
    assert all(name in told.output for name in load_study("health-risk").node("node_3").features)


def test_an_unknown_node_is_refused_by_name(data):
    told = run("show", "node_9", "--data", str(data))
    assert told.exit_code == 1
    assert "node 'node_9' is not in study 'health-risk'; it has node_1" in told.output


def test_a_feature_that_the_owner_withholds_is_told_of_with_noise_only(tmp_path):
    name = STUDY.features[NUMBER].name
    approve(TWO, "north", tmp_path, [name])
    exchange = exchange_in_process(TWO, [SHARD], tmp_path / "audit", tmp_path)
    assert exchange("moments", {})["north"]["seen"][NUMBER] == 0
    assert exchange("private_counts", arrays(spend=1.0))["north"]["counts"][NUMBER].sum() > 300
    assert f"let out anything of {name} without noise" in policy_of(TWO, "north", tmp_path).promises()
    approve(TWO, "north", tmp_path)
    again = exchange_in_process(TWO, [SHARD], tmp_path / "audit", tmp_path)
    assert again("moments", {})["north"]["seen"][NUMBER] > 0


def test_what_is_withheld_must_be_a_feature_of_the_study(tmp_path):
    hashed = load_study("health-risk").hash
    ran = CliRunner().invoke(app, ["node", "approve", "node_1", hashed, "--data", str(tmp_path), "--without", "pulse"])
    assert ran.exit_code == 1
    assert "--without pulse: study health-risk has heart_rate" in " ".join(ran.output.split())
    ran = CliRunner().invoke(app, ["node", "approve", "node_1", hashed, "--data", str(tmp_path), "--without", "spo2"])
    assert "Withheld, but for answers with noise: spo2" in ran.output


def test_a_network_without_noise_needs_many_rows_unless_they_are_synthetic(tmp_path):
    pytest.importorskip("torch")
    train = ["train", "--model", "mlp", "--runs", str(tmp_path / "runs"), "--models", str(tmp_path / "models")]
    write_world(tmp_path, rows=400, seed=1)
    (tmp_path / "world.json").rename(tmp_path / "kept.json")
    ran = CliRunner().invoke(app, [*train, "--data", str(tmp_path)])
    assert ran.exit_code == 1
    assert re.search(
        r"refused step 'average': a model of \d{4} parameters over \d+ rows; its 'default' policy needs at "
        r"least 10 rows for each, or noise \(--epsilon\)",
        " ".join(ran.output.split()),
    )
    (tmp_path / "kept.json").rename(tmp_path / "world.json")
    assert policy_of(load_study("health-risk"), "node_1", tmp_path).rows_per_parameter == 0


def test_a_policy_that_was_changed_has_another_hash():
    policy = POLICIES["default"]
    assert len(policy.hash) == 64
    assert policy.hash == dataclasses.replace(policy).hash
    changed = [
        dataclasses.replace(policy, minimum_rows=101),
        dataclasses.replace(policy, epsilon=3.0),
        dataclasses.replace(policy, steps=("inventory",)),
    ]
    assert len({policy.hash, *(one.hash for one in changed)}) == 4
