"""Days gone by, city by city."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fedhealth.data.aqi import CATEGORIES, category
from fedhealth.monitoring.cells import DIGITS, hidden
from fedhealth.monitoring.tables import PEOPLE, Reading


@dataclass(frozen=True)
class TrendPoint:
    """One city on one day; risk and count are None where the cell is small."""

    city: str
    date: date
    mean_risk: float | None
    aqi: float | None
    pm25: float | None
    readings: int | None


@dataclass(frozen=True)
class CategoryDays:
    """On how many days a city's air was in a category."""

    city: str
    category: str
    days: int


def trend(session: Session, as_of: datetime, days: int, city: str | None = None) -> list[TrendPoint]:
    """One point for each city and day that has readings, over ``days`` days up to that of ``as_of``, oldest first."""
    query = (
        select(
            Reading.city,
            Reading.day,
            func.count(),
            PEOPLE,
            func.avg(Reading.risk),
            func.avg(Reading.aqi),
            func.avg(Reading.pm25),
        )
        .where(Reading.day > as_of.date() - timedelta(days=days), Reading.time <= as_of)
        .group_by(Reading.city, Reading.day)
        .order_by(Reading.day, Reading.city)
    )
    rows = list(session.execute(query))
    by_day: dict[date, dict[str, tuple[int, int]]] = {}
    for place, day, readings, people, *_ in rows:
        by_day.setdefault(day, {})[place] = (readings, people)
    unsaid = {day: hidden(cells) for day, cells in by_day.items()}
    return [_point(row[0] in unsaid[row[1]], *row) for row in rows if city in (None, row[0])]


def _point(
    unsaid: bool, city: str, day: date, readings: int, _: int, risk: float, aqi: float | None, pm25: float | None
) -> TrendPoint:
    return TrendPoint(city, day, None if unsaid else round(risk, DIGITS), aqi, pm25, None if unsaid else readings)


def category_days(session: Session, as_of: datetime, days: int) -> list[CategoryDays]:
    """How many of a city's days fall into each category of the air quality index, by each day's mean."""
    return list(_counted(trend(session, as_of, days)))


def _counted(points: list[TrendPoint]) -> Iterator[CategoryDays]:
    counts = Counter((point.city, category(round(point.aqi))) for point in points if point.aqi is not None)
    for city in sorted({city for city, _ in counts}):
        for name in CATEGORIES:
            if counts[city, name]:
                yield CategoryDays(city, name, counts[city, name])
