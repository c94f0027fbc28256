"""What the last day says about each city, small cells left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from fedhealth.data.aqi import category
from fedhealth.monitoring.cells import DIGITS, hidden
from fedhealth.monitoring.places import PLACES
from fedhealth.monitoring.tables import PEOPLE, Reading

WINDOW = timedelta(hours=24)


@dataclass(frozen=True)
class CityDay:
    """A city's last 24 hours, as far as they may be told; None where nothing is known or the cell is small.

    ``stale`` says that the city's newest reading is more than a day older than now, or that there is none.
    """

    city: str
    latitude: float | None
    longitude: float | None
    time: datetime | None
    readings: int | None
    people: int | None
    mean_risk: float | None
    high_risk_share: float | None
    suppressed: bool
    aqi: float | None
    aqi_category: str | None
    pm25: float | None
    stale: bool


@dataclass(frozen=True)
class Group:
    """Figures over a city's readings of some time; not yet fit to be told."""

    readings: int
    people: int
    mean_risk: float
    high_risk_share: float


def newest_time(session: Session, city: str | None = None) -> datetime | None:
    """The time of the newest reading, of one city or of all; None if there is none."""
    query = select(Reading.time).order_by(Reading.time.desc()).limit(1)
    return session.scalar(query if city is None else query.where(Reading.city == city))


def last_hour(session: Session) -> datetime | None:
    """The end of the last hour that is over by the newest reading: asking twice within one tells nothing new."""
    newest = newest_time(session)
    return newest.replace(minute=0, second=0, microsecond=0) - timedelta(seconds=1) if newest else None


def newest_air(session: Session, city: str, after: datetime | None = None) -> Reading | None:
    """The newest reading that says what a city's air is like, if there is one."""
    query = select(Reading).where(Reading.city == city, Reading.aqi.is_not(None))
    if after is not None:
        query = query.where(Reading.time > after)
    return session.scalar(query.order_by(Reading.time.desc()).limit(1))


def groups(session: Session, as_of: datetime) -> dict[str, Group]:
    """Figures over the 24 hours up to ``as_of``, by city."""
    query = (
        select(
            Reading.city,
            func.count(),
            PEOPLE,
            func.avg(Reading.risk),
            func.avg(case((Reading.high_risk, 1.0), else_=0.0)),
        )
        .where(Reading.time > as_of - WINDOW, Reading.time <= as_of)
        .group_by(Reading.city)
    )
    return {
        city: Group(n, people, float(risk), float(share)) for city, n, people, risk, share in session.execute(query)
    }


def city_days(session: Session, cities: Sequence[str], as_of: datetime | None, now: datetime) -> list[CityDay]:
    """One entry for each of ``cities`` over the 24 hours up to ``as_of``, the newest time in the store."""
    found = groups(session, as_of) if as_of else {}
    unsaid = hidden({city: (group.readings, group.people) for city, group in found.items()})
    told = {city: _told(found.get(city), city in unsaid) for city in cities}
    return [_city_day(session, city, told[city], as_of, now) for city in cities]


def _city_day(session: Session, city: str, told: dict[str, Any], as_of: datetime | None, now: datetime) -> CityDay:
    time = newest_time(session, city)
    air = newest_air(session, city, as_of - WINDOW) if as_of else None
    latitude, longitude = PLACES.get(city, (None, None))
    return CityDay(
        city=city,
        latitude=latitude,
        longitude=longitude,
        time=time,
        **told,
        aqi=air.aqi if air else None,
        aqi_category=category(air.aqi) if air and air.aqi is not None else None,
        pm25=air.pm25 if air else None,
        stale=is_stale(time, now),
    )


def is_stale(time: datetime | None, now: datetime) -> bool:
    """Whether there is nothing, or nothing of the last 24 hours."""
    return time is None or now - time > WINDOW


def _told(group: Group | None, unsaid: bool) -> dict[str, Any]:
    hidden = {"people": None, "mean_risk": None, "high_risk_share": None}
    if group is None:
        return {"readings": 0, **hidden, "people": 0, "suppressed": False}
    if unsaid:
        return {"readings": None, **hidden, "suppressed": True}
    return {
        "readings": group.readings,
        "people": group.people,
        "mean_risk": round(group.mean_risk, DIGITS),
        "high_risk_share": round(group.high_risk_share, DIGITS),
        "suppressed": False,
    }
