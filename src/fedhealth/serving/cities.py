"""The routes over cities: their air, their last day, and their days."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from fedhealth.data.aqi import category
from fedhealth.monitoring.cities import city_days, is_stale, last_hour, newest_air
from fedhealth.monitoring.origin import SYNTHETIC
from fedhealth.monitoring.recent import dominant_pollutant
from fedhealth.monitoring.store import Store
from fedhealth.monitoring.trends import category_days, trend
from fedhealth.serving.answers import Air, Categories, Cities, City, DaysInCategory, Point, Trends
from fedhealth.serving.errors import MISSING, STORE_AWAY
from fedhealth.serving.models import Models
from fedhealth.serving.watched import Days

CityName = Annotated[str | None, Query(description="Only this city")]


def add_air(router: APIRouter, models: Models, store: Store, now: Callable[[], datetime]) -> None:
    """Add the route over a city's air, which needs no key, to ``router``."""

    @router.get("/air", responses={**MISSING, **STORE_AWAY})
    def air(city: Annotated[str, Query(examples=["Lahore"])]) -> Air:
        """A city's newest air quality; null where nothing is known."""
        with store.session() as session:
            found = newest_air(session, _known(models, city))
        index = found.aqi if found else None
        return Air(
            city=city,
            time=found.time if found else None,
            aqi=index,
            category=None if index is None else category(index),
            dominant=dominant_pollutant(found.features) if found else None,
            averaging="24-hour",
            pm25=found.pm25 if found else None,
            source=found.source if found else None,
            synthetic=found is not None and found.source == SYNTHETIC,
            stale=is_stale(found.time if found else None, now()),
        )


def add_cities(router: APIRouter, models: Models, store: Store, now: Callable[[], datetime]) -> None:
    """Add the routes to ``router``."""

    @router.get("/cities")
    def cities() -> Cities:
        """Each city's last 24 hours, up to the last whole hour that readings reach."""
        with store.session() as session:
            as_of = last_hour(session)
            days = city_days(session, models.body().study.cities, as_of, now())
        reporting = sum(day.readings != 0 for day in days)
        return Cities(as_of=as_of, reporting=reporting, cities=[City.model_validate(day) for day in days])

    @router.get("/trends", responses=MISSING)
    def trends(days: Days = 30, city: CityName = None) -> Trends:
        """Each city's days."""
        with store.session() as session:
            as_of = last_hour(session)
            chosen = None if city is None else _known(models, city)
            points = trend(session, as_of, days, chosen) if as_of else []
        return Trends(points=[Point.model_validate(point) for point in points])

    @router.get("/aqi")
    def aqi(days: Days = 30) -> Categories:
        """On how many days each city's air was in which category."""
        with store.session() as session:
            as_of = last_hour(session)
            counted = category_days(session, as_of, days) if as_of else []
        return Categories(categories=[DaysInCategory.model_validate(one) for one in counted])


def _known(models: Models, city: str) -> str:
    cities = models.body().study.cities
    if city not in cities:
        raise HTTPException(404, f"there is no city {city[:64]!r}; expected one of {', '.join(cities)}")
    return city
