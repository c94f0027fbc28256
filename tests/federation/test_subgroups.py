"""Who belongs to which subgroup, which subgroups stay inside their node, and what evaluation says of the others."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.federation.test_metrics import measure
from tests.federation.worlds import STUDY, draw_rows, hide, make_shard, split

from fedhealth.federation import (
    STEPS,
    difference,
    exchange_within,
    fit,
    group_names,
    metrics,
    score_histogram,
    subgroup,
    total,
)
from fedhealth.federation.evaluation import GROUP_EDGES
from fedhealth.federation.small_groups import FEWEST_ROWS
from fedhealth.federation.subgroups import large_enough, members
from fedhealth.study import Subgroup

GROUPED = dataclasses.replace(
    STUDY, subgroups=(Subgroup("pulse", (60, 90)), Subgroup("smoker"), Subgroup("pain")), cities=("Here", "There")
)
NAMES = [
    "pulse < 60", "60 ≤ pulse < 90", "pulse ≥ 90", "smoker = 0", "smoker = 1", "pain = none", "pain = some",
    "pain = much", "city = Here", "city = There",
]  # fmt: skip
SMOKERS = dataclasses.replace(STUDY, subgroups=(Subgroup("smoker"),), policy="default")


def test_subgroups_come_from_the_study_in_its_order():
    assert list(group_names(GROUPED)) == NAMES
    assert group_names(STUDY) == ()


def test_people_are_told_apart_by_what_was_observed():
    x = [[59.9, 1, 0, 0], [60, 1, 1, 2], [90, 1, 0, 1], [140, 1, 1, 0]]
    seen = np.ones((4, 4), dtype=bool)
    seen[3] = [True, True, False, False]
    rows = dataclasses.replace(make_shard(x, seen, [0, 1, 0, 1]), stratum=np.array([0, 11, 12, -1], dtype=np.int16))
    belongs = members(GROUPED, rows)
    found = [[name for name, inside in zip(NAMES, row, strict=True) if inside] for row in belongs]
    assert found == [
        ["pulse < 60", "smoker = 0", "pain = none", "city = Here"],
        ["60 ≤ pulse < 90", "smoker = 1", "pain = much", "city = Here"],
        ["pulse ≥ 90", "smoker = 0", "pain = some", "city = There"],
        ["pulse ≥ 90"],
    ]


def kept(sizes, unknown=(0, 0), policy="default"):
    """Which of three pain levels leave a node, given their (positives, negatives) and those of people without one."""
    study = dataclasses.replace(STUDY, subgroups=(Subgroup("pain"),), policy=policy)
    level = np.repeat([0, 1, 2, 0], [sum(size) for size in (*sizes, unknown)])
    y = np.concatenate([[1.0] * p + [0.0] * n for p, n in (*sizes, unknown)])
    x = np.zeros((len(y), 4))
    x[:, 3] = level
    seen = np.ones(x.shape, dtype=bool)
    seen[len(y) - sum(unknown) :, 3] = False
    rows = make_shard(x, seen, y)
    return large_enough(study, members(study, rows), rows.y, FEWEST_ROWS[study.policy]).tolist()


@pytest.mark.parametrize(
    ("sizes", "unknown", "expected"),
    [
        ([(20, 50), (10, 10), (30, 60)], (0, 0), [True, True, True]),
        ([(9, 50), (9, 99), (30, 60)], (0, 0), [False, False, True]),  # 18 positives together: nothing can be told
        ([(9, 50), (20, 50), (30, 60)], (0, 0), [False, False, True]),  # else the first is the rest
        ([(20, 50), (20, 50), (30, 60)], (3, 5), [False, True, True]),  # else the unknown are the rest
        ([(20, 50), (20, 50), (30, 60)], (10, 10), [True, True, True]),
        ([(3, 50), (4, 50), (30, 60)], (0, 0), [False, False, False]),
        ([(0, 0), (20, 50), (30, 60)], (0, 0), [False, True, True]),  # nobody: nothing to hide
    ],
)
def test_small_subgroups_stay_inside_and_cannot_be_told_from_the_rest(sizes, unknown, expected):
    assert kept(sizes, unknown) == expected


def test_public_data_for_research_is_told_from_one_row_of_each_label_on():
    assert kept([(1, 1), (0, 20), (30, 60)], policy="research") == [False, False, True]  # else the second is the rest
    assert kept([(1, 1), (1, 20), (30, 60)], policy="research") == [True, True, True]


@given(st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), min_size=3, max_size=3))
def test_no_subtraction_uncovers_fewer_than_ten_of_a_label(sizes):
    told = kept(sizes)
    rest = [size for size, tell in zip(sizes, told, strict=True) if not tell]
    for label in (0, 1):
        assert all(size[label] >= 10 for size, tell in zip(sizes, told, strict=True) if tell)
        hidden = sum(size[label] for size in rest)
        assert hidden >= 10 or sum(map(sum, rest)) == 0 or not any(told)


def evaluated(study, shard, model):
    return STEPS["evaluate"](study, {**model.arrays(), "withhold": np.zeros(4)}, shard)


ROWS = draw_rows(1500, seed=2)
MODEL = fit(STUDY, exchange_within([ROWS], STUDY)).model


def test_a_subgroups_metrics_are_those_of_its_people():
    reply = evaluated(SMOKERS, ROWS, MODEL)
    rows = ROWS.held_out
    for value in (0, 1):
        chosen = rows.rows(rows.x[:, 2] == value)
        risk = MODEL.risk(chosen.x, chosen.observed)
        expected = metrics(score_histogram(risk, chosen.y, 0.3, GROUP_EDGES))
        assert metrics(subgroup(reply, value)) == expected
        fine = measure(risk, chosen.y)
        assert expected.n == len(chosen)
        assert abs(expected.auroc - fine.auroc) <= expected.auroc_bound + fine.auroc_bound
        assert (expected.brier, expected.log_loss) == pytest.approx((fine.brier, fine.log_loss))


def test_what_is_too_few_does_not_leave():
    rows = dataclasses.replace(ROWS, x=np.where(np.arange(4) == 2, np.arange(1500)[:, None] >= 1480, ROWS.x))
    reply = evaluated(SMOKERS, rows, MODEL)
    assert all(not reply[name][1].any() for name in reply.sums if name.startswith("group."))
    assert subgroup(reply, 1).rows == 0
    assert metrics(subgroup(reply, 1)).as_dict()["auroc"] is None


def test_a_node_that_does_not_observe_what_tells_people_apart_says_nothing():
    reply = evaluated(SMOKERS, hide(ROWS, [2]), MODEL)
    assert [subgroup(reply, i).rows for i in (0, 1)] == [0, 0]
    assert metrics(reply).n == len(ROWS.held_out)


def test_nothing_is_said_of_subgroups_when_features_are_withheld():
    state = {**MODEL.arrays(), "withhold": np.array([1.0, 0, 0, 0])}
    assert subgroup(STEPS["evaluate"](SMOKERS, state, ROWS), 0).rows == 0


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(0, 99))
def test_histograms_of_parts_add_up_to_that_of_the_whole(pairs, seed):
    risk, y = np.array([p[0] for p in pairs]), np.array([float(p[1]) for p in pairs])
    place = np.random.default_rng(seed).integers(3, size=len(y))
    parts = total([score_histogram(risk[place == i], y[place == i], 0.3, GROUP_EDGES) for i in range(3)])
    whole = score_histogram(risk, y, 0.3, GROUP_EDGES)
    assert parts.rows == whole.rows
    for name, array in whole.sums.items():
        np.testing.assert_allclose(parts[name], array, rtol=1e-12, atol=1e-12)


def test_subgroups_of_nodes_add_up_to_those_of_all_rows():
    shards = split(ROWS, np.arange(len(ROWS)) % 2)
    apart = total(evaluated(SMOKERS, shard, MODEL) for shard in shards[:2])
    together = evaluated(SMOKERS, ROWS, MODEL)
    assert apart.sums.keys() == together.sums.keys()
    for name, array in together.sums.items():
        np.testing.assert_allclose(apart[name], array, rtol=1e-12, atol=1e-12)


def test_differences_on_the_same_rows_are_paired():
    shard = split(ROWS, np.arange(len(ROWS)) % 2)[0]
    reply = STEPS["local_baseline"](SMOKERS, {**MODEL.arrays(), "segments": np.array(8.0)}, shard)
    alone = fit(SMOKERS, exchange_within([shard], SMOKERS)).model
    rows = shard.held_out
    losses = []
    for model in (MODEL, alone):
        risk = model.risk(rows.x, rows.observed, rows.site)
        losses.append(-(rows.y * np.log(risk) + (1 - rows.y) * np.log(1 - risk)))
    more = losses[0] - losses[1]
    found = difference(evaluated(SMOKERS, shard, MODEL), reply, reply)
    half = 1.959964 * more.std(ddof=1) / len(more) ** 0.5
    assert found.log_loss == pytest.approx(more.mean())
    assert (found.log_loss_low, found.log_loss_high) == pytest.approx((more.mean() - half, more.mean() + half))
    smokers = rows.x[:, 2] == 1
    parts = [subgroup(r, 1) for r in (evaluated(SMOKERS, shard, MODEL), reply)]
    assert parts[0].rows == parts[1].rows == smokers.sum()
    assert difference(*parts, reply, 2).log_loss == pytest.approx(more[smokers].mean())
