"""Refusals: every one names the field, what came and what was expected, in JSON that any client can read."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, JsonValue, ValidationError

from fedhealth.study import Study

MAX_PROBLEMS = 20
MAX_SHOWN = 80  # characters of a value that are given back
EXACT = 2**53  # beyond this, whole numbers are not exact in every client


class Problem(BaseModel):
    """One thing that is wrong with a request."""

    field: str | None = Field(description="The field, or null where the whole body is meant")
    value: JsonValue = Field(description="What came, shortened; NaN and infinities as text")
    message: str = Field(description="What is wrong, in words")
    expected: str = Field(description="What is allowed, in words")


class Refusal(BaseModel):
    """Why a request was refused."""

    detail: list[Problem] = Field(description=f"What is wrong; the first {MAX_PROBLEMS} if there is more")


class Message(BaseModel):
    """Why there is no other answer, and what to do."""

    detail: str


Responses = dict[int | str, dict[str, Any]]
MISSING: Responses = {404: {"model": Message, "description": "There is no such thing"}}
STORE_AWAY: Responses = {503: {"model": Message, "description": "No model is loaded, or the store is away"}}


class Refused(HTTPException):
    """A request is refused with ``problems``; ``status`` is 422 unless its size is the problem (413)."""

    def __init__(self, problems: Sequence[Problem], status: int = 422) -> None:
        super().__init__(status)
        self.problems = problems


def too_large(limit: int) -> Refused:
    """The refusal of a body of more than ``limit`` bytes."""
    return Refused([problem(None, None, "the body is too large", f"at most {limit} bytes")], status=413)


class Unavailable(Exception):
    """No model is loaded; the message says what is missing and what to do."""


def problem(field: str | None, value: object, reason: str, expected: str) -> Problem:
    """One problem, in words; ``value`` may be anything that JSON can hold, also NaN."""
    where = "" if field is None else f"{_shortened(field)}: "
    return Problem(
        field=None if field is None else _shortened(field),
        value=_shown(value),
        message=f"{where}{reason}; expected {expected}",
        expected=expected,
    )


def problems_of(error: ValidationError, raw: bytes, study: Study) -> list[Problem]:
    """The validator's complaints about the body ``raw``, one for each field, in the study's words."""
    by_field: dict[object, Mapping[str, Any]] = {}
    for detail in error.errors(include_url=False, include_context=False):
        by_field.setdefault(detail["loc"][:1], detail)
    return [_problem_of(detail, raw, study) for detail in list(by_field.values())[:MAX_PROBLEMS]]


def _problem_of(detail: Mapping[str, Any], raw: bytes, study: Study) -> Problem:
    names = ", ".join(study.names)
    if detail["type"] == "json_invalid":
        reason = detail["msg"].removeprefix("Invalid JSON: ") if raw.strip() else "it is empty"
        return problem(None, None, f"the body is not valid JSON ({reason})", f"a JSON object with any of {names}")
    got = f"got {_worded(detail['input'])}"
    if not detail["loc"]:
        return problem(None, detail["input"], got, f"a JSON object with any of {names}")
    field = str(detail["loc"][0])
    if field not in study.names:
        return problem(field, detail["input"], "unknown field", f"one of {names}")
    return problem(field, detail["input"], got, expected_of(study, field))


def expected_of(study: Study, field: str) -> str:
    """What a feature of the study may be, in words."""
    feature = study.features[study.index(field)]
    if feature.kind == "number":
        return f"a number from {feature.allowed}"
    return f"{feature.allowed}, or true or false" if feature.kind == "flag" else feature.allowed


def _shown(value: object) -> JsonValue:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) <= EXACT):
        return value
    return _shortened(str(value))


def _worded(value: object) -> str:
    shown = _shown(value)
    return shown if isinstance(shown, str) and not isinstance(value, str) else json.dumps(shown, ensure_ascii=False)


def _shortened(text: str) -> str:
    text = text.encode(errors="replace").decode()  # half a surrogate pair cannot be written in an answer
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


async def _refuse(_: Request, refused: Any) -> Response:
    content = Refusal(detail=list(refused.problems))
    return JSONResponse(content.model_dump(), refused.status_code)


async def _unavailable(_: Request, reason: Exception) -> Response:
    return JSONResponse({"detail": str(reason)}, 503)


async def _invalid(_: Request, error: Any) -> Response:
    """What FastAPI's own validation found, in the same form, also where NaN came."""
    problems = [
        problem(".".join(map(str, one["loc"][1:])) or None, one["input"], one["msg"], "what /docs says of this request")
        for one in error.errors()[:MAX_PROBLEMS]
    ]
    return JSONResponse(Refusal(detail=problems).model_dump(), 422)


async def _broken(_: Request, error: Exception) -> Response:
    """A fault of ours: the log has it, the answer has nothing of what is inside."""
    return JSONResponse({"detail": "something went wrong here; the API's log says what"}, 500)


def add_handlers(app: FastAPI) -> None:
    """Make the app answer with the refusals of this module."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _broken)
    app.add_exception_handler(Refused, _refuse)
    app.add_exception_handler(Unavailable, _unavailable)
