"""Readings that come in: checked like ``/predict``, scored with the model in force, and stored; and their route."""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from fedhealth.data.aqi import overall_aqi
from fedhealth.monitoring.cities import newest_time
from fedhealth.monitoring.people import fit_to_keep
from fedhealth.monitoring.retention import Retention
from fedhealth.monitoring.store import Store, add_readings
from fedhealth.monitoring.webhook import deliver, webhook
from fedhealth.serving.access import MAX_OTHER_BODY, Caller, allowed
from fedhealth.serving.alerts import bring_up_to_date
from fedhealth.serving.answers import Stored
from fedhealth.serving.bodies import read_body
from fedhealth.serving.errors import MAX_PROBLEMS, Problem, Refusal, Refused, Responses, problem
from fedhealth.serving.models import Models
from fedhealth.serving.predictor import Predictor

MOST = 1000
CLOCKS_DIFFER = timedelta(minutes=5)
FAR_AHEAD = datetime(2200, 1, 1, tzinfo=UTC)  # an administrator's simulation may run ahead of the calendar
# No spaces, no @: names and addresses of people do not pass for pseudonyms.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]


class ReadingBody(BaseModel):
    """What was measured of one person, or of a city's air alone, at one time."""

    model_config = ConfigDict(extra="forbid")

    id: Name | None = Field(default=None, description="Makes sending twice harmless: one id is stored once")
    person: Name | None = Field(default=None, description="A pseudonym, never a name")
    city: str = Field(description="One of the study's cities", examples=["Lahore"])
    time: AwareDatetime = Field(description="With its time zone", examples=["2026-01-01T08:00:00Z"])
    features: dict[str, JsonValue] = Field(description="As the body of /predict", examples=[{"aqi": 180, "spo2": 96}])
    source: Name = Field(default="unknown", description="Who says so; 'synthetic' for generated readings")


class ReadingsBody(BaseModel):
    """Readings, at most a thousand at once."""

    model_config = ConfigDict(extra="forbid")

    readings: list[ReadingBody] = Field(min_length=1, max_length=MOST)


def parse_readings(raw: bytes, predictor: Predictor, until: datetime) -> list[dict[str, Any]]:
    """Rows for the store, by column name; none may come from after ``until``, or all figures would end there.

    Raises:
        Refused: something is wrong with a reading; then none is accepted.
    """
    try:
        readings = ReadingsBody.model_validate_json(raw).readings
    except ValidationError as error:
        raise Refused([_problem(detail) for detail in error.errors(include_url=False)[:MAX_PROBLEMS]]) from None
    problems: list[Problem] = []
    values = [_values(i, reading, predictor, until, problems) for i, reading in enumerate(readings)]
    if problems:
        raise Refused(problems[:MAX_PROBLEMS])
    risks = _risks(predictor, values)
    return [_row(*one, predictor) for one in zip(readings, values, risks, strict=True)]


def _problem(detail: Any) -> Problem:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]).lstrip(".")
    return problem(place or None, detail["input"], detail["msg"], "what /docs says of this request")


def _values(
    i: int, reading: ReadingBody, predictor: Predictor, until: datetime, problems: list[Problem]
) -> dict[str, float]:
    """The features' values; what is wrong with the reading is added to ``problems``."""
    cities, city = predictor.bundle.study.cities, f"readings[{i}].city"
    if reading.city not in cities:
        problems.append(problem(city, reading.city, "unknown city", f"one of {', '.join(cities)}"))
    if reading.time.year < 2000 or reading.time > until:
        expected = f"a time from 2000 to {until:%Y-%m-%dT%H:%M}Z, which is now"
        problems.append(problem(f"readings[{i}].time", str(reading.time), "out of range", expected))
    try:
        return predictor.body.parse(json.dumps(reading.features).encode())
    except Refused as refused:
        problems.extend(_placed(i, refused.problems))
        return {}


def _placed(i: int, problems: Sequence[Problem]) -> Iterator[Problem]:
    """Problems with the features of one reading, their fields named from the top of the body."""
    for one in problems:
        place = f"readings[{i}].features" + (f".{one.field}" if one.field else "")
        message = one.message.removeprefix(f"{one.field}: ")
        yield one.model_copy(update={"field": place, "message": f"{place}: {message}"})


def _risks(predictor: Predictor, values: Sequence[dict[str, float]]) -> list[float]:
    names, nothing = predictor.bundle.study.names, float("nan")
    x = np.array([[row.get(name, nothing) for name in names] for row in values], dtype=np.float64)
    found: list[float] = predictor.risks(x).tolist()
    return found


def _row(reading: ReadingBody, values: dict[str, float], risk: float, predictor: Predictor) -> dict[str, Any]:
    time: datetime = reading.time.astimezone(UTC)
    return {
        "id": reading.id or uuid.uuid4().hex,
        "person": reading.person,
        "city": reading.city,
        "time": time,
        "day": time.date(),
        "features": values,
        "aqi": values.get("aqi", _aqi_of(values)),
        "pm25": values.get("pm25"),
        "risk": risk,
        "high_risk": risk >= predictor.bundle.threshold,
        "model_version": predictor.bundle.version,
        "source": reading.source,
    }


def _aqi_of(values: dict[str, float]) -> float | None:
    """The index of the 24-hour PM2.5 where a reading gives no index itself."""
    return float(overall_aqi({"pm25_24h": values["pm25"]})) if "pm25" in values else None


def add_reading_routes(
    router: APIRouter, models: Models, store: Store, retention: Retention, now: Callable[[], datetime]
) -> None:
    """Add the route to ``router``; ``now`` is the clock."""
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
        stored = await run_in_threadpool(keep, await read_body(request, MAX_OTHER_BODY), caller)
        if webhook():
            after.add_task(deliver, store)
        return stored


def _schema() -> dict[str, Any]:
    """The body's schema with its parts in place, as OpenAPI wants it inside a path."""
    schema = ReadingsBody.model_json_schema()
    schema["properties"]["readings"]["items"] = schema.pop("$defs")["ReadingBody"]
    return schema
