"""Consent, retention, erasure and outcomes, on SQLite and PostgreSQL."""

import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event, func, select

from fedhealth.monitoring.cities import city_days
from fedhealth.monitoring.outcomes import UnknownReadings, add_outcomes
from fedhealth.monitoring.people import erase, fit_to_keep, kept_of, set_consent
from fedhealth.monitoring.recent import recent_window
from fedhealth.monitoring.retention import usual_retention
from fedhealth.monitoring.store import Store, StoreError, add_readings
from fedhealth.monitoring.tables import Outcome, Reading
from fedhealth.study import load_study

NOON = datetime(2026, 1, 10, 12, 34, tzinfo=UTC)
Send = Callable[..., None]


def row(name: str, person: str | None) -> dict[str, object]:
    facts = {"city": "Lahore", "time": NOON, "day": NOON.date(), "features": {"age": 40.0}, "aqi": 80.0, "pm25": 20.0}
    return {"id": name, "person": person, **facts, "risk": 0.3, "high_risk": True, "model_version": "m", "source": "s"}


def test_the_less_of_installation_and_person_is_kept(store: Store):
    with store.session() as session:
        set_consent(session, "aggregated", "aggregate", NOON)
        set_consent(session, "silent", "off", NOON)
        rows = [row("a", "aggregated"), row("b", "silent"), row("c", "unasked"), row("d", None)]
        full, aggregate = fit_to_keep(session, rows, "full"), fit_to_keep(session, rows, "aggregate")
        assert fit_to_keep(session, rows, "off") == []
    assert [(one["person"], one["features"]) for one in full] == [
        (None, {}),
        ("unasked", {"age": 40.0}),
        (None, {"age": 40.0}),
    ]
    assert [(one["person"], one["features"]) for one in aggregate] == [(None, {})] * 3
    assert {one["time"].minute for one in aggregate} == {0}
    assert not {"a", "c", "d"} & {one["id"] for one in aggregate}


def test_nameless_readings_count_for_cities_and_not_for_drift(store: Store):
    with store.session() as session:
        add_readings(session, fit_to_keep(session, [row(f"r{i}", f"p{i}") for i in range(12)], "aggregate"))
        add_readings(session, fit_to_keep(session, [row(f"r{i}", f"p{i}") for i in range(12)], "aggregate"))
        day = city_days(session, ["Lahore"], NOON, NOON)[0]
        assert (day.readings, day.aqi, day.suppressed) == (None, 80.0, True)  # they could all be of one person
        add_readings(session, [row(f"named {i}", f"n{i}") for i in range(9)])
        assert city_days(session, ["Lahore"], NOON, NOON)[0].readings == 21
        assert len(recent_window(session, load_study("health-risk"), NOON, 30).x) == 9


def test_withdrawing_consent_brings_what_is_stored_in_line(store: Store, send: Send):
    send("Lahore", NOON, 3)
    with store.session() as session:
        add_outcomes(session, {"r0": True, "r1": False}, "clinic", NOON)
        set_consent(session, "p0", "aggregate", NOON)
        set_consent(session, "p1", "off", NOON)
    with store.session() as session:
        assert {reading.person for reading in session.scalars(select(Reading))} == {None, "p2"}
        assert session.scalar(select(func.count()).select_from(Outcome)) == 0
        assert kept_of(session, "p0", "full").retention == "aggregate"
        assert kept_of(session, "p2", "aggregate").retention == "aggregate"


def test_erasing_a_person_leaves_nothing_of_them(store: Store, send: Send, address: str):
    send("Lahore", NOON, 3)
    with store.session() as session:
        add_outcomes(session, {"r0": True, "r1": True}, "clinic", NOON)
        assert (kept_of(session, "p0", "full").readings, kept_of(session, "p0", "full").outcomes) == (1, 1)
        assert erase(session, "p0") == 1
        assert erase(session, "nobody") == 0
    store.forget()
    with store.session() as session:
        assert kept_of(session, "p0", "full").readings == 0
        assert [one.reading for one in session.scalars(select(Outcome))] == ["r1"]
    if address.startswith("sqlite"):
        path = Path(address.removeprefix("sqlite:///"))
        assert all(b"p0" not in file.read_bytes() for file in path.parent.glob("store.db*") if file.suffix != ".db-shm")


def test_a_person_may_change_their_mind_and_send_again(store: Store):
    def sent(retention: str) -> None:
        with store.session() as session:
            set_consent(session, "p", retention, NOON)  # type: ignore[arg-type]
            add_readings(session, fit_to_keep(session, [row("r1", "p")], "full"))

    for retention in ("aggregate", "full", "aggregate"):
        sent(retention)
    with store.session() as session:
        assert [one.person for one in session.scalars(select(Reading))] == [None]


@pytest.mark.slow
def test_what_is_on_its_way_while_a_person_withdraws_does_not_stay(store: Store, send: Send):
    send("Lahore", NOON, 1)

    def withdraw() -> None:
        with store.session() as session:
            set_consent(session, "p0", "off", NOON)

    with store.session() as session:
        rows = fit_to_keep(session, [row("late", "p0")], "full")
        add_outcomes(session, {"r0": True}, "clinic", NOON)
        withdrawal = threading.Thread(target=withdraw)
        withdrawal.start()
        withdrawal.join(0.5)
        add_readings(session, rows)
    withdrawal.join()
    with store.session() as session:
        assert session.scalars(select(Reading.id)).all() == []
        assert session.scalars(select(Outcome.reading)).all() == []


@pytest.mark.slow
def test_an_outcome_on_its_way_while_a_person_is_erased_does_not_stay(store: Store, send: Send):
    send("Lahore", NOON, 1)

    def withdraw() -> None:
        with store.session() as session:
            erase(session, "p0")

    with store.session() as session:
        add_outcomes(session, {"r0": True}, "clinic", NOON)
        erasure = threading.Thread(target=withdraw)
        erasure.start()
        erasure.join(0.5)
    erasure.join()
    with store.session() as session:
        assert session.scalars(select(Outcome.reading)).all() == []


def test_what_cannot_be_forgotten_yet_is_said(tmp_path: Path):
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    with store.session() as session:
        add_readings(session, [row("r1", "p")])
    reader = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM readings").fetchone()
    event.listen(store._engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=100"))
    store.close()
    with store.session() as session:
        erase(session, "p")
    with pytest.raises(StoreError, match="ask again"):
        store.forget()
    reader.close()
    store.forget()
    store.close()


def test_of_two_outcomes_the_later_stands_and_unknown_readings_are_refused(store: Store, send: Send):
    send("Lahore", NOON, 2)
    with store.session() as session:
        assert add_outcomes(session, {"r0": True, "r1": True}, "clinic", NOON) == 2
    with store.session() as session:
        assert add_outcomes(session, {"r0": False}, "other", NOON) == 0
        with pytest.raises(UnknownReadings, match="1 readings are not stored, the first is 'r9'"):
            add_outcomes(session, {"r0": True, "r9": True}, "clinic", NOON)
        first = session.get(Outcome, "r0")
        assert first is not None
        assert (first.happened, first.told_by) == (False, "other")


def test_a_retention_that_is_none_is_refused_in_words(monkeypatch: pytest.MonkeyPatch):
    assert usual_retention() == "full"
    monkeypatch.setenv("FEDHEALTH_RETENTION", "forever")
    with pytest.raises(ValueError, match="FEDHEALTH_RETENTION: got 'forever'; expected one of off, aggregate, full"):
        usual_retention()
