"""Missing values, score, performance, pending alerts and the webhook."""

import datetime as dt
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from fedhealth.data import synthetic
from fedhealth.data.tables import shard_from_table
from fedhealth.federation import exchange_within, fit
from fedhealth.federation.training import Fit
from fedhealth.monitoring.alerts import acknowledge, fail, list_alerts, recovered, settle, state_of
from fedhealth.monitoring.drift import BINS, FeatureDrift
from fedhealth.monitoring.missing import MissingDrift, missing_drift
from fedhealth.monitoring.performance import Performance, compared_with, expected, judge
from fedhealth.monitoring.rules import Compared, Finding, worst
from fedhealth.monitoring.score_drift import ScoreDrift, score_drift
from fedhealth.monitoring.store import Store
from fedhealth.monitoring.watch import Look, raise_alerts
from fedhealth.monitoring.webhook import deliver
from fedhealth.study import load_study

from .test_drift import AQI, STUDY, window

NOON = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def fitted() -> Fit:
    study = load_study("health-risk")
    shards = [shard_from_table(study, n, synthetic.draw(n.name, 8_000, seed=7), 0, n.name) for n in study.nodes]
    return fit(study, exchange_within(shards, study), penalty=(30.0, 3.0))


def test_a_fifth_more_missing_is_drift_and_the_same_as_before_is_not():
    before, now = window(100, 30), window(101, 30)
    assert {one.status for one in missing_drift(STUDY, before, now)} == {"ok"}
    x = now.x.copy()
    x[np.random.default_rng(0).random(len(x)) < 0.2, AQI] = np.nan
    found = missing_drift(STUDY, before, replace(now, x=x))
    assert [one.feature for one in found if one.status == "drift"] == ["aqi"]
    (aqi,) = [one for one in found if one.feature == "aqi"]
    assert (aqi.before, aqi.now, aqi.n) == (0, pytest.approx(0.2, abs=0.02), len(x))


def test_with_nothing_before_there_is_nothing_to_compare():
    now = window(100, 30)
    none = now.part(np.zeros(len(now.x), dtype=bool))
    assert {one.status for one in missing_drift(STUDY, none, now)} == {"too few"}


def test_the_score_moves_with_heart_rates_and_not_without(fitted: Fit):
    now = window(100, 55)
    quiet = score_drift(STUDY, fitted.model, fitted.reference, now)
    assert quiet.status == "ok"
    x = now.x.copy()
    x[:, STUDY.index("heart_rate")] += 20
    x[:, STUDY.index("spo2")] -= 3
    loud = score_drift(STUDY, fitted.model, fitted.reference, replace(now, x=x))
    assert loud.status == "drift"
    assert loud.shift is not None
    assert loud.shift > 0.2
    assert score_drift(STUDY, fitted.model, {}, now).status == "too few"


def test_expected_auroc_by_hand():
    # Pairs (case, control): (.8, .2) weighs .8 * .8 = .64 and is won; (.2, .8) weighs .2 * .2 = .04 and is lost.
    risk = np.array([0.2, 0.8])
    assert expected(np.repeat(risk, 5_000)).auroc == pytest.approx(0.5 + 0.5 * (0.64 - 0.04) / 1.0, abs=1e-3)
    assert expected(np.full(100, 0.3)).auroc == pytest.approx(0.5)
    assert expected(risk).auroc is None
    assert expected(np.full(100, 0.3)).brier == pytest.approx(0.21)


def test_what_is_expected_is_realised_while_risks_are_right_and_flipped_labels_show():
    rng = np.random.default_rng(1)
    risk = 1 / (1 + np.exp(-rng.normal(-2, 1.2, 20_000)))
    y = (rng.random(20_000) < risk).astype(float)
    y[:15_000] = np.nan
    right = judge(risk, y, 0.2)
    assert (right.status, right.known) == ("ok", 5_000)
    assert right.realised is not None
    assert right.expected.auroc == pytest.approx(right.realised["auroc"], abs=0.03)
    y[15_000:] = np.where(rng.random(5_000) < 0.15, 1 - y[15_000:], y[15_000:])
    wrong = judge(risk, y, 0.2)
    assert (wrong.status, "calibration" in wrong.reason) == ("worse", True)
    assert judge(risk[:15_010], y[:15_010], 0.2).status == "too few"


def test_equal_risks_have_no_calibration_line_and_that_is_no_error():
    found = judge(np.full(500, 0.2), np.repeat([1.0, 0.0], [100, 400]), 0.2)
    assert (found.status, found.realised and found.realised["calibration_slope"]) == ("ok", None)


OVER, NEAR, UNDER = 0.3, 0.195, 0.1  # near: below the limit, but not clearly


