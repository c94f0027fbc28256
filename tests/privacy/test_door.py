"""Nothing leaves a node but what its policy allows, and never before it is written down."""

import dataclasses
import json
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.federation.worlds import STUDY, draw_rows, split
from tests.privacy.doors import OPEN, open_door

from fedhealth.federation import Contribution, exchange_within, fit
from fedhealth.federation.contribution import arrays
from fedhealth.privacy import POLICIES, AuditError, Policy, PolicyRefusal
from fedhealth.runtime.local import exchange_in_process

HASH = "a" * 64
ROWS = draw_rows(1200, seed=1)
SHARDS = split(ROWS, np.arange(len(ROWS)) % 4)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def histogram(positives, negatives):
    return Contribution(arrays(positives=positives, negatives=negatives), int(sum(positives) + sum(negatives)))


@pytest.fixture
def door(tmp_path):
    return open_door(tmp_path / "audit")


def test_a_contribution_over_enough_rows_goes_out_unchanged(door):
    contribution = Contribution(arrays(sum=[1.5, 2.5], rows=3), 100)
    assert door.release(HASH, "moments", contribution) is contribution


def test_each_release_is_one_line_that_tells_what_left(door):
    door.release(HASH, "moments", Contribution(arrays(sum=[1.5, 2.5], rows=3), 100))
    door.release(HASH, "newton", Contribution(arrays(hessian=np.zeros((2, 3, 3))), 700))
    first, second = lines(door.audit_path)
    assert first["node"] == "north"
    assert first["study"] == HASH
    assert first["step"] == "moments"
    assert first["rows"] == 100
    assert first["arrays"] == {"sum": [2], "rows": []}
    assert first["bytes"] == 24
    assert (second["step"], second["arrays"]) == ("newton", {"hessian": [2, 3, 3]})
    assert datetime.fromisoformat(first["time"]).tzinfo is not None


def test_the_log_holds_no_values(door):
    door.release(HASH, "moments", Contribution(arrays(sum=[123456.789]), 100))
    assert "123456" not in door.audit_path.read_text()


@pytest.mark.parametrize(
    ("contribution", "rule"),
    [
        (Contribution(arrays(risks=1), 1), "1 rows; its 'default' policy needs at least 100"),
        (Contribution(arrays(risks=1), 99), "99 rows; its 'default' policy needs at least 100"),
        (histogram([4, 5], [100, 90]), "9 rows are positives; its 'default' policy needs at least 10"),
        (histogram([400, 5], [1, 2]), "3 rows are negatives; its 'default' policy needs at least 10"),
        (Contribution(arrays(risks=[1, np.nan]), 100), "'risks' holds a value that is not finite"),
        (Contribution(arrays(risks=np.inf), 100), "'risks' holds a value that is not finite"),
    ],
)
def test_a_refusal_names_node_step_and_rule_and_leaves_no_line(door, contribution, rule):
    with pytest.raises(PolicyRefusal) as caught:
        door.release(HASH, "evaluate", contribution)
    assert str(caught.value).startswith("north refused step 'evaluate': ")
    assert rule in str(caught.value)
    assert not door.audit_path.exists()


def test_a_node_without_any_row_may_say_so(door):
    door.release(HASH, "evaluate", histogram([0, 0], [0, 0]))
    assert lines(door.audit_path)[0]["rows"] == 0


@given(rows=st.integers(0, 300), positives=st.integers(0, 300), least=st.integers(1, 150), each=st.integers(1, 30))
def test_exactly_the_rule_decides(rows, positives, least, each):
    positives = min(positives, rows)
    contribution = histogram([positives], [rows - positives])
    few = 0 < rows < least or 0 < positives < each or 0 < rows - positives < each
    try:
        Policy("mine", least, each, 1, 0).check("north", "evaluate", contribution)
    except PolicyRefusal:
        assert few
    else:
        assert not few


def test_nothing_leaves_that_cannot_be_written_down(tmp_path):
    (tmp_path / "audit").write_text("a file where the folder should be")
    door = open_door(tmp_path / "audit")
    with pytest.raises(OSError, match="audit"):
        door.release(HASH, "moments", Contribution(arrays(sum=1), 1000))


def test_the_line_is_on_disk_when_the_contribution_is_out(tmp_path):
    exchange = exchange_in_process(STUDY, SHARDS, tmp_path)
    for asked in range(1, 4):
        replies = exchange("moments", {})
        assert all(len(lines(tmp_path / f"{name}.jsonl")) == asked for name in replies)


def test_earlier_lines_are_kept(door):
    for step in ("moments", "newton"):
        door.release(HASH, step, Contribution(arrays(rows=1), 1000))
    assert [line["step"] for line in lines(door.audit_path)] == ["moments", "newton"]


