import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import func, select

from fedhealth.monitoring.cities import city_days, newest_time
from fedhealth.monitoring.places import PLACES
from fedhealth.monitoring.prediction_log import PredictionLog
from fedhealth.monitoring.store import Store, StoreError
from fedhealth.monitoring.tables import Prediction, Reading
from fedhealth.monitoring.trends import category_days, trend
from fedhealth.study import load_study

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
Send = Callable[..., None]


def test_what_is_stored_is_there_after_a_restart(store: Store, send: Send, address: str):
    send("Lahore", NOON.astimezone(timezone(timedelta(hours=5))), 1)
    again = Store(address)
    with again.session() as session:
        reading = session.scalars(select(Reading)).one()
        assert newest_time(session) == NOON
    again.close()
    assert (reading.time, reading.features, reading.high_risk) == (NOON, {"age": 40.0}, False)


def test_a_failed_block_leaves_nothing(store: Store):
    def fail() -> None:
        with store.session() as session:
            session.add(Prediction(time=NOON, model_version="m", risk=0.1, missing=0))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with store.session() as session:
        assert session.scalar(select(func.count()).select_from(Prediction)) == 0


def test_a_city_of_nine_people_is_not_told_and_one_of_ten_is(store: Store, send: Send):
    send("Lahore", NOON, 9, risk=0.5, aqi=210)
    send("Quetta", NOON, 10, risk=0.3)
    send("Peshawar", NOON, 11, risk=0.3)
    send("Hyderabad", NOON, 9, risk=0.3)
    send("Multan", NOON - timedelta(days=2), 50)
    with store.session() as session:
        found = {d.city: d for d in city_days(session, load_study("health-risk").cities, NOON, NOON)}
    assert len(found) == 9
    lahore, quetta, multan, karachi = (found[c] for c in ("Lahore", "Quetta", "Multan", "Karachi"))
    assert lahore.suppressed
    assert [lahore.readings, lahore.people, lahore.mean_risk, lahore.high_risk_share] == [None] * 4
    assert (lahore.aqi, lahore.aqi_category) == (210, "Very Unhealthy")
    assert (quetta.readings, quetta.people, quetta.high_risk_share, quetta.stale) == (10, 10, 1.0, False)
    assert quetta.mean_risk == pytest.approx(0.3)
    assert (multan.readings, multan.mean_risk, multan.stale) == (0, None, True)
    assert (karachi.readings, karachi.time, karachi.stale, karachi.suppressed) == (0, None, True, False)


def test_one_small_city_takes_the_smallest_other_with_it(store: Store, send: Send):
    for city, readings in (("Lahore", 9), ("Quetta", 10), ("Multan", 11)):
        send(city, NOON, readings)
    with store.session() as session:
        days = {day.city: day for day in city_days(session, ["Lahore", "Quetta", "Multan"], NOON, NOON)}
        points = {point.city: point for point in trend(session, NOON, 7)}
        assert trend(session, NOON, 7, "Quetta") == [points["Quetta"]]
    assert [days[city].suppressed for city in ("Lahore", "Quetta", "Multan")] == [True, True, False]
    assert [points[city].readings for city in ("Lahore", "Quetta", "Multan")] == [None, None, 11]


def test_many_readings_of_one_person_are_a_small_cell(store: Store, send: Send):
    for hour in range(12):
        send("Lahore", NOON - timedelta(hours=hour), 1)
    with store.session() as session:
        assert city_days(session, ["Lahore"], NOON, NOON)[0].suppressed
        assert all(point.mean_risk is None for point in trend(session, NOON, 7))


def test_trends_have_a_point_for_each_day_with_readings(store: Store, send: Send):
    send("Lahore", NOON, 20, risk=0.2, aqi=100)
    send("Lahore", NOON - timedelta(days=2), 5, aqi=160)
    send("Lahore", NOON - timedelta(days=7), 20)
    send("Quetta", NOON, 20, aqi=None)
    with store.session() as session:
        points = trend(session, NOON, 7, "Lahore")
        days = [(d.city, d.category, d.days) for d in category_days(session, NOON, 30)]
    assert [(p.date.day, p.readings, p.aqi) for p in points] == [(8, None, 160), (10, 20, 100)]
    assert points[1].mean_risk == pytest.approx(0.2)
    assert days == [("Lahore", "Moderate", 2), ("Lahore", "Unhealthy", 1)]


def test_predictions_are_noted_without_anything_of_the_person(store: Store):
    log = PredictionLog(lambda: store)
    for i in range(1200):
        log.note("m", 0.25, i % 3)
    log.close()
    with store.session() as session:
        assert session.scalar(select(func.count()).select_from(Prediction)) == 1200
    assert set(Prediction.__table__.columns.keys()) == {"id", "time", "model_version", "risk", "missing"}
    assert log.dropped == 0


def test_a_store_that_is_away_costs_notes_and_no_time(caplog: pytest.LogCaptureFixture):
    log = PredictionLog(lambda: Store("postgresql://nobody:secret@127.0.0.1:1/none"))
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            log.note("m", 0.25, 0)
            time.sleep(0.02)
        assert time.monotonic() - started < 1
        log.close()
    assert log.dropped == 5
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


def test_after_any_fault_the_next_predictions_are_noted(store: Store, monkeypatch: pytest.MonkeyPatch):
    log = PredictionLog(lambda: store)
    with monkeypatch.context() as patch:
        patch.setattr("fedhealth.monitoring.store.note_predictions", lambda *_: 1 / 0)
        log.note("m", 0.25, 0)
        time.sleep(0.6)
    log.note("m", 0.25, 0)
    log.close()
    with store.session() as session:
        assert session.scalar(select(func.count()).select_from(Prediction)) == 1
    assert log.dropped == 1


@pytest.mark.parametrize("url", ["mysql://host/db", "nonsense"])
def test_other_databases_are_refused_in_words(url: str):
    with pytest.raises(StoreError, match="DATABASE_URL"):
        Store(url)


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path):
    path = tmp_path / "store.db"
    path.write_text("not a database" * 100)
    with pytest.raises(StoreError, match="not a database"), Store(f"sqlite:///{path}").session():
        pass


def test_the_cities_lie_where_the_synthetic_world_has_them():
    from fedhealth.data.synthetic.cities import CITIES

    assert {city.name: (city.latitude, city.longitude) for city in CITIES} == PLACES
