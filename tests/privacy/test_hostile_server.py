"""A server that asks what no training asks, so that single rows show themselves: it learns nothing, or is refused."""

import dataclasses
import os
from itertools import product

import numpy as np
import polars as pl
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.federation.worlds import STUDY, draw_rows, split
from tests.privacy.doors import TWO, open_door

from fedhealth.data.tables import shard_from_table
from fedhealth.federation import STEPS, Contribution, exchange_within, fit_private, packing
from fedhealth.federation.contribution import arrays
from fedhealth.privacy import EXITS, POLICIES, PolicyError, PolicyRefusal, policy_of
from fedhealth.privacy.secure_aggregation import SecureAggregationError
from fedhealth.runtime.flower.client import NodeConfig, respond
from fedhealth.runtime.flower.environment import FlowerError
from fedhealth.runtime.flower.wire import Question
from fedhealth.runtime.node import Node
from fedhealth.runtime.summing import Call, Past, SummingNode
from fedhealth.study import load_study

ROWS = draw_rows(1200, seed=8, missing=0.2, node="north")
NORTH = TWO.node("north")
NOISY = [step for step, way in EXITS.items() if way.noisy]


def asked_of(study, shards):
    """The last state that an honest private training asks each noisy step with."""
    states, inner = {}, exchange_within(shards, study)

    def listening(step, state):
        states[step] = state
        return inner(step, state)

    fit = fit_private(study, listening, 50.0)
    states["private_scores"] = {**fit.model.arrays(), **arrays(spend=1.0)}
    states["private_calibrate"] = {**states["private_scores"], **arrays(line=[0.3, 1.1], centre=-1.0)}
    return states


def table_of(shard):
    """A table of these rows as a file would hold it."""
    seen = np.where(shard.observed, shard.x, np.nan)
    names = [feature.column for feature in STUDY.features]
    columns = {name: pl.Series(seen[:, i]).fill_nan(None) for i, name in enumerate(names)}
    for feature in (f for f in STUDY.features if f.levels):
        levels = {float(i): level for i, level in enumerate(feature.levels)}
        columns[feature.column] = columns[feature.column].replace_strict(levels, default=None)
    return pl.DataFrame({**columns, **dict.fromkeys(STUDY.outcome.columns, shard.y)})


@pytest.mark.parametrize("row", [0, 1, 2, 3, 4, 5, 6, 7])
def test_one_row_more_in_the_table_changes_no_noisy_answer_by_more_than_it_claims(row):
    table, node = table_of(draw_rows(400, seed=3, missing=0.2)), STUDY.node("east")
    node = dataclasses.replace(node, person="")
    shards = [
        shard_from_table(STUDY, node, frame, 7, "table")
        for frame in (table, pl.concat([table[:row], table[row + 1 :]]))
    ]
    for step, state in asked_of(STUDY, shards[:1]).items():
        with_row, without = (STEPS[step](STUDY, state, shard) for shard in shards)
        moved = np.sqrt(sum(float(((with_row[n] - without[n]) ** 2).sum()) for n in with_row.sums))
        assert moved <= with_row.sensitivity * (1 + 1e-6), step


@pytest.mark.parametrize("clip", [1e-100, 0.0, 1e12, np.nan])
def test_noise_too_small_or_too_large_to_mean_anything_is_refused(tmp_path, clip):
    node = Node.behind_door(TWO, ROWS, policy_of(TWO, "north", None), tmp_path)
    state = {**asked_of(TWO, [ROWS])["private_products"], **arrays(clip=clip, line_clip=clip)}
    with pytest.raises(PolicyRefusal, match=r"noise for a sensitivity of|of its state is not finite"):
        node.answer("private_products", state)
    assert not node.door.ledger.studies()


@pytest.mark.parametrize("spend", [1e-310, 1e-9, 1e9])
def test_so_is_spending_next_to_nothing_again_and_again(tmp_path, spend):
    with pytest.raises(PolicyRefusal, match="noise for mu of"):
        open_door(tmp_path).release("b" * 64, "private_scores", Contribution({}, 1000, sensitivity=1.0), spend)


@pytest.mark.parametrize("step", ["calibrate", "private_calibrate", "evaluate"])
def test_a_state_that_is_no_number_is_refused(tmp_path, step):
    node = Node.behind_door(TWO, ROWS, policy_of(TWO, "north", None), tmp_path)
    with pytest.raises(PolicyRefusal, match="'line' of its state is not finite"):
        node.answer(step, arrays(line=[np.inf, -np.inf]))


def test_a_covariance_that_no_rows_can_have_does_not_show_who_observes_what():
    states = asked_of(TWO, [ROWS])
    size = len(states["private_gradient"]["column_covariance"])
    singular, huge = np.full((size, size), 1.01), np.full((size, size), 1.797e308)
    np.fill_diagonal(singular, 1.0)
    steps = "private_gradient", "private_scores", "private_calibrate"
    for step, bad in product(steps, (singular, huge)):
        found = STEPS[step](TWO, {**states[step], **arrays(column_covariance=bad)}, ROWS)
        assert all(np.isfinite(array).all() for array in found.sums.values()), step