def test_a_whole_training_run_writes_one_line_for_each_contribution(tmp_path):
    through_doors, asked = exchange_in_process(STUDY, SHARDS, tmp_path), []

    def exchange(step, state):
        replies = through_doors(step, state)
        asked.extend((name, step, reply.rows) for name, reply in replies.items())
        return replies

    found = fit(STUDY, exchange)
    written = [line for s in SHARDS for line in lines(tmp_path / f"{s.node}.jsonl")]
    assert sorted((w["node"], w["step"], w["rows"]) for w in written) == sorted(asked)
    assert {w["study"] for w in written} == {STUDY.hash}
    free = fit(STUDY, exchange_within(SHARDS, STUDY)).model
    np.testing.assert_array_equal(found.model.coefficients, free.coefficients)


def test_a_node_with_too_few_rows_stops_the_run_with_its_name(tmp_path):
    study = dataclasses.replace(STUDY, policy="default")
    few = SHARDS[2].rows(np.arange(len(SHARDS[2])) < 50)
    exchange = exchange_in_process(study, [*SHARDS[:2], few, SHARDS[3]], tmp_path)
    with pytest.raises(PolicyRefusal, match=r"south refused step 'moments': .*40 rows; its 'default' policy .* 100"):
        fit(study, exchange)
    assert not (tmp_path / "south.jsonl").exists()


def test_the_research_policy_lets_a_small_hospital_take_part(tmp_path):
    few = SHARDS[2].rows(np.arange(len(SHARDS[2])) < 50)
    fit(STUDY, exchange_in_process(STUDY, [*SHARDS[:2], few, SHARDS[3]], tmp_path))
    assert min(line["rows"] for line in lines(tmp_path / "south.jsonl")) == 40


def test_the_default_policy_is_the_stricter_one():
    default, research = POLICIES["default"], POLICIES["research"]
    assert default.minimum_rows > research.minimum_rows > 1
    assert default.minimum_class > research.minimum_class


NOISY = Contribution(arrays(gradient=np.zeros(4)), 1000, sensitivity=2.0)


def test_a_noisy_answer_is_paid_for_before_it_is_out_and_its_noise_is_what_was_paid(tmp_path):
    door = open_door(tmp_path)
    left = door.release("a" * 64, "private_gradient", NOISY, spend=0.5)
    assert left.noise == 4.0
    assert (left["gradient"] != 0).all()
    assert left.rows == 0
    assert [(one.answers, one.unsettled, one.mu) for one in door.ledger.studies()] == [(1, 0, 0.5)]
    again = door.release("a" * 64, "private_gradient", NOISY, spend=0.5)
    assert (again["gradient"] != left["gradient"]).all()


def test_what_could_not_be_written_down_is_paid_for_and_stays_inside(tmp_path):
    door = open_door(tmp_path)
    door.audit_path.write_text("half a li")
    with pytest.raises(AuditError):
        door.release("a" * 64, "private_gradient", NOISY, spend=0.5)
    assert [(one.answers, one.unsettled) for one in door.ledger.studies()] == [(1, 1)]


@pytest.mark.parametrize("spend", [0.0, -1.0, np.inf, np.nan])
def test_a_noisy_answer_without_a_price_stays_inside(tmp_path, spend):
    with pytest.raises(PolicyRefusal, match="north refused step 'private_gradient': noise for mu"):
        open_door(tmp_path).release("a" * 64, "private_gradient", NOISY, spend)


def test_an_answer_of_unknown_sensitivity_gets_no_noise_and_stays_inside(tmp_path):
    unclipped = Contribution(NOISY.sums, 1000)
    with pytest.raises(PolicyRefusal, match=r"noise for a sensitivity of inf; expected 1e-06 to 1e[+]06"):
        open_door(tmp_path).release("a" * 64, "private_gradient", unclipped, 0.5)


def test_while_the_owner_limits_epsilon_nothing_leaves_without_noise(tmp_path):
    door = open_door(tmp_path, policy=dataclasses.replace(OPEN, epsilon=1.0))
    with pytest.raises(PolicyRefusal, match=r"north refused step 'inventory': it has no noise.* epsilon 1; train with"):
        door.release("a" * 64, "inventory", Contribution(arrays(rows=1000, seen=[1.0]), 1000))
    door.release("a" * 64, "private_gradient", NOISY, spend=0.1)
    with pytest.raises(PolicyRefusal, match=r"asked for epsilon .* limit is 1 at delta 1e-05"):
        door.release("a" * 64, "private_gradient", NOISY, spend=0.3)
