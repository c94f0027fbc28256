"""What may be kept of a person: consent, retention, and erasure on request."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from fedhealth.monitoring.retention import RETENTIONS, Retention
from fedhealth.monitoring.store import consents_stay
from fedhealth.monitoring.tables import Consent, Outcome, Reading

FEW = 500  # ids in one query: databases bound them


@dataclass(frozen=True)
class Kept:
    """What the store holds of a person."""

    person: str
    retention: Retention
    readings: int
    outcomes: int
    oldest: datetime | None
    newest: datetime | None


def fit_to_keep(session: Session, rows: Sequence[dict[str, Any]], usual: Retention) -> list[dict[str, Any]]:
    """Readings (by column name) as they may be stored: whole, without the person, or not at all.

    The less of installation (``usual``) and person counts; a person who said nothing leaves it to the installation.
    """
    consents_stay(session)
    consents = _consents(session, {row["person"] for row in rows if row["person"]})
    kept = []
    for row in rows:
        retention = _less(usual, consents.get(row["person"], usual))
        if retention != "off":
            kept.append(row if retention == "full" else nameless(row))
    return kept


def nameless(row: Mapping[str, Any]) -> dict[str, Any]:
    """A reading without the person: city, hour, air and risk stay, for the figures of cities.

    Its id becomes a hash, so that sending it twice is still harmless.
    """
    hour = row["time"].replace(minute=0, second=0, microsecond=0)
    hidden = {"id": hashlib.sha256(row["id"].encode()).hexdigest(), "person": None, "time": hour, "features": {}}
    return {**row, **hidden}


def set_consent(session: Session, person: str, retention: Retention, now: datetime) -> None:
    """Note what a person allows; what is stored already is brought in line."""
    session.merge(Consent(person=person, retention=retention, since=now))
    session.flush()
    if retention == "off":
        _erase_readings(session, person)
    elif retention == "aggregate":
        for reading in session.scalars(select(Reading).where(Reading.person == person)).all():
            _forget_outcomes(session, [reading.id])
            row = nameless({"id": reading.id, "time": reading.time})
            if session.get(Reading, row["id"]):  # it was sent before, when no more was allowed
                session.delete(reading)
            else:
                session.execute(update(Reading).where(Reading.id == reading.id).values(**row))


def erase(session: Session, person: str) -> int:
    """Delete a person's readings with their outcomes, and the consent; how many readings those were.

    Readings kept without the person cannot be told apart any more, and stay.
    """
    session.execute(delete(Consent).where(Consent.person == person))
    return _erase_readings(session, person)


def kept_of(session: Session, person: str, usual: Retention) -> Kept:
    """What is held of a person, who may be unknown."""
    consent = _consents(session, {person}).get(person, usual)
    own = Reading.person == person
    query = select(func.count(), func.min(Reading.time), func.max(Reading.time)).where(own)
    readings, oldest, newest = session.execute(query).one()
    outcomes = session.scalar(
        select(func.count()).select_from(Outcome).join(Reading, Outcome.reading == Reading.id).where(own)
    )
    return Kept(person, _less(usual, consent), readings, outcomes or 0, oldest, newest)


def _consents(session: Session, people: set[str]) -> dict[str | None, Retention]:
    found: dict[str | None, Retention] = {}
    for some in _few(sorted(people)):
        for consent in session.scalars(select(Consent).where(Consent.person.in_(some))):
            found[consent.person] = consent.retention
    return found


def _less(one: Retention, other: Retention) -> Retention:
    return min(one, other, key=RETENTIONS.index)


def _erase_readings(session: Session, person: str) -> int:
    ids = session.scalars(select(Reading.id).where(Reading.person == person)).all()
    _forget_outcomes(session, ids)
    session.execute(delete(Reading).where(Reading.person == person))
    return len(ids)


def _forget_outcomes(session: Session, readings: Sequence[str]) -> None:
    for some in _few(readings):
        session.execute(delete(Outcome).where(Outcome.reading.in_(some)))


def _few(items: Sequence[str]) -> list[Sequence[str]]:
    return [items[start : start + FEW] for start in range(0, len(items), FEW)]
