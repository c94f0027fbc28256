from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from fedhealth.monitoring.alerts import (
    AlertOver,
    NoSuchAlert,
    acknowledge,
    check_cities,
    list_alerts,
    state_of,
)
from fedhealth.monitoring.rules import Rules, in_force, rules_for
from fedhealth.monitoring.store import Store

START = datetime(2026, 1, 10, 12, tzinfo=UTC)
RULES = Rules(mean_risk=0.2)
Send = Callable[..., None]


def check(store: Store, day: int) -> list[tuple[str, str, str]]:
    with store.session() as session:
        check_cities(session, ["Lahore"], RULES, START + timedelta(days=day))
        return [(a.city, a.rule, state_of(a)) for a in list_alerts(session)]


def test_an_alert_opens_once_lasts_and_ends_when_clearly_below(store: Store, send: Send):
    for day, risk in enumerate([0.1, 0.25, 0.3, 0.195]):
        send("Lahore", START + timedelta(days=day), 20, risk=risk)
    assert check(store, 0) == []
    for day in (1, 2, 3):
        assert check(store, day) == [("Lahore", "mean-risk", "firing")]
    send("Lahore", START + timedelta(days=4), 20, risk=0.1)
    assert check(store, 4) == [("Lahore", "mean-risk", "resolved")]
    send("Lahore", START + timedelta(days=5), 20, risk=0.4)
    assert check(store, 5) == [("Lahore", "mean-risk", "firing"), ("Lahore", "mean-risk", "resolved")]


def test_air_above_200_is_an_alert_even_where_few_people_report(store: Store, send: Send):
    send("Lahore", START, 3, risk=0.9, aqi=201)
    assert check(store, 0) == [("Lahore", "aqi", "firing")]
    with store.session() as session:
        alert = list_alerts(session)[0]
        assert (alert.value, alert.threshold, alert.readings, alert.mean_risk) == (201, 200, 0, None)


def test_a_city_that_stays_unsaid_beside_a_small_one_is_not_told_by_its_alert(store: Store, send: Send):
    send("Quetta", START, 9)
    send("Lahore", START, 20, risk=0.9)
    assert check(store, 0) == []
    send("Quetta", START, 11)
    assert check(store, 0) == [("Lahore", "mean-risk", "firing")]


def test_an_acknowledgement_survives_a_restart_until_the_alert_ends(store: Store, send: Send, address: str):
    send("Lahore", START, 20, aqi=250)
    check(store, 0)
    with store.session() as session:
        acknowledge(session, list_alerts(session)[0].id, "Dr Khan", "clinic", "clinics told", START)
    again = Store(address)
    with again.session() as session:
        alert = list_alerts(session, "acknowledged")[0]
        assert (alert.acknowledged_by, alert.note, alert.acknowledged_at) == ("Dr Khan", "clinics told", START)
        assert list_alerts(session, "firing") == []
    again.close()
    send("Lahore", START + timedelta(days=1, hours=1), 20, aqi=90)
    with store.session() as session:
        check_cities(session, ["Lahore"], RULES, START + timedelta(days=1, hours=1))
        resolved = list_alerts(session, "resolved")[0]
        with pytest.raises(AlertOver, match="is resolved"):
            acknowledge(session, resolved.id, "Dr Khan", "clinic", "", START)
        with pytest.raises(NoSuchAlert):
            acknowledge(session, 999, "Dr Khan", "clinic", "", START)


def test_silence_ends_no_alert(store: Store, send: Send):
    send("Lahore", START, 20, aqi=250)
    check(store, 0)
    assert check(store, 3) == [("Lahore", "aqi", "firing")]


def test_thresholds_come_from_the_settings_else_from_the_training_prevalence(monkeypatch: pytest.MonkeyPatch):
    assert rules_for(0.12) == Rules(mean_risk=pytest.approx(0.18), aqi=200)
    monkeypatch.setenv("FEDHEALTH_ALERT_RISK", "0.3")
    assert rules_for(0.12).mean_risk == 0.3
    monkeypatch.setenv("FEDHEALTH_ALERT_RISK", "5")
    with pytest.raises(ValueError, match="FEDHEALTH_ALERT_RISK: got '5'; expected a number above 0, at most 1"):
        rules_for(0.1)
    monkeypatch.setenv("FEDHEALTH_ALERT_RISK", "high")
    with pytest.raises(ValueError, match="FEDHEALTH_ALERT_RISK: got 'high'"):
        rules_for(0.12)


def test_rules_in_force_tell_limit_waiting_and_end():
    risk, aqi, drift = in_force(Rules(mean_risk=0.2, aqi=200, wait=timedelta(minutes=30)), ["drift"])
    assert (risk.opens, risk.opens_at_limit, risk.ends, risk.wait) == (0.2, True, pytest.approx(0.19), aqi.wait)
    assert (aqi.opens, aqi.opens_at_limit, aqi.ends, aqi.wait) == (200, False, 190, timedelta(minutes=30))
    assert (drift.each_city, drift.opens, drift.ends, drift.wait) == (False, None, None, aqi.wait)


def test_alerts_open_and_end_at_the_limits_that_are_told(store: Store, send: Send):
    risk = in_force(RULES, [])[0]
    for day, at in enumerate((0.1999, risk.opens, 0.1901, risk.ends)):
        send("Lahore", START + timedelta(days=day), 20, risk=at)
    states = [[state for *_, state in check(store, day)] for day in range(4)]
    assert states == [[], ["firing"], ["firing"], ["resolved"]]
