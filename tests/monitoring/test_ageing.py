"""What is older than may be kept is deleted, on SQLite and PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from fedhealth.monitoring.ageing import delete_old
from fedhealth.monitoring.alerts import settle
from fedhealth.monitoring.outcomes import add_outcomes
from fedhealth.monitoring.people import kept_of, set_consent
from fedhealth.monitoring.retention import days_kept
from fedhealth.monitoring.rules import Finding
from fedhealth.monitoring.store import Store, note_predictions
from fedhealth.monitoring.tables import Alert, Outcome, Prediction, Reading

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
Send = Callable[..., None]


def counts(store: Store) -> dict[str, int]:
    with store.session() as session:
        return {
            table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0
            for table in (Reading, Outcome, Prediction, Alert)
        }


def test_readings_outcomes_predictions_and_resolved_alerts_go_with_their_age(store: Store, send: Send):
    send("Lahore", NOW - 31 * DAY, 3)
    send("Lahore", NOW - 29 * DAY, 4)
    with store.session() as session:
        set_consent(session, "p1", "full", NOW - 400 * DAY)
        add_outcomes(session, {"r0": True, "r1": False, "r3": True}, "clinic", NOW)
        note_predictions(session, NOW - 31 * DAY, [("m", 0.1, 0)] * 5)
        note_predictions(session, NOW - 29 * DAY, [("m", 0.1, 0)] * 6)
        for rule, days in (("drift", (40, 35)), ("score", (40, 20)), ("missing", (40,))):  # fired, resolved
            for value, ago in zip((0.3, 0.1), days, strict=False):
                settle(session, Finding(rule, value, 0.2), NOW - ago * DAY)
    assert counts(store) == {"readings": 7, "outcomes": 3, "predictions": 11, "alerts": 3}
    with store.session() as session:
        assert delete_old(session, NOW, 30) == 3 + 2 + 5 + 1
    assert counts(store) == {"readings": 4, "outcomes": 1, "predictions": 6, "alerts": 2}
    with store.session() as session:
        assert delete_old(session, NOW, 30) == 0
        assert kept_of(session, "p1", "aggregate").retention == "aggregate"  # the lesser of both: the consent stays


def test_how_long_comes_from_the_settings_else_it_is_two_years(monkeypatch: pytest.MonkeyPatch):
    assert days_kept() == 732
    monkeypatch.setenv("FEDHEALTH_KEEP_DAYS", "90")
    assert days_kept() == 90
    for wrong in ("0", "-3", "a year", "1e3"):
        monkeypatch.setenv("FEDHEALTH_KEEP_DAYS", wrong)
        with pytest.raises(ValueError, match="FEDHEALTH_KEEP_DAYS: got"):
            days_kept()
