"""The audit log tells when it was tampered with, and lets nothing leave that it cannot follow."""

import json
from concurrent.futures import ProcessPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fedhealth.cli.main import app
from fedhealth.federation import Contribution
from fedhealth.federation.contribution import arrays
from fedhealth.privacy import AuditError, audit

HASH = "a" * 64


def write(path, count):
    for rows in range(count):
        audit.append(path, "north", HASH, "moments", Contribution(arrays(sum=rows), 100 + rows))
    return path


@pytest.fixture
def log(tmp_path):
    return write(tmp_path / "audit" / "north.jsonl", 5)


def lines(path):
    return path.read_bytes().splitlines(keepends=True)


def test_an_untouched_log_reads_as_it_was_written(log):
    assert [line["rows"] for line in audit.read(log)] == [100, 101, 102, 103, 104]


@given(data=st.data())
def test_any_changed_removed_added_or_moved_line_is_told(tmp_path_factory, data):
    log = write(tmp_path_factory.mktemp("log") / "north.jsonl", 4)
    found, at = lines(log), data.draw(st.integers(0, 2))
    how = data.draw(st.sampled_from(["change", "remove", "copy", "swap"]))
    if how == "change":
        found[at] = found[at].replace(b'"rows": 10', b'"rows": 20')
    elif how == "remove":
        del found[at]
    elif how == "copy":
        found.insert(at, found[at])
    else:
        found[at], found[at + 1] = found[at + 1], found[at]
    log.write_bytes(b"".join(found))
    with pytest.raises(AuditError, match=rf"line {at + 1 + (how == 'copy')} "):
        list(audit.read(log))


def test_a_line_rehashed_after_a_change_breaks_the_next(log):
    found = [json.loads(line) for line in lines(log)]
    found[1]["rows"] = 7
    del found[1]["hash"]
    found[1]["hash"] = audit._hash(found[1])
    log.write_text("".join(json.dumps(line) + "\n" for line in found))
    with pytest.raises(AuditError, match="line 3 does not follow line 2"):
        list(audit.read(log))


@pytest.mark.parametrize("end", [b'{"step": "half', b"not json\n", b'{"step": "no hash"}\n', b"[]\n"])
def test_nothing_is_appended_after_a_line_that_is_not_whole(log, end):
    log.write_bytes(log.read_bytes() + end)
    with pytest.raises(AuditError, match="last line is no whole entry, so nothing may leave"):
        write(log, 1)
    with pytest.raises(AuditError, match="line 6 is damaged"):
        list(audit.read(log))


def test_two_processes_append_one_after_another(tmp_path):
    path = tmp_path / "north.jsonl"
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(write, [path, path], [40, 40]))
    assert len(list(audit.read(path))) == 80


def run(*command):
    return CliRunner().invoke(app, ["node", "audit", *command])


def test_the_owner_sees_what_left(log):
    told = run("show", "north", "--runs", str(log.parent.parent), "--last", "2")
    assert told.exit_code == 0
    assert "104" in told.output
    assert "102" not in told.output
    assert "moments" in told.output


def test_verify_gives_a_hash_that_tells_a_cut_later(log):
    runs = str(log.parent.parent)
    told = run("verify", "north", "--runs", runs)
    assert "5 lines, unbroken" in told.output
    last = json.loads(lines(log)[-1])["hash"]
    assert last in told.output.replace("\n", "")
    assert run("verify", "north", "--runs", runs, "--noted", last[:12]).exit_code == 0
    log.write_bytes(b"".join(lines(log)[:-1]))
    assert run("verify", "north", "--runs", runs).exit_code == 0
    cut = run("verify", "north", "--runs", runs, "--noted", last)
    assert cut.exit_code == 1
    assert "cut short" in cut.output


def test_verify_names_the_line_and_a_missing_log(log, tmp_path):
    log.write_bytes(log.read_bytes().replace(b'"rows": 102', b'"rows": 902'))
    broken = run("verify", "north", "--runs", str(log.parent.parent))
    assert broken.exit_code == 1
    assert "line 3 was changed" in broken.output
    assert run("show", "north", "--runs", str(tmp_path / "nowhere")).exit_code == 1