@pytest.mark.parametrize("step", NOISY)
def test_whether_a_noisy_answer_comes_does_not_depend_on_its_own_sums(tmp_path, step):
    empty = Contribution(arrays(positives=np.ones(3), negatives=np.zeros(3)), 3, sensitivity=1.0)
    named = {"private_counts": arrays(positives=1.0), "private_scores": empty.sums}
    few = Contribution(named.get(step, {}), 3, sensitivity=1.0)
    open_door(tmp_path, policy=dataclasses.replace(POLICIES["default"], secure_aggregation=False)).release(
        "b" * 64, step, few, 0.1
    )


def test_a_question_has_one_answer_for_ever_or_none(tmp_path):
    door = open_door(tmp_path)
    answer = Contribution(arrays(positives=np.zeros(9)), 900, sensitivity=1.0)

    def ask(question, rows=b"rows"):
        return door.release("b" * 64, "private_scores", answer, 0.01, 1, question, rows)

    first = ask(b"first")
    np.testing.assert_array_equal(ask(b"first")["positives"], first["positives"])
    with pytest.raises(PolicyRefusal, match="of other rows than are here now"):
        ask(b"first", b"others")
    for number in range(65):
        ask(b"%d" % number)
    with pytest.raises(PolicyRefusal, match=r"its answer is no longer kept; .*start the run anew"):
        ask(b"first")


def summing(folder, past=None, seed=0):
    shards = split(draw_rows(2400, seed=31), np.arange(2400) % 4)
    study = dataclasses.replace(STUDY, policy="default")
    node = Node.behind_door(study, shards[0], policy_of(study, shards[0].node, None), folder)
    return SummingNode(node, Ed25519PrivateKey.generate(), seed, past=past)


def test_a_sum_belongs_to_the_run_that_began_it(tmp_path):
    node = summing(tmp_path)
    name = node.node.name
    call = Call("keys", "run", "s1", "moments", packing.digest({}), packing.encode({name: node.public_key}))
    node.hear(call, {})
    with pytest.raises(SecureAggregationError, match="the sum was begun by another run"):
        node.hear(dataclasses.replace(call, phase="letters", run="another"), {})


def test_a_study_that_changed_since_the_node_started_is_not_answered(tmp_path):
    study = load_study("health-risk")
    config = NodeConfig("node_1", "health-risk", str(tmp_path), str(tmp_path), approved="e" * 64)
    with pytest.raises(FlowerError, match="node_1 refused: its study file was changed since it started"):
        respond(Question("inventory", study.hash, 0, {}, "run"), config)


def test_values_that_did_not_fit_are_remembered_under_every_seed(tmp_path):
    past = Past(unfit=True)
    for seed in (0, 1):
        with pytest.raises(SecureAggregationError, match="its values did not fit into an earlier sum"):
            summing(tmp_path / str(seed), past, seed).hear(Call("keys", "", "", "", b"", b""), {})


def test_the_same_file_is_the_same_cohort_for_every_outcome_and_set_of_features():
    table = table_of(ROWS).with_columns(other=pl.Series(np.arange(1200) % 2))
    outcome = dataclasses.replace(STUDY.outcome, columns=("other",))
    studies = STUDY, dataclasses.replace(STUDY, outcomes=(outcome,))
    node = dataclasses.replace(STUDY.node("north"), person="", features=STUDY.node("north").features[:1])
    first, second = (
        shard_from_table(study, one, table, 7, "table") for study, one in zip(studies, (NORTH, node), strict=True)
    )
    assert not np.array_equal(first.y, second.y)
    np.testing.assert_array_equal(first.table, second.table)
    np.testing.assert_array_equal(first.fold, second.fold)


def test_the_evaluation_without_a_feature_does_not_leave_out_a_few(tmp_path):
    rows = draw_rows(1000, seed=5, node="north")
    one, many = np.flatnonzero(rows.fold < 0)[0], np.flatnonzero(rows.fold < 0)[:100]
    rows.observed[many, 0] = rows.observed[many[1:], 1] = False  # two features whose rows differ in one
    rows.observed[one, 0] = False
    model = fit_private(TWO, exchange_within([rows], TWO), 1e6).model.arrays()
    answers = [
        STEPS["evaluate"](TWO, {**model, **arrays(withhold=hidden)}, rows)
        for hidden in (np.zeros(4), np.array([1.0, 0, 0, 0]), np.array([0, 1.0, 0, 0]))
    ]
    assert answers[0].rows == answers[1].rows == answers[2].rows


def test_the_owners_stricter_limits_reach_every_cell(tmp_path):
    seen = []
    policy = dataclasses.replace(policy_of(TWO, "north", None), minimum_cell=60, minimum_class=20)
    node = Node.behind_door(TWO, ROWS, policy, tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(
            STEPS, "inventory", lambda study, state, rows: seen.append(dict(state)) or Contribution({}, 900)
        )
        node.answer("inventory", arrays(minimum_cell=1.0))
    assert (float(seen[0]["minimum_cell"]), float(seen[0]["minimum_class"])) == (60.0, 20.0)


@pytest.mark.parametrize("kind", ["folder", "dangling"])
def test_a_policy_file_that_cannot_be_read_is_not_taken_as_none(tmp_path, kind):
    path = tmp_path / "north.policy.toml"
    path.mkdir() if kind == "folder" else os.symlink(tmp_path / "gone", path)
    with pytest.raises(PolicyError, match=r"north.policy.toml: cannot be read: .*; nothing may leave before it can"):
        policy_of(TWO, "north", tmp_path)
