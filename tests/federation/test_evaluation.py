"""Which rows of a node are evaluated, on what they observe, and against which threshold."""

import dataclasses

import numpy as np
from tests.federation.test_metrics import measure
from tests.federation.worlds import STUDY, draw_rows, hide, split

from fedhealth.federation import STEPS, exchange_within, fit, metrics


def test_only_held_out_rows_are_evaluated():
    rows = draw_rows(300, seed=3)
    model = fit(STUDY, exchange_within([rows], STUDY)).model
    state = {**model.arrays(), "withhold": np.zeros(4)}
    held_out = rows.held_out
    found = metrics(STEPS["evaluate"](STUDY, state, rows))
    risk = model.risk(held_out.x, held_out.observed)
    assert found == measure(risk, held_out.y)
    assert found.n == 60
    assert metrics(STEPS["evaluate"](STUDY, state, rows.training)).as_dict()["auroc"] is None


def test_withheld_features_are_hidden_from_rows_that_have_them():
    shards = split(draw_rows(400, seed=4), np.arange(400) % 4)
    shards[1] = hide(shards[1], [0])
    model = fit(STUDY, exchange_within(shards, STUDY)).model
    state = {**model.arrays(), "withhold": np.array([1.0, 0.0, 0.0, 0.0])}
    replies = exchange_within(shards, STUDY)("evaluate", state)
    assert {name: reply.rows for name, reply in replies.items()} == {
        s.node: 0 if s.node == "north" else len(s.held_out) for s in shards
    }
    rows = hide(shards[0], [0]).held_out
    assert metrics(replies["east"]) == measure(model.risk(rows.x, rows.observed), rows.y)


def test_threshold_is_that_of_the_study():
    rows = draw_rows(300, seed=3)
    model = fit(STUDY, exchange_within([rows], STUDY)).model
    state = {**model.arrays(), "withhold": np.zeros(4)}
    found = {}
    for threshold in (0.05, 0.3, 0.9):
        study = dataclasses.replace(STUDY, outcomes=(dataclasses.replace(STUDY.outcome, threshold=threshold),))
        found[threshold] = metrics(STEPS["evaluate"](study, state, rows))
    assert found[0.05].sensitivity > found[0.3].sensitivity > found[0.9].sensitivity
    assert found[0.05].specificity < found[0.3].specificity < found[0.9].specificity
