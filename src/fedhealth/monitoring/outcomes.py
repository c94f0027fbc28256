"""Outcomes: whether what was predicted of a reading came to be."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from fedhealth.monitoring.store import consents_stay
from fedhealth.monitoring.tables import Outcome, Reading


class UnknownReadings(LookupError):
    """Outcomes were told of readings that are not stored; ``ids`` are theirs."""

    def __init__(self, ids: list[str]) -> None:
        super().__init__(f"{len(ids)} readings are not stored, the first is {ids[0]!r}")
        self.ids = ids


def add_outcomes(session: Session, told: Mapping[str, bool], by: str, now: datetime) -> int:
    """Store whether the outcome happened, by id of the reading; how many were new. Of two, the later one stands.

    Raises:
        UnknownReadings: some readings are not stored; then nothing is.
    """
    consents_stay(session)
    stored = set(session.scalars(select(Reading.id).where(Reading.id.in_(told))))
    unknown = [reading for reading in told if reading not in stored]
    if unknown:
        raise UnknownReadings(unknown)
    known = {one.reading: one for one in session.scalars(select(Outcome).where(Outcome.reading.in_(told)))}
    for reading, happened in told.items():
        if reading in known:
            known[reading].happened, known[reading].told, known[reading].told_by = happened, now, by
        else:
            session.add(Outcome(reading=reading, happened=happened, told=now, told_by=by))
    return len(told) - len(known)
