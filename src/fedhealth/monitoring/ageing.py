"""What is older than may be kept is deleted; when, is up to who calls."""

from datetime import datetime, timedelta

from sqlalchemy import CursorResult, Delete, delete, exists
from sqlalchemy.orm import Session

from fedhealth.monitoring.tables import Alert, Outcome, Prediction, Reading


def delete_old(session: Session, now: datetime, days: int) -> int:
    """Delete readings, their outcomes, predictions and resolved alerts from more than ``days`` days before ``now``.

    Gives how many rows that were. Consents stay: they are what somebody wants, however long ago they said so.
    """
    before = now - timedelta(days=days)
    without_reading = ~exists().where(Reading.id == Outcome.reading)
    return sum(
        _deleted(session, statement)
        for statement in (
            delete(Reading).where(Reading.time < before),
            delete(Outcome).where(without_reading),
            delete(Prediction).where(Prediction.time < before),
            delete(Alert).where(Alert.ended < before),
        )
    )


def _deleted(session: Session, statement: Delete) -> int:
    found = session.execute(statement)
    assert isinstance(found, CursorResult)
    return found.rowcount
