"""What the last day says about each city, small cells left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from fedhealth.data.aqi import category
from fedhealth.monitoring.cells import DIGITS, UNSTABLE_AT_MOST, hidden
from fedhealth.monitoring.origin import SYNTHETIC, Synthetic, how_synthetic
from fedhealth.monitoring.places import PLACES
from fedhealth.monitoring.tables import PEOPLE, Reading

WINDOW = timedelta(hours=24)


@dataclass(frozen=True)
class CityDay:
    """A city's last 24 hours, as far as they may be told; None where nothing is known or the cell is small.

    ``high_risk_share`` stays unsaid where the high-risk readings, or the others, are a small cell; few events make it
    ``unstable``. ``stale`` says that the newest reading is more than a day older than now, or that there is none.
    """

    city: str
    latitude: float | None
    longitude: float | None
    time: datetime | None
    readings: int | None
    people: int | None
    mean_risk: float | None
    high_risk_share: float | None
    high_risk_readings: int | None
    unstable: bool
    suppressed: bool
    aqi: float | None
    aqi_category: str | None
    pm25: float | None
    stale: bool
    synthetic: Synthetic | None


@dataclass(frozen=True)
class Group:
    """Figures over a city's readings of some time; not yet fit to be told.

    ``high`` and ``others`` are the readings and people at high risk, and not at high risk.
    """

    readings: int
    people: int
    mean_risk: float
    high: tuple[int, int]
    others: tuple[int, int]
    synthetic: int


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
            func.count(case((Reading.high_risk, 1))),
            func.count(case((Reading.high_risk, Reading.person)).distinct()),
            func.count(case((~Reading.high_risk, Reading.person)).distinct()),
            func.count(case((Reading.source == SYNTHETIC, 1))),
        )
        .where(Reading.time > as_of - WINDOW, Reading.time <= as_of)
        .group_by(Reading.city)
    )
    return {
        city: Group(n, people, float(risk), (high, high_people), (n - high, other_people), synthetic)
        for city, n, people, risk, high, high_people, other_people, synthetic in session.execute(query)
    }


def city_days(session: Session, cities: Sequence[str], as_of: datetime | None, now: datetime) -> list[CityDay]:
    """One entry for each of ``cities`` over the 24 hours up to ``as_of``, the newest time in the store."""
    found = groups(session, as_of) if as_of else {}
    unsaid = hidden({city: (group.readings, group.people) for city, group in found.items()})
    told = {city: _told(found.get(city), city in unsaid) for city in cities}
    for city in _rates_unsaid(found) & set(told):
        told[city] |= {"high_risk_share": None, "high_risk_readings": None, "unstable": False}
    return [_city_day(session, city, told[city], as_of, now) for city in cities]


def _rates_unsaid(found: Mapping[str, Group]) -> set[str]:
    """Where a share would tell the size of a small cell: of those at high risk, or of the others."""
    high, others = ({city: getattr(group, name) for city, group in found.items()} for name in ("high", "others"))
    return hidden(high) | hidden(others)


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
    unknown = {
        "people": None,
        "mean_risk": None,
        "high_risk_share": None,
        "high_risk_readings": None,
        "unstable": False,
    }
    if group is None:
        return {"readings": 0, **unknown, "people": 0, "suppressed": False, "synthetic": None}
    origin = {"synthetic": how_synthetic(group.synthetic, group.readings)}
    if unsaid:
        return {"readings": None, **unknown, "suppressed": True, **origin}
    return {
        "readings": group.readings,
        "people": group.people,
        "mean_risk": round(group.mean_risk, DIGITS),
        "high_risk_share": round(group.high[0] / group.readings, DIGITS),
        "high_risk_readings": group.high[0],
        "unstable": group.high[0] <= UNSTABLE_AT_MOST,
        "suppressed": False,
        **origin,
    }