def found(value: float) -> Finding:
    return Finding("drift", value, 0.2, about="aqi")


def states(store: Store, now: dt.datetime | None = None) -> list[str]:
    with store.session() as session:
        return [state_of(alert, now) for alert in list_alerts(session)]


def test_an_alert_pends_for_its_time_fires_lasts_and_is_over(store: Store):
    for hours, finding, expected_states in (
        (0, found(OVER), ["pending"]),
        (1, found(NEAR), []),
        (2, found(OVER), ["pending"]),
        (4, found(OVER), ["firing"]),
        (5, found(NEAR), ["firing"]),
        (6, found(UNDER), ["resolved"]),
    ):
        with store.session() as session:
            settle(session, finding, NOON + hours * HOUR, 2 * HOUR)
        assert states(store) == expected_states


def looked(psi: float | None, missing: float = 0.0, shift: float | None = None, slope: float = 1.0) -> Look:
    """A look at one feature with a limit of 0.2, and at the rest; None: too few to tell."""
    rows = (np.zeros(BINS).tolist(), np.zeros(BINS).tolist(), ["under 5", "from 5"], 0.0)
    limit, status = (None, "too few") if psi is None else (0.2, "drift" if psi > 0.2 else "ok")
    feature = FeatureDrift("aqi", "Air", 900, 90, psi, 0.1, limit, status, *rows)  # type: ignore[arg-type]
    gone = MissingDrift("spo2", "Oxygen", 900, 90, missing, 0.3, 0.1, "ok")
    score = ScoreDrift(900, shift, shift and 0.1, "ok")
    off = Compared("calibration slope", abs(slope - 1), 0.1)
    return Look(NOON, 60, [feature], [gone], score, Performance(expected(np.zeros(0)), 900, 90, {}, (off,)))


def test_what_is_watched_ends_only_clearly_inside_its_limit(store: Store):
    """One way for all rules; what cannot be told any more ends nothing."""
    quiet = {"psi": 0.1, "missing": 0.3, "shift": 0.05, "slope": 1.0}
    for rule, name, over, near, unknown in (
        ("drift", "psi", 0.3, 0.195, {"psi": None}),
        ("missing", "missing", 0.5, 0.397, {}),
        ("score", "shift", -0.2, -0.097, {"shift": None}),
        ("performance", "slope", 0.5, 0.903, {}),
    ):
        hour = 0
        for changed, state in ((over, "firing"), (near, "firing"), (quiet[name], "resolved"), (near, "resolved")):
            hour += 1
            with store.session() as session:
                raise_alerts(session, looked(**{**quiet, name: changed}), NOON + hour * HOUR)
                (alert,) = [one for one in list_alerts(session) if one.rule == rule]
            assert (rule, changed, state_of(alert)) == (rule, changed, state)
        if unknown:
            for one, state in (({name: over}, "firing"), (unknown, "firing"), ({}, "resolved")):
                hour += 1
                with store.session() as session:
                    raise_alerts(session, looked(**{**quiet, **one}), NOON + hour * HOUR)
                    newest = max((one for one in list_alerts(session) if one.rule == rule), key=lambda one: one.id)
                assert (rule, state_of(newest)) == (rule, state)


def test_an_alert_tells_the_value_and_the_limit_of_what_is_furthest_beyond():
    found = worst("drift", [Compared("a", 0.3, 0.25), Compared("b", 0.25, 0.1), Compared("c", 0.09, 0.1)])
    assert found
    assert (found.value, found.threshold, found.about) == (0.25, 0.1, "a, b")
    assert worst("drift", [Compared("a", None, None)]) is None


AQI_OVER, AQI_UNKNOWN, AQI_CLEAR = (Compared("aqi", *of) for of in ((0.5, 0.2), (None, None), (0.01, 0.2)))
SPO2_OVER, SPO2_NEAR, SPO2_CLEAR = (Compared("spo2", value, 0.2) for value in (0.4, 0.195, 0.02))


