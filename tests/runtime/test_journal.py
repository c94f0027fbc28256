"""A run that was killed goes on where it was: same parameters, nothing paid for twice."""

import json
import sqlite3

import numpy as np
import pytest
from tests.federation.worlds import STUDY, draw_rows, split
from tests.mirrors import without_mlflow
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.data.synthetic import write_world
from fedhealth.federation import fit
from fedhealth.registry import load_bundle
from fedhealth.runtime.events import LOG, Log, read_log
from fedhealth.runtime.journal import Journal, JournalError
from fedhealth.runtime.local import exchange_in_process
from fedhealth.runtime.summing import SummingNode

SHARDS = split(draw_rows(900, seed=5), np.arange(900) % 4)
SETTINGS = {"study": "tiny", "seed": 0}


class Killed(BaseException):
    """Stands for kill -9: nothing is tidied up after it."""


def dies_after(steps, exchange):
    left = iter(range(steps))

    def dying(step, state):
        if next(left, None) is None:
            raise Killed
        return exchange(step, state)

    return dying


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The parameters of a run that was not killed."""
    return fit(STUDY, exchange_in_process(STUDY, SHARDS, tmp_path_factory.mktemp("whole"))).model.arrays()


@pytest.mark.slow
@pytest.mark.parametrize("steps", [0, 1, 3, 9])
def test_a_run_that_was_killed_goes_on_and_gives_the_same_parameters(expected, tmp_path, steps):
    asked = []
    nodes = exchange_in_process(STUDY, SHARDS, tmp_path / "audit")
    first = Journal.begin(tmp_path, SETTINGS)
    with pytest.raises(Killed):
        fit(STUDY, first.exchange(dies_after(steps, nodes)))
    first.release()
    again = Journal.resume(tmp_path, SETTINGS)
    assert again.run == first.run
    found = fit(STUDY, again.exchange(lambda step, state: asked.append(step) or nodes(step, state))).model.arrays()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    assert again.replayed == steps
    assert asked[0] == ["moments", "counts", "columns", "newton"][min(steps, 3)]


def test_a_run_that_is_still_going_is_not_resumed_beside_itself(tmp_path):
    going = Journal.begin(tmp_path, SETTINGS)
    going.exchange(exchange_in_process(STUDY, SHARDS, tmp_path / "audit"))("moments", {})
    with pytest.raises(JournalError, match="is still going in another process; end that one first, or wait"):
        Journal.resume(tmp_path, SETTINGS)


def test_what_differs_is_said(tmp_path):
    with pytest.raises(JournalError, match="--resume: no unfinished run with these settings"):
        Journal.resume(tmp_path, SETTINGS)
    started = Journal.begin(tmp_path, {**SETTINGS, "seed": 4})
    fit(STUDY, started.exchange(exchange_in_process(STUDY, SHARDS, tmp_path / "audit")))
    with pytest.raises(JournalError, match=r"other settings: .*-tiny-\w{4} \(seed 4 instead of 0\)"):
        Journal.resume(tmp_path, SETTINGS)
    started.finish()
    with pytest.raises(JournalError, match=r"in .*started$"):
        Journal.resume(tmp_path, {**SETTINGS, "seed": 4})


def test_a_program_that_asks_something_else_is_refused(tmp_path):
    nodes = exchange_in_process(STUDY, SHARDS, tmp_path / "audit")
    begun = Journal.begin(tmp_path, SETTINGS)
    begun.exchange(nodes)("moments", {})
    begun.release()
    with pytest.raises(JournalError, match="step 1 was 'moments', and is 'inventory' now"):
        Journal.resume(tmp_path, SETTINGS).exchange(nodes)("inventory", {})


def test_a_journal_that_cannot_be_written_stops_the_run_with_a_message(tmp_path):
    journal = Journal.begin(tmp_path, SETTINGS)
    (journal.folder / "journal.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(JournalError, match=r"journal.sqlite cannot be written \(.*\); make room"):
        journal.exchange(exchange_in_process(STUDY, SHARDS, tmp_path / "audit"))("moments", {})


def answers_paid(data):
    with sqlite3.connect(data / "node_1.ledger.sqlite") as store:
        return store.execute("SELECT count(*), sum(mu * mu) FROM answers").fetchone()


@pytest.mark.slow
@without_mlflow()
def test_a_private_run_that_was_killed_is_resumed_and_pays_once(tmp_path, monkeypatch):
    data, runs = tmp_path / "data", tmp_path / "runs"
    write_world(data, rows=1500, seed=7)
    settings = ["--model", "logistic", "--epsilon", "3", "--data", str(data), "--runs", str(runs)]
    hear, heard = SummingNode.hear, []

    def dies_before_it_is_told(self, call, state):
        """The nodes have paid for a gradient and masked it; the server dies before it has the sum."""
        heard.append((call.step, call.phase))
        if heard.count(("private_gradient", "signed")) == 7:
            raise KeyboardInterrupt
        return hear(self, call, state)

    with monkeypatch.context() as patched:
        patched.setattr(SummingNode, "hear", dies_before_it_is_told)
        run = CliRunner().invoke(app, ["train", *settings])
    assert run.exit_code != 0
    assert "the same command with --resume goes on with it" in run.output
    paid, spent = answers_paid(data)
    run = CliRunner().invoke(app, ["train", *settings, "--resume"])
    assert run.exit_code == 0, run.output
    whole, budget = answers_paid(data)
    assert (paid, whole) == (1 + 1 + 3, 1 + 1 + 16 + 1)
    assert budget > spent
    from fedhealth.privacy import Budget

    assert np.sqrt(budget) == pytest.approx(Budget(3.0).mu)


@pytest.mark.slow
@without_mlflow()
def test_other_rows_are_not_mixed_into_a_run_that_is_resumed(tmp_path, monkeypatch):
    for seed in (7, 8):
        write_world(tmp_path / str(seed), rows=800, seed=seed)
    typed = ["train", "--model", "logistic", "--runs", str(tmp_path / "runs"), "--data"]
    with monkeypatch.context() as patched:
        patched.setattr("fedhealth.cli.training._train", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patched.setattr(Journal, "exchange", lambda journal, inner: journal._open().__enter__() and inner)
        assert CliRunner().invoke(app, [*typed, str(tmp_path / "7")]).exit_code != 0
    resumed = CliRunner().invoke(app, [*typed, str(tmp_path / "8"), "--resume"])
    assert resumed.exit_code == 1
    assert "inputs" in resumed.output
    assert CliRunner().invoke(app, [*typed, str(tmp_path / "7"), "--resume"]).exit_code == 0


def test_a_log_that_a_full_disk_cut_off_is_gone_on_with_and_tells_each_round_once(tmp_path):
    path = tmp_path / LOG
    for number in range(3):
        Log(path, "r")("round", round=number, loss=0.3)
    path.write_text(path.read_text() + '{"time": "2026-1', encoding="utf-8")
    log = Log(path, "r")
    for number in range(5):
        log("round", round=number, loss=0.3)
    assert [one["round"] for one in read_log(path)] == [0, 1, 2, 3, 4]
    assert read_log(tmp_path / "none") == []


@pytest.mark.slow
@without_mlflow()
def test_runs_are_listed_shown_and_their_logs_printed(tmp_path):
    data, runs = tmp_path / "data", tmp_path / "runs"
    write_world(data, rows=1000, seed=7)
    invoke = CliRunner().invoke
    trained = invoke(app, ["train", "--model", "logistic", "--data", str(data), "--runs", str(runs)])
    assert trained.exit_code == 0, trained.output
    version = load_bundle(next(runs.glob("health-risk-*"))).version
    failed = invoke(app, ["train", "--epsilon", "1e-9", "--data", str(data), "--runs", str(runs)])
    assert failed.exit_code in (0, 1)
    listed = invoke(app, ["runs", "list", "--runs", str(runs)], terminal_width=200, env={"COLUMNS": "200"}).output
    assert version in listed
    assert "in-process" in listed
    name = sorted((runs / "started").iterdir())[0].name
    shown = invoke(app, ["runs", "show", name, "--runs", str(runs)]).output
    assert "global model, held-out rows of all nodes" in shown
    lines = invoke(app, ["runs", "logs", name, "--json", "--follow", "--runs", str(runs)]).output.splitlines()
    events = [json.loads(line) for line in lines]
    assert (events[0]["event"], events[-1]["event"]) == ("started", "finished")
    rounds = [e["round"] for e in events if e["event"] == "round"]
    assert rounds == list(range(len(rounds)))
    assert len(rounds) >= 3
    assert [e["node"] for e in events if e["event"] == "joined"] == ["node_1", "node_2", "node_3"]
    assert all(e["run"] == name for e in events)
    missing = invoke(app, ["runs", "show", "1999", "--runs", str(runs)])
    assert missing.exit_code == 1
    assert "no run '1999'" in missing.output
