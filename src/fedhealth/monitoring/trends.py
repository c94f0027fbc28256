"""Days gone by, city by city."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session

from fedhealth.data.aqi import CATEGORIES, category
from fedhealth.federation.intervals import Z
from fedhealth.monitoring.cells import DIGITS, hidden
from fedhealth.monitoring.origin import SYNTHETIC, Synthetic, how_synthetic
from fedhealth.monitoring.tables import Reading


@dataclass(frozen=True)
class TrendPoint:
    """One city on one day; risk with its 95 % interval, and count, are None where the cell is small."""

    city: str
    date: date
    mean_risk: float | None
    mean_risk_interval: tuple[float, float] | None
    aqi: float | None
    pm25: float | None
    readings: int | None
    synthetic: Synthetic


@dataclass(frozen=True)
class CategoryDays:
    """On how many days a city's air was in a category."""

    city: str
    category: str
    days: int


def trend(session: Session, as_of: datetime, days: int, city: str | None = None) -> list[TrendPoint]:
    """One point for each city and day that has readings, over ``days`` days up to that of ``as_of``, oldest first."""
    found = [_CityDay(*row) for row in session.execute(_sums(as_of, days))]
    by_day: dict[date, dict[str, tuple[int, int]]] = {}
    for one in found:
        by_day.setdefault(one.day, {})[one.city] = (int(one.readings), one.people)
    unsaid = {day: hidden(cells) for day, cells in by_day.items()}
    return [_point(one, one.city in unsaid[one.day]) for one in found if city in (None, one.city)]


@dataclass(frozen=True)
class _CityDay:
    """Sums over a city's readings of a day, and over its senders: people, and readings that nobody is named for.

    ``squares``, ``products``, ``sizes`` sum over senders the squared risk, risk times readings, and squared readings.
    PostgreSQL gives sums of counts as ``Decimal``.
    """

    city: str
    day: date
    readings: Decimal | int
    people: int
    senders: int
    risk: float
    squares: float
    products: float
    sizes: Decimal | int
    aqi: float | None
    pm25: float | None
    synthetic: Decimal | int


def _sums(as_of: datetime, days: int) -> Select[tuple[Any, ...]]:
    """The rows of :class:`_CityDay`, first summed over each sender's readings."""
    first = datetime.combine(as_of.date() - timedelta(days=days - 1), time(), UTC)
    measured = [(getattr(Reading, name), name) for name in ("aqi", "pm25")]
    each = (
        select(
            Reading.city,
            Reading.day,
            func.max(Reading.person).label("person"),
            func.count().label("readings"),
            func.sum(Reading.risk).label("risk"),
            func.count(case((Reading.source == SYNTHETIC, 1))).label("synthetic"),
            *(func.sum(column).label(name) for column, name in measured),
            *(func.count(column).label(f"{name}_known") for column, name in measured),
        )
        .where(Reading.time >= first, Reading.time <= as_of)
        .group_by(Reading.city, Reading.day, func.coalesce(Reading.person, Reading.id))
        .subquery()
        .c
    )
    return (
        select(
            each.city,
            each.day,
            func.sum(each.readings),
            func.count(each.person) + func.max(case((each.person.is_(None), 1), else_=0)),  # as PEOPLE
            func.count(),
            func.sum(each.risk),
            func.sum(each.risk * each.risk),
            func.sum(each.risk * each.readings),
            func.sum(each.readings * each.readings),
            func.sum(each.aqi) / func.sum(each.aqi_known),
            func.sum(each.pm25) / func.sum(each.pm25_known),
            func.sum(each.synthetic),
        )
        .group_by(each.city, each.day)
        .order_by(each.day, each.city)
    )


def _point(one: _CityDay, unsaid: bool) -> TrendPoint:
    readings = int(one.readings)
    return TrendPoint(
        city=one.city,
        date=one.day,
        mean_risk=None if unsaid else round(one.risk / readings, DIGITS),
        mean_risk_interval=None if unsaid else _interval(one),
        aqi=one.aqi,
        pm25=one.pm25,
        readings=None if unsaid else readings,
        synthetic=how_synthetic(int(one.synthetic), readings),
    )


def _interval(one: _CityDay) -> tuple[float, float] | None:
    """The 95 % interval of the mean risk ``r``; a sender with many readings counts as one of ``k``, not as many.

    ``r = sum t / N`` over the senders' total risks ``t`` of ``n`` readings each has the variance
    ``k / (k - 1) * sum (t - r n)^2 / N^2`` (ratio of means: Cochran 1977, ch. 6). Student's t as Cornish & Fisher's
    first term has it, to 2 % from nine degrees of freedom. None with one sender.
    """
    if one.senders < 2:
        return None
    n, k = float(one.readings), one.senders
    mean = one.risk / n
    strayed = max(one.squares - 2 * mean * one.products + mean**2 * float(one.sizes), 0.0)
    half = (Z + (Z**3 + Z) / (4 * (k - 1))) * (k / (k - 1) * strayed) ** 0.5 / n
    return round(max(mean - half, 0.0), DIGITS), round(min(mean + half, 1.0), DIGITS)


def category_days(session: Session, as_of: datetime, days: int) -> list[CategoryDays]:
    """How many of a city's days fall into each category of the air quality index, by each day's mean."""
    return list(_counted(trend(session, as_of, days)))


def _counted(points: list[TrendPoint]) -> Iterator[CategoryDays]:
    counts = Counter((point.city, category(point.aqi)) for point in points if point.aqi is not None)
    for city in sorted({city for city, _ in counts}):
        for name in CATEGORIES:
            if counts[city, name]:
                yield CategoryDays(city, name, counts[city, name])
