"""What a run's log tells of its nodes."""

from pathlib import Path

import pytest

from fedhealth.runtime.events import Log, node_facts, read_log


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "started" / "log.jsonl", "a run")


def test_bytes_add_up_over_steps_and_over_a_resumed_run(log):
    log("joined", node="node_1", version="0.1.0")
    log("joined", node="node_2", version="")
    log("step", step="moments", received={"node_1": 10, "node_2": 20}, sent={"node_1": 1})
    log("lost", node="node_2", why="it is no longer connected")
    log("resumed")
    log("back", node="node_2", version="0.2.0")
    log("step", step="newton", received={"node_1": 30}, sent={"node_1": 2})
    assert node_facts(read_log(log.path)) == {
        "node_1": {"version": "0.1.0", "received": 40, "sent": 3},
        "node_2": {"version": "0.2.0", "received": 20, "sent": None},
    }


def test_a_log_of_an_older_program_tells_nothing_of_versions_and_bytes(log):
    log("joined", node="node_1")
    log("step", step="moments", nodes=["node_1"], seconds=0.1, bytes=400)
    assert node_facts(read_log(log.path)) == {"node_1": {"version": None, "received": None, "sent": None}}


def test_a_log_that_could_not_be_written_whole_does_not_stop_a_run(log):
    assert read_log(log.path) == []
    log("joined", node="node_1", version="0.1.0")
    with log.path.open("a", encoding="utf-8") as file:
        file.write("half a li")
    log("round", round=0)
    assert [one["event"] for one in read_log(log.path)] == ["joined", "round"]
