import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from fedhealth.monitoring.cities import city_days, newest_time
from fedhealth.monitoring.places import PLACES
from fedhealth.monitoring.prediction_log import PredictionLog
from fedhealth.monitoring.store import Store, StoreError, add_readings
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


def test_a_days_interval_counts_people_and_not_their_readings(store: Store, send: Send):
    for first, risk in ((0, 0.1), (10, 0.3)):
        for hour in range(4):  # four readings of each of twenty people
            send("Lahore", NOON - timedelta(hours=hour), 10, risk=risk, first=first)
    send("Multan", NOON, 30, risk=0.0)
    send("Peshawar", NOON, 9)
    send("Quetta", NOON, 9)
    with store.session() as session:
        lahore, multan, *few = trend(session, NOON, 7)
    # Total risks 0.4 and 1.2 around 0.8: variance 20 / 19 * 20 * 0.4^2 / 80^2, Student's t with 19 degrees 2.093.
    half = 2.093 * (20 / 19 * 20 * 0.4**2 / 80**2) ** 0.5
    assert lahore.mean_risk == pytest.approx(0.2)
    assert lahore.mean_risk_interval == pytest.approx((0.2 - half, 0.2 + half), rel=0.005)
    assert multan.mean_risk_interval == (0.0, 0.0)
    assert [one.mean_risk_interval for one in few] == [None, None]


@pytest.mark.slow
def test_an_interval_covers_what_other_people_would_have_told(store: Store):
    rng, covered = np.random.default_rng(0), []
    rows = []
    for day in range(200):
        time = NOON - timedelta(days=day)
        for person, usual in enumerate(rng.beta(2, 10, 12)):
            for risk in np.clip(usual + rng.normal(0, 0.02, rng.integers(1, 9)), 0, 1):
                facts = {"person": f"p{person}", "city": "Lahore", "features": {}, "aqi": None, "pm25": None}
                facts |= {"high_risk": False, "model_version": "m", "source": "x"}
                rows.append({"id": f"r{len(rows)}", "time": time, "day": time.date(), "risk": float(risk), **facts})
    with store.session() as session:
        for start in range(0, len(rows), 1000):
            add_readings(session, rows[start : start + 1000])
        for point in trend(session, NOON, 200):
            low, high = point.mean_risk_interval or (1, 0)
            covered.append(low <= 2 / 12 <= high)
    assert 0.88 < np.mean(covered) < 0.99


def test_a_share_on_few_events_is_unstable_and_one_that_tells_a_small_count_is_unsaid(store: Store, send: Send):
    def mixed(city: str, high: int, others: int) -> None:
        send(city, NOON, high, risk=0.5)
        send(city, NOON, others, risk=0.1, first=high)

    for city, high, others in (("Lahore", 21, 60), ("Quetta", 20, 60), ("Multan", 9, 60), ("Karachi", 60, 9)):
        mixed(city, high, others)
    mixed("Peshawar", 0, 60)
    with store.session() as session:
        found = {day.city: day for day in city_days(session, load_study("health-risk").cities, NOON, NOON)}
    told = {
        city: (day.high_risk_share, day.high_risk_readings, day.unstable)
        for city, day in found.items()
        if day.mean_risk is not None
    }
    unsaid = (None, None, False)
    # Multan has a small count, so Quetta goes with it; Karachi has few others, so the one with fewest others too.
    assert told["Multan"] == told["Karachi"] == told["Quetta"] == unsaid
    assert told["Peshawar"] == (0.0, 0, True)
    assert found["Quetta"].mean_risk == pytest.approx(0.2)


def test_twenty_events_are_unstable_and_twenty_one_are_not(store: Store, send: Send):
    for city, high in (("Lahore", 21), ("Quetta", 20)):
        send(city, NOON, high, risk=0.5)
        send(city, NOON, 60, first=high)
    with store.session() as session:
        lahore, quetta = city_days(session, ["Lahore", "Quetta"], NOON, NOON)
    assert (lahore.high_risk_readings, lahore.unstable) == (21, False)
    assert (quetta.high_risk_readings, quetta.unstable, quetta.high_risk_share) == (20, True, 0.25)


def test_many_high_risk_readings_of_one_person_are_a_small_count(store: Store, send: Send):
    for hour in range(12):
        send("Lahore", NOON - timedelta(hours=hour), 1, risk=0.9)
    send("Lahore", NOON, 30, first=1)
    with store.session() as session:
        day = city_days(session, ["Lahore"], NOON, NOON)[0]
    assert (day.readings, day.high_risk_share, day.high_risk_readings) == (42, None, None)


def test_what_is_synthetic_is_told(store: Store, send: Send):
    send("Lahore", NOON, 20)
    send("Quetta", NOON, 20, source="clinic")
    send("Multan", NOON, 20)
    send("Multan", NOON, 1, source="clinic", first=20)
    with store.session() as session:
        days = city_days(session, ["Lahore", "Quetta", "Multan", "Karachi"], NOON, NOON)
        points = {point.city: point.synthetic for point in trend(session, NOON, 7)}
    assert [day.synthetic for day in days] == ["all", "none", "some", None]
    assert points == {"Lahore": "all", "Quetta": "none", "Multan": "some"}


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


@pytest.mark.slow
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


def test_the_cities_of_the_synthetic_world_lie_in_pakistan():
    from fedhealth.data.synthetic.cities import CITIES

    assert PLACES.keys() == {city.name for city in CITIES}
    assert all(23.5 < latitude < 37.1 and 60.8 < longitude < 77.9 for latitude, longitude in PLACES.values())