@pytest.mark.parametrize(
    "looks",
    [
        [(AQI_OVER, SPO2_CLEAR, "firing"), (AQI_UNKNOWN, SPO2_CLEAR, "firing"), (AQI_CLEAR, SPO2_CLEAR, "resolved")],
        [(AQI_OVER, SPO2_CLEAR, "firing"), (AQI_UNKNOWN, SPO2_NEAR, "firing"), (AQI_UNKNOWN, SPO2_CLEAR, "firing")],
        [(AQI_OVER, SPO2_CLEAR, "firing"), (AQI_UNKNOWN, SPO2_OVER, "firing"), (AQI_UNKNOWN, SPO2_CLEAR, "firing")],
        [(AQI_UNKNOWN, SPO2_OVER, "firing"), (AQI_UNKNOWN, SPO2_CLEAR, "resolved")],
    ],
)
def test_an_alert_does_not_end_while_nothing_can_be_told_of_what_it_is_about(
    store: Store, looks: list[tuple[Compared, Compared, str]]
):
    for hours, (aqi, spo2, expected_state) in enumerate(looks):
        finding = worst("drift", [aqi, spo2])
        assert finding
        with store.session() as session:
            settle(session, finding, NOON + hours * HOUR)
        assert states(store) == [expected_state]


def test_an_alert_that_waits_waits_on_while_nothing_can_be_told(store: Store):
    wait = 2 * HOUR
    for hours, aqi, expected_state in ((0, AQI_OVER, "pending"), (1, AQI_UNKNOWN, "pending"), (2, AQI_OVER, "firing")):
        finding = worst("drift", [aqi, SPO2_CLEAR])
        assert finding
        with store.session() as session:
            settle(session, finding, NOON + hours * HOUR, wait)
        assert states(store) == [expected_state]


def test_what_is_undefined_of_outcomes_ends_no_alert(store: Store):
    metrics = {"calibration_slope": 0.5, "calibration_slope_low": 0.4, "calibration_slope_high": 0.6}
    metrics |= {f"calibration_intercept{end}": 0.0 for end in ("", "_low", "_high")} | {"auroc_high": None}
    for hours, slope, expected_state in ((0, 0.5, "firing"), (1, None, "firing"), (2, 1.0, "resolved")):
        found = {**metrics, **{f"calibration_slope{end}": slope for end in ("", "_low", "_high")}}
        finding = worst("performance", compared_with(found, expected(np.zeros(0))))
        assert finding
        with store.session() as session:
            settle(session, finding, NOON + hours * HOUR)
        assert states(store) == [expected_state]


def test_no_data_and_errors_are_states_of_their_own(store: Store):
    with store.session() as session:
        settle(session, found(OVER), NOON)
    assert states(store, NOON + 24 * HOUR) == ["firing"]
    assert states(store, NOON + 25 * HOUR) == ["no_data"]
    with store.session() as session:
        fail(session, "monitor", "no bundle", NOON)
        fail(session, "monitor", "no bundle", NOON + HOUR)
    assert sorted(states(store)) == ["error", "firing"]
    with store.session() as session:
        recovered(session, "monitor", NOON + 2 * HOUR)
    assert sorted(states(store)) == ["firing", "resolved"]


class Hook(HTTPServer):
    heard: list[dict[str, object]]
    status = 500

    def before(self) -> None:
        """What happens before it answers."""


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            server.before()
            self.send_response(server.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = Hook(("127.0.0.1", 0), Handler)
    server.heard = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("FEDHEALTH_WEBHOOK", f"http://127.0.0.1:{server.server_port}/alerts")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_the_webhook_is_told_once_of_firing_and_of_the_end(store: Store, hook: Hook):
    with store.session() as session:
        settle(session, found(OVER), NOON)
    assert deliver(store) == 0  # it answers 500: to be told again
    hook.status = 204
    assert [deliver(store), deliver(store)] == [1, 0]
    with store.session() as session:
        settle(session, found(UNDER), NOON + HOUR)
    assert [deliver(store), deliver(store)] == [1, 0]
    assert [one["state"] for one in hook.heard] == ["firing", "firing", "resolved"]
    assert (hook.heard[0]["rule"], hook.heard[0]["about"], hook.heard[0]["city"]) == ("drift", "aqi", None)


@pytest.mark.slow
def test_telling_the_webhook_holds_no_alert(store: Store, hook: Hook):
    with store.session() as session:
        settle(session, found(OVER), NOON)

    def answer() -> None:
        with store.session() as session:
            acknowledge(session, 1, "Dr Khan", "clinic", "", NOON)

    hook.status, hook.before = 204, answer
    assert deliver(store) == 1
    assert states(store) == ["acknowledged"]


def test_what_is_watched_waits_as_the_settings_say(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEDHEALTH_ALERT_FOR", "90")
    look = SimpleNamespace(findings=lambda: [found(OVER)])
    for hours, state in ((0, "pending"), (1, "pending"), (2, "firing")):
        with store.session() as session:
            raise_alerts(session, look, NOON + hours * HOUR)  # type: ignore[arg-type]
        assert states(store) == [state]


def test_without_a_webhook_nobody_is_told(store: Store):
    with store.session() as session:
        settle(session, found(OVER), NOON)
    assert deliver(store) == 0
