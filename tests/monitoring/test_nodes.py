"""The served model at each node now, beside what the bundle says of it at training."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from fedhealth.federation import Contribution, metrics, score_histogram
from fedhealth.federation.contribution import arrays
from fedhealth.federation.private_sums import SCORE_EDGES
from fedhealth.monitoring.alerts import list_alerts, state_of
from fedhealth.monitoring.nodes import NodeLook, keep_looks, kept_looks, look_at_node
from fedhealth.monitoring.performance import expected
from fedhealth.monitoring.store import Store

NOON = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
THRESHOLD = 0.2


def people(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Risks, and outcomes that follow them."""
    rng = np.random.default_rng(seed)
    risk = 1 / (1 + np.exp(-rng.normal(-1.5, 1.2, n)))
    return risk, (rng.random(n) < risk).astype(float)


def flipped(y: np.ndarray, share: float) -> np.ndarray:
    return np.where(np.random.default_rng(9).random(len(y)) < share, 1 - y, y)


def look(trained: Contribution | None, answer: Contribution) -> NodeLook:
    told = metrics(trained).as_dict() if trained else None
    return look_at_node("north", told, answer, THRESHOLD, np.random.default_rng(0))


def exact(risk: np.ndarray, y: np.ndarray) -> Contribution:
    return score_histogram(risk, y, THRESHOLD)


def noisy(risk: np.ndarray, y: np.ndarray, deviation: float) -> Contribution:
    """As a node answers with noise."""
    place, bins = np.searchsorted(SCORE_EDGES, np.log(risk / (1 - risk))), len(SCORE_EDGES) + 1
    rng = np.random.default_rng(3)
    counts = [
        np.bincount(place, weights=label, minlength=bins) + rng.normal(0, deviation, bins) for label in (y, 1 - y)
    ]
    return Contribution(arrays(positives=counts[0], negatives=counts[1]), 0, 1.0, deviation)


def test_an_unchanged_node_is_as_it_was_and_the_interval_is_that_of_two_answers():
    answer = exact(*people(4_000, seed=1))
    found = look(answer, answer)
    assert (found.status, found.noisy, found.reason) == ("ok", False, "")
    assert found.changes
    one, change = metrics(answer), found.changes["auroc"]
    half = np.sqrt(2) * (one.auroc_high - one.auroc_low) / 2
    assert (change.worse, change.low, change.high) == (0, pytest.approx(-half), pytest.approx(half))


def test_what_risks_let_expect_follows_from_the_histogram_without_labels():
    risk, y = people(4_000, seed=1)
    found, by_hand = look(None, exact(risk, y)).expected, expected(risk)
    assert found
    assert found.n == by_hand.n == 4_000
    for name in ("auroc", "brier", "outcomes"):
        assert getattr(found, name) == pytest.approx(getattr(by_hand, name), rel=2e-3)


def test_outcomes_that_no_longer_follow_are_worse_and_better_ones_are_not():
    risk, y = people(4_000, seed=1)
    found = look(exact(risk, y), exact(risk, flipped(y, 0.15)))
    assert found.status == "worse"
    assert found.reason.startswith("north (AUROC 0.7")
    assert "calibration slope" in found.reason
    assert look(exact(risk, flipped(y, 0.15)), exact(risk, y)).status == "ok"


def test_a_node_that_training_did_not_see_is_new_and_one_without_answer_says_nothing():
    found = look(None, exact(*people(500, seed=1)))
    assert (found.status, found.expected is not None) == ("new", True)
    assert NodeLook("north").status == "no answer"
    assert [one.value for look in (found, NodeLook("north")) for one in look.compared] == [None] * 6


def test_noise_widens_the_interval_and_still_shows_what_is_plain():
    risk, y = people(8_000, seed=1)
    plain, quiet = exact(risk, y), noisy(risk, y, 8.0)
    same = look(plain, quiet)
    assert (same.status, same.noisy) == ("ok", True)
    assert same.changes
    sharp = look(plain, exact(risk, y)).changes
    assert sharp
    assert same.changes["auroc"].high - same.changes["auroc"].low > sharp["auroc"].high - sharp["auroc"].low  # type: ignore[operator]
    assert look(plain, noisy(risk, flipped(y, 0.3), 8.0)).status == "worse"


def test_the_newest_word_of_each_node_is_kept_and_told_of_its_own_model_only(store: Store):
    risk, y = people(4_000, seed=1)
    well, ill = look(exact(risk, y), exact(risk, y)), look(exact(risk, y), exact(risk, flipped(y, 0.15)))
    south, silent = replace(well, node="south"), NodeLook("south")
    for looks, hours, states in (
        ([ill, south], 0, ["firing"]),
        ([NodeLook("north"), south], 1, ["firing"]),  # what is silent may be what it is about
        ([well, silent], 2, ["firing"]),
        ([well, south], 3, ["resolved"]),
        ([well, silent], 4, ["resolved"]),
    ):
        with store.session() as session:
            keep_looks(session, looks, "m1", NOON + dt.timedelta(hours=hours))
            assert [state_of(alert) for alert in list_alerts(session)] == states
    with store.session() as session:
        kept = kept_looks(session, "m1")
        assert {node: one.status for node, one in kept.items()} == {"north": "ok", "south": "no answer"}
        assert kept["north"].figures["now"]["auroc"] == pytest.approx(metrics(exact(risk, y)).auroc)
        assert kept["north"].time == NOON + dt.timedelta(hours=4)
        assert kept_looks(session, "m2") == {}
