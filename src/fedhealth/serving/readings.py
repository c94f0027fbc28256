"""Readings that come in: checked like ``/predict``, scored with the model in force, and ready for the store."""

import json
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from fedhealth.data.aqi import overall_aqi
from fedhealth.serving.errors import MAX_PROBLEMS, Problem, Refused, problem
from fedhealth.serving.predictor import Predictor

MOST = 1000
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
