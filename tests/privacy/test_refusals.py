"""The disclosure table, row by row and exit by exit: what must stay inside does, and the refusal says why."""

from dataclasses import replace

import numpy as np
import pytest
from tests.federation.worlds import STUDY, draw_rows, split
from tests.privacy.doors import TWO, open_door

from fedhealth.federation import STEPS, Contribution
from fedhealth.federation.contribution import arrays
from fedhealth.privacy import EXITS, POLICIES, PolicyRefusal, policy_of, read_limits
from fedhealth.runtime.local import exchange_in_process

DEFAULT = POLICIES["default"]
HASH = "b" * 64
EXACT = [step for step, way in EXITS.items() if not way.noisy]


def answer(step, rows=1000, value=1.0, **more):
    """An answer of one declared array."""
    name = EXITS[step].arrays[0].replace("*", "net.0.weight")
    sums = {name: np.full(3, value), **{key: np.asarray(array, dtype=float) for key, array in more.items()}}
    return Contribution(sums, rows, sensitivity=1.0 if EXITS[step].noisy else np.inf)


def refused(folder, step, contribution, policy=DEFAULT, spend=0.1, study=HASH, labels=(900, 100)):
    door = open_door(folder, policy=policy, labels=labels)
    with pytest.raises(PolicyRefusal) as caught:
        door.release(study, step, contribution, spend)
    assert not door.audit_path.exists()
    assert not door.ledger.studies()
    return str(caught.value)


@pytest.mark.parametrize("step", EXITS)
def test_every_exit_lets_a_proper_answer_out(tmp_path, step):
    open_door(tmp_path).release(HASH, step, answer(step, value=100.0), 0.1)


@pytest.mark.parametrize("step", EXITS)
@pytest.mark.parametrize("rows", [1, 99])
def test_no_exit_answers_from_too_few_rows(tmp_path, step, rows):
    said = refused(tmp_path, step, answer(step, rows), labels=(rows, 0))
    assert (
        said == f"north refused step {step!r}: it would sum over {rows} rows; its 'default' policy needs at least 100"
    )


@pytest.mark.parametrize("step", EXITS)
def test_no_exit_lets_an_array_out_that_is_not_declared_for_it(tmp_path, step):
    said = refused(tmp_path, step, answer(step, values_of_rows=[1.0, 2.0]))
    assert f"north refused step {step!r}: 'values_of_rows' may not leave in it; expected " in said


@pytest.mark.parametrize("step", EXITS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_no_exit_lets_out_what_is_no_number(tmp_path, step, value):
    assert f"north refused step {step!r}" in (said := refused(tmp_path, step, answer(step, value=value)))
    assert "holds a value that is not finite" in said


@pytest.mark.parametrize("step", ["evaluate", "local_baseline", "local_network", "private_scores"])
@pytest.mark.parametrize("label", ["positives", "negatives"])
def test_a_step_that_tells_labels_needs_ten_of_either(tmp_path, step, label):
    contribution = Contribution(arrays(**{label: [4.0, 5.0]}), 1000, sensitivity=1.0)
    said = refused(tmp_path, step, contribution, labels=(9, 991) if label == "negatives" else (991, 9))
    assert f"only 9 rows are {label}; its 'default' policy needs at least 10" in said


@pytest.mark.parametrize("step", ["newton", "calibrate", "calibrate_network", "columns"])
def test_a_model_needs_ten_rows_for_each_parameter(tmp_path, step):
    name = "products" if step == "columns" else "hessian"
    contribution = Contribution(arrays(**{name: np.eye(11)}), 109)
    said = refused(tmp_path, step, contribution)
    assert "a model of 11 parameters over 109 rows; its 'default' policy needs at least 10 rows for each" in said


@pytest.mark.parametrize("step", EXACT)
def test_with_an_epsilon_limit_no_exit_answers_without_noise(tmp_path, step):
    said = refused(tmp_path, step, answer(step), replace(DEFAULT, epsilon=1.0))
    assert f"north refused step {step!r}: it has no noise, and its owner's limit is epsilon 1" in said


@pytest.mark.parametrize("step", EXITS)
def test_a_study_that_the_owner_did_not_name_gets_no_answer(tmp_path, step):
    said = refused(tmp_path, step, answer(step), replace(DEFAULT, studies=("a" * 12,)))
    assert said.endswith(f"its owner answers only studies {'a' * 12}; this one is {'b' * 12}")


@pytest.mark.parametrize("step", [step for step in EXITS if step != "inventory"])
def test_a_step_that_the_owner_did_not_name_gets_no_answer(tmp_path, step):
    said = refused(tmp_path, step, answer(step), replace(DEFAULT, steps=("inventory",)))
    assert said == f"north refused step {step!r}: its owner answers only inventory"


def test_a_weaker_file_of_the_owner_changes_nothing(tmp_path):
    study = replace(STUDY, policy="default")
    (tmp_path / "north.policy.toml").write_text("minimum_rows = 5\nminimum_cell = 2\nminimum_class = 1\ndelta = 0.5\n")
    found = policy_of(study, "north", tmp_path)
    assert (found.minimum_rows, found.minimum_cell, found.minimum_class, found.delta) == (100, 10, 10, 1e-5)


@pytest.mark.parametrize(("line", "said"), [("epsilon = 0", "a number above 0"), ("delta = 1", "between 0 and 1")])
def test_a_budget_that_makes_no_sense_is_refused(tmp_path, line, said):
    path = tmp_path / "north.policy.toml"
    path.write_text(line)
    with pytest.raises(Exception, match=said):
        read_limits(path)


@pytest.mark.parametrize("step", ["moments", "inventory", "private_counts"])
def test_too_few_rows_are_refused_in_a_real_exchange_too(tmp_path, step):
    few = split(draw_rows(400, seed=1), np.arange(400) % 4)[0].rows(np.arange(100) < 60)
    with pytest.raises(PolicyRefusal, match=rf"east refused step '{step}': it would sum over"):
        exchange_in_process(TWO, [few], tmp_path)(step, arrays(spend=0.1))


def test_every_step_that_there_is_was_looked_at():
    assert set(EXITS) == set(STEPS)
