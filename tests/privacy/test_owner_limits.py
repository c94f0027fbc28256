"""The owner's file: which limits it may set, what they change, and how a wrong one is refused."""

import dataclasses

import numpy as np
import pytest
from tests.federation.worlds import draw_rows
from tests.privacy.doors import OPEN, TWO, open_door
from typer.testing import CliRunner

from fedhealth.cli.main import app
from fedhealth.federation import Contribution, fit_network, norms
from fedhealth.privacy import PolicyError, PolicyRefusal, policy_file, policy_of, read_limits
from fedhealth.runtime.local import exchange_in_process
from fedhealth.runtime.node import Node
from fedhealth.study import load_study

SHARD = dataclasses.replace(draw_rows(600, seed=3), node="north")


def test_the_stricter_limit_wins(tmp_path):
    policy_file(tmp_path, "north").write_text("minimum_rows = 481\nminimum_cell = 5\n")
    policy = policy_of(TWO, "north", tmp_path)
    assert (policy.minimum_rows, policy.minimum_class, policy.minimum_cell) == (481, 10, 10)
    with pytest.raises(PolicyRefusal, match=r"480 rows; its 'default, and north.policy.toml' policy .* 481"):
        exchange_in_process(TWO, [SHARD], tmp_path / "audit", tmp_path)("moments", {})
    assert policy_of(TWO, "east", tmp_path) == OPEN


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("minimum_row = 5", "unknown key 'minimum_row'; expected minimum_rows, minimum_class, minimum_cell"),
        ("minimum_rows = 0", "minimum_rows: got 0; expected a whole number from 1"),
        ("minimum_rows = true", "minimum_rows: got True; expected a whole number from 1"),
        ("minimum_cell = 2.5", "minimum_cell: got 2.5; expected a whole number from 1"),
        ("minimum_cell", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_file_key_and_what_was_expected(tmp_path, text, told):
    path = tmp_path / "north.policy.toml"
    path.write_text(text)
    with pytest.raises(PolicyError) as caught:
        read_limits(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


def test_the_owner_may_name_the_studies_that_are_answered(tmp_path):
    study = load_study("health-risk")
    policy_file(tmp_path, "node_1").write_text(f'studies = ["{"0" * 12}"]')
    policy = policy_of(study, "node_1", tmp_path)
    with pytest.raises(PolicyRefusal, match=rf"owner answers only studies 0{{12}}; this one is {study.hash[:12]}"):
        policy.admit("node_1", study.hash, "moments")
    policy_file(tmp_path, "node_1").write_text(f'studies = ["{"0" * 12}", "{study.hash[:14]}"]')
    policy_of(study, "node_1", tmp_path).admit("node_1", study.hash, "moments")


def test_the_owner_may_name_the_steps_that_are_answered(tmp_path):
    study = load_study("health-risk")
    policy_file(tmp_path, "node_1").write_text('steps = ["evaluate"]')
    door = open_door(tmp_path, "node_1", policy_of(study, "node_1", tmp_path))
    with pytest.raises(PolicyRefusal, match="node_1 refused step 'moments': its owner answers only evaluate"):
        door.release(study.hash, "moments", Contribution({"rows": np.array(1000.0)}, 1000))
    door.release(study.hash, "evaluate", Contribution({"risks": np.array(300.0)}, 1000))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('studies = ["abc"]', "expected a list of study hashes, each of 12 digits"),
        ("studies = []", "expected a list of study hashes"),
        ('steps = ["rows"]', "expected a list of steps: inventory, moments"),
        ("steps = 3", "got 3; expected a list of steps"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(tmp_path, text, expected):
    path = policy_file(tmp_path, "node_1")
    path.write_text(text)
    with pytest.raises(PolicyError, match=expected):
        read_limits(path)


def test_the_owner_bounds_how_far_a_network_moves(tmp_path):
    pytest.importorskip("torch")
    policy_file(tmp_path, "north").write_text("norm_bound = 0.01\n")
    policy = dataclasses.replace(policy_of(TWO, "north", tmp_path), rows_per_parameter=0)
    node, seen = Node.behind_door(TWO, SHARD, policy, tmp_path / "audit", tmp_path), []

    def exchange(step, state):
        seen.append((step, {"north": node.answer(step, state)}))
        return seen[-1][1]

    fit_network(TWO, exchange, seed=1, rounds=1)
    moves = [replies for step, replies in seen if step == "average"]
    assert moves
    for replies in moves:
        norms.check(replies, 0.01)


def test_the_owner_chooses_the_file_of_the_audit_log(tmp_path):
    log = tmp_path / "elsewhere" / "told.jsonl"
    policy_file(tmp_path, "north").write_text(f'audit = "{log}"\n')
    exchange_in_process(TWO, [SHARD], tmp_path / "audit", tmp_path)("moments", {})
    assert len(log.read_text().splitlines()) == 1
    told = CliRunner().invoke(app, ["node", "audit", "verify", "north", "--data", str(tmp_path)])
    assert "1 lines, unbroken" in told.output
