"""The ledger: over the node's whole life no answer beyond the limit, whatever is asked, killed, or broken."""

import subprocess
import sys
from math import sqrt

import numpy as np
import pytest
from typer.testing import CliRunner

from fedhealth.cli.main import app
from fedhealth.data.synthetic import write_world
from fedhealth.privacy import Ledger, PolicyRefusal, ledger_file
from fedhealth.privacy.accounting import epsilon_of, mu_of

STUDY = "5" * 64


def ledger(folder, epsilon=1.0):
    return Ledger("north", folder / "north.ledger.sqlite", epsilon, 1e-5)


def test_answers_add_up_as_squares_until_the_limit_refuses_and_says_who_asked_what_is_left(tmp_path):
    whole = mu_of(1.0, 1e-5)
    for _ in range(4):
        book = ledger(tmp_path)  # as after a restart
        book.settle(book.reserve(STUDY, "private_gradient", whole / 2))
    assert book.spent() == pytest.approx(1.0)
    with pytest.raises(PolicyRefusal) as caught:
        book.reserve("6" * 64, "private_counts", whole / 2)
    said = str(caught.value)
    assert "north refused step 'private_counts' of study 666666666666: it asked for epsilon 0.4" in said
    assert "limit is 1 at delta 1e-05, 1 are spent, 0 are left" in said
    assert [(one.answers, one.unsettled) for one in book.studies()] == [(4, 0)]


def test_a_wider_limit_lets_more_out_and_a_narrower_one_nothing(tmp_path):
    book = ledger(tmp_path)
    book.reserve(STUDY, "private_counts", mu_of(0.9, 1e-5))
    with pytest.raises(PolicyRefusal):
        ledger(tmp_path, 0.5).reserve(STUDY, "private_counts", 0.001)
    ledger(tmp_path, 2.0).reserve(STUDY, "private_counts", mu_of(0.9, 1e-5))


def test_a_damaged_ledger_lets_nothing_out(tmp_path):
    path = ledger(tmp_path).path
    path.write_bytes(b"no database at all, but long enough to look at" * 40)
    with pytest.raises(PolicyRefusal, match=r"its ledger .*north.ledger.sqlite cannot be used .* nothing may leave"):
        ledger(tmp_path).reserve(STUDY, "private_counts", 0.1)


def test_a_ledger_that_cannot_be_written_lets_nothing_out(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PolicyRefusal, match="cannot be used"):
        Ledger("north", tmp_path / "file" / "x.sqlite", 1.0, 1e-5).reserve(STUDY, "private_counts", 0.1)


RELEASING = """
import sys
from pathlib import Path
from fedhealth.privacy import Ledger, PolicyRefusal
ledger, out = Ledger("north", Path(sys.argv[1]), 1.0, 1e-5), open(sys.argv[2], "ab", buffering=0)
print("ready", flush=True)
while True:
    try:
        entry = ledger.reserve("5" * 64, "private_gradient", 0.0189)
    except PolicyRefusal:
        break
    out.write(b"x")
    ledger.settle(entry)
"""


@pytest.mark.full
def test_killed_at_any_moment_no_answer_is_forgotten_and_the_limit_holds(tmp_path):
    """Two hundred releases fit the limit; the releasing process is killed (-9) at random moments until all are gone."""
    rng, path, out = np.random.default_rng(4), tmp_path / "north.ledger.sqlite", tmp_path / "out"
    killed = 0
    for _ in range(200):
        command = [sys.executable, "-c", RELEASING, str(path), str(out)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            try:
                process.wait(timeout=0.1 * rng.random())
                break
            except subprocess.TimeoutExpired:
                process.kill()
                killed += 1
    released = out.stat().st_size
    book = ledger(tmp_path)
    assert killed > 3
    assert sum(one.answers for one in book.studies()) >= released
    assert epsilon_of(sqrt(released) * 0.0189) <= book.spent() <= 1.0
    assert released >= 200 - killed


def test_the_owner_reads_what_is_spent_and_left(tmp_path):
    write_world(tmp_path, rows=300, seed=1)
    run = CliRunner().invoke
    assert "epsilon 0 at delta 1e-05 spent" in run(app, ["node", "ledger", "node_1", "--data", str(tmp_path)]).output
    assert "no limit is set" in run(app, ["node", "ledger", "node_1", "--data", str(tmp_path)]).output
    (tmp_path / "node_1.policy.toml").write_text("epsilon = 3\n")
    Ledger("node_1", ledger_file(tmp_path, "node_1"), 3.0, 1e-5).reserve(STUDY, "private_counts", mu_of(1.0, 1e-5))
    said = run(app, ["node", "ledger", "node_1", "--data", str(tmp_path)]).output
    assert "555555555555" in said
    assert "epsilon 1 at delta 1e-05 spent on answers with noise; 2 of 3 left" in said
    promised = run(app, ["node", "policy", "show", "node_1", "--data", str(tmp_path)]).output
    assert "than epsilon 3 at delta 1e-05" in promised
