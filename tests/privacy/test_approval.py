"""A new study waits for the owner; nearly the same rows are not answered about twice."""

import dataclasses
import threading
import time

import numpy as np
import pytest
from tests.federation.worlds import draw_rows
from tests.privacy.doors import TWO
from typer.testing import CliRunner

from fedhealth.cli.client import _await_approval
from fedhealth.cli.main import app
from fedhealth.data.synthetic import write_world
from fedhealth.privacy import PolicyRefusal, approve, is_approved
from fedhealth.runtime.local import exchange_in_process
from fedhealth.study import load_study

HEALTH = load_study("health-risk")
ROWS = dataclasses.replace(draw_rows(1000, seed=3), node="north")


@pytest.fixture
def data(tmp_path):
    """Rows that nobody called synthetic."""
    write_world(tmp_path, rows=300, seed=1)
    (tmp_path / "world.json").unlink()
    return tmp_path


def test_a_new_study_shows_what_would_leave_and_waits_for_its_owner(data, capsys):
    waiting = threading.Thread(target=_await_approval, args=("node_1", data, "health-risk", None, 30.0, False))
    waiting.start()
    time.sleep(0.3)
    assert waiting.is_alive()
    said = capsys.readouterr().out
    for part in (HEALTH.hash, "heart_rate", "gradient and Hessian", "fedhealth node approve node_1", "Noise: none"):
        assert part in said
    run = CliRunner().invoke(app, ["node", "approve", "node_1", HEALTH.hash[:12], "--data", str(data)])
    assert run.exit_code == 0, run.output
    waiting.join(timeout=5)
    assert not waiting.is_alive()


def test_a_changed_study_is_a_new_one(data):
    approve(HEALTH, "node_1", data)
    assert is_approved(HEALTH, "node_1", data)
    assert not is_approved(dataclasses.replace(HEALTH, title="Something else"), "node_1", data)
    assert not is_approved(HEALTH, "node_2", data)


def test_a_wrong_hash_approves_nothing(data):
    run = CliRunner().invoke(app, ["node", "approve", "node_1", "0" * 12, "--data", str(data)])
    assert run.exit_code == 1
    assert f"study health-risk has {HEALTH.hash[:12]}" in run.output
    assert not is_approved(HEALTH, "node_1", data)


def test_who_is_not_approved_in_time_is_told_how(data):
    with pytest.raises(
        PolicyRefusal, match=r"node_1 was not approved .* within 0 s; to approve: fedhealth node approve"
    ):
        _await_approval("node_1", data, "health-risk", None, 0.0, False)


def test_synthetic_rows_and_demos_go_on_and_say_so(data, capsys):
    _await_approval("node_1", data, "health-risk", None, 0.0, True)
    assert "AUTO-APPROVED study health-risk" in capsys.readouterr().out
    write_world(data, rows=300, seed=1)
    _await_approval("node_1", data, "health-risk", None, 0.0, False)
    assert "because its rows are synthetic" in capsys.readouterr().out
    with (data / HEALTH.node("node_1").file).open("a") as table:
        table.write("\n")  # whoever puts a table of their own beside a synthetic world is asked
    with pytest.raises(PolicyRefusal, match="node_1 was not approved"):
        _await_approval("node_1", data, "health-risk", None, 0.0, False)


def moments(rows, folder):
    return exchange_in_process(TWO, [rows], folder / "audit", folder)("moments", {})["north"]


@pytest.mark.parametrize("gone", [1, 9])
def test_rows_that_differ_in_few_from_those_answered_before_stay_inside(tmp_path, gone):
    moments(ROWS, tmp_path)
    training = np.flatnonzero(ROWS.fold >= 0)
    fewer = ROWS.rows(~np.isin(np.arange(1000), training[:gone]))
    with pytest.raises(PolicyRefusal, match=rf"north refused step 'moments': its rows differ in {gone} from rows"):
        moments(fewer, tmp_path)


def test_the_same_rows_and_rows_that_differ_in_many_are_answered(tmp_path):
    first = moments(ROWS, tmp_path)
    np.testing.assert_array_equal(first["sum"], moments(ROWS, tmp_path)["sum"])
    moments(ROWS.rows(np.arange(1000) >= 100), tmp_path)
    changed = dataclasses.replace(ROWS, x=ROWS.x.copy())
    changed.x[0, 0] += 1  # one row changed: gone, and come
    with pytest.raises(PolicyRefusal, match="differ in 2 from rows"):
        moments(changed, tmp_path)


def test_a_person_less_is_noticed_under_another_outcome_and_in_a_table_written_anew(tmp_path):
    moments(ROWS, tmp_path)
    other = dataclasses.replace(ROWS, y=1 - ROWS.y)
    moments(other, tmp_path)
    with pytest.raises(PolicyRefusal, match="differ in 1 from rows"):
        moments(dataclasses.replace(other.rows(np.arange(1000) > 0), table=ROWS.table[1:]), tmp_path)
    with pytest.raises(PolicyRefusal, match="differ in 1 from rows"):
        moments(dataclasses.replace(ROWS.rows(np.arange(1000) > 0), table=ROWS.table + 7777), tmp_path)


def test_rows_that_are_split_by_another_seed_get_no_exact_answer(tmp_path):
    exchange_in_process(TWO, [ROWS], tmp_path / "audit", tmp_path)("inventory", {})
    other = dataclasses.replace(ROWS, fold=np.roll(ROWS.fold, 1))
    with pytest.raises(PolicyRefusal, match=r"north refused step 'inventory': its rows were split .* by another seed"):
        exchange_in_process(TWO, [other], tmp_path / "audit", tmp_path)("inventory", {})
    exchange_in_process(TWO, [ROWS], tmp_path / "audit", tmp_path)("moments", {})
