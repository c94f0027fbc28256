"""The routes over the store and the runs: readings in; cities, trends, runs and evaluation out; and all the others."""

import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute

from fedhealth.data.aqi import category
from fedhealth.monitoring.cities import city_days, is_stale, last_hour, newest_air, newest_time
from fedhealth.monitoring.origin import SYNTHETIC
from fedhealth.monitoring.people import fit_to_keep
from fedhealth.monitoring.recent import dominant_pollutant
from fedhealth.monitoring.retention import Retention
from fedhealth.monitoring.store import Store, StoreError, add_readings
from fedhealth.monitoring.trends import category_days, trend
from fedhealth.monitoring.webhook import deliver, webhook
from fedhealth.serving.access import KEYED, MAX_BODY, Caller, allowed
from fedhealth.serving.alerts import add_alerts, bring_up_to_date
from fedhealth.serving.answers import (
    Air,
    Categories,
    Cities,
    City,
    DaysInCategory,
    Evaluation,
    Point,
    Runs,
    Stored,
    Trends,
)
from fedhealth.serving.bodies import read_body
from fedhealth.serving.errors import MISSING, Message, Refusal, Responses, Unavailable
from fedhealth.serving.models import Models
from fedhealth.serving.network import add_network
from fedhealth.serving.people import add_outcome_routes, add_people
from fedhealth.serving.readings import ReadingsBody, parse_readings
from fedhealth.serving.reports import finished_runs, report, run_summaries, runs_folder
from fedhealth.serving.versions import add_versions
from fedhealth.serving.watched import Days, add_watched

CLOCKS_DIFFER = timedelta(minutes=5)
FAR_AHEAD = datetime(2200, 1, 1, tzinfo=UTC)  # an administrator's simulation may run ahead of the calendar
CityName = Annotated[str | None, Query(description="Only this city")]
UNAVAILABLE: Responses = {503: {"model": Message, "description": "No model is loaded, or the store is away"}}
logger = logging.getLogger(__name__)
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class _StoreRoute(APIRoute):
    """A store that is away is the answer 503, on every route here."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except StoreError as error:
                logger.warning(str(error))
                raise Unavailable("the store cannot be used now; the API's log says why") from None

        return answer


def operations(
    models: Models, store: Store, retention: Retention, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> APIRouter:
    """All routes, answering from ``models``, ``store`` and the runs folder; ``now`` is the clock."""
    public = APIRouter(route_class=_StoreRoute)
    keyed = APIRouter(
        route_class=_StoreRoute,
        dependencies=[Depends(allowed)],
        responses={**KEYED, **UNAVAILABLE},
    )
    _add_air(public, models, store, now)
    _add_readings(keyed, models, store, retention, now)
    add_people(keyed, store, retention, now)
    add_outcome_routes(keyed, store, now)
    _add_cities(keyed, models, store, now)
    add_alerts(keyed, models, store, now)
    _add_runs(keyed, models)
    add_watched(keyed, models, store)
    add_network(keyed, models)
    add_versions(keyed, models)
    public.include_router(keyed)
    return public


def _known(models: Models, city: str) -> str:
    cities = models.body().study.cities
    if city not in cities:
        raise HTTPException(404, f"there is no city {city[:64]!r}; expected one of {', '.join(cities)}")
    return city


def _add_air(router: APIRouter, models: Models, store: Store, now: Callable[[], datetime]) -> None:
    @router.get("/air", responses={**MISSING, **UNAVAILABLE})
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


def _add_readings(
    router: APIRouter, models: Models, store: Store, retention: Retention, now: Callable[[], datetime]
) -> None:
    schema = {"requestBody": {"required": True, "content": {"application/json": {"schema": _schema()}}}}
    refusals: Responses = {413: {"model": Refusal}, 422: {"model": Refusal}}

    def keep(raw: bytes, caller: Caller) -> Stored:
        predictor = models.predictor()
        rows = parse_readings(raw, predictor, FAR_AHEAD if caller.may("admin") else now() + CLOCKS_DIFFER)
        if not all(caller.owns(row["person"]) for row in rows):
            raise HTTPException(403, "a citizen's key sends readings of its own person alone")
        if not caller.may("analyst"):  # no citizen's word makes a city's air
            rows = [{**row, "aqi": None, "pm25": None} for row in rows]
        with store.session() as session:
            stored = add_readings(session, fit_to_keep(session, rows, retention))
            as_of = newest_time(session)
            if as_of:
                bring_up_to_date(session, {row["city"] for row in rows}, predictor, as_of)
        return Stored(stored=stored, scored=len(rows))

    @router.post("/readings", status_code=201, responses=refusals, openapi_extra=schema)
    async def readings(request: Request, caller: Annotated[Caller, Depends(allowed)], after: BackgroundTasks) -> Stored:
        """Score readings with the model in force and store what consent allows, before the answer; all or none."""
        if not caller.may("analyst") and caller.person is None:
            raise HTTPException(403, f"this needs the role analyst, or a citizen's key; {caller.name} is {caller.role}")
        stored = await run_in_threadpool(keep, await read_body(request, MAX_BODY), caller)
        if webhook():
            after.add_task(deliver, store)
        return stored


def _schema() -> dict[str, Any]:
    """The body's schema with its parts in place, as OpenAPI wants it inside a path."""
    schema = ReadingsBody.model_json_schema()
    schema["properties"]["readings"]["items"] = schema.pop("$defs")["ReadingBody"]
    return schema


def _add_cities(router: APIRouter, models: Models, store: Store, now: Callable[[], datetime]) -> None:
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


def _add_runs(router: APIRouter, models: Models) -> None:
    @router.get("/runs")
    def runs() -> Runs:
        """Finished training runs, newest first."""
        return Runs.model_validate({"runs": run_summaries(runs_folder())})

    @router.get("/runs/{name}", responses=MISSING)
    def run(name: str) -> dict[str, Any]:
        """The report of a run; ``latest`` is the newest."""
        folder = runs_folder()
        found = finished_runs(folder)
        for known, time in found[:1] if name == "latest" else found:
            if name in ("latest", known):
                try:
                    return report(folder, known, time)
                except (OSError, ValueError) as error:
                    logger.warning("the report of run %s cannot be read: %r", known, error)
                    raise HTTPException(404, f"the report of run {known!r} cannot be read") from None
        raise HTTPException(404, f"there is no run {name[:64]!r} with a report in {folder}")

    @router.get("/evaluation")
    def evaluation() -> Evaluation:
        """How well the served model does on held-out rows, in all, node by node, and by city and other subgroups."""
        bundle = models.predictor().bundle
        kept = ("name", "title", "rows", "local", "global", "difference", "better_alone")
        facts = bundle.facts
        return Evaluation(
            model_version=bundle.version,
            metrics=facts.get("metrics") or {},
            nodes=[{key: node.get(key) for key in kept} for node in facts.get("nodes") or []],
            subgroups=facts.get("subgroups") or [],
            threshold=facts["threshold"],
            synthetic=facts.get("synthetic"),
            synthetic_nodes=facts.get("synthetic_nodes") or [],
        )
