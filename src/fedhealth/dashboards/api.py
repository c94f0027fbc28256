"""The API over HTTP: short waits, and every failure in words that can be shown to a reader."""

import os
import time
from functools import cache
from typing import Any

import httpx

from fedhealth.dashboards.texts import say

DEFAULT = "http://127.0.0.1:8000"
TIMEOUT = httpx.Timeout(4.0, connect=2.0)  # seconds
PAUSE = 3.0  # seconds without a new attempt after the API did not answer
_silent_until: dict[str, tuple[float, str]] = {}


class ApiProblem(Exception):
    """The API gave no answer that can be used. ``kind`` is a key of the catalogue's ``api`` section.

    ``down`` and ``slow``: no answer; ``key``: the key is missing or wrong; ``forbidden``: its role is not enough, and
    ``detail`` says which one is; ``missing``: there is no such thing (yet);
    ``refused``: what was sent is not accepted, and ``detail`` says why; ``error``: anything else.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        self.kind = kind
        self.detail = detail
        super().__init__(say(f"api.{kind}", address=address(), detail=detail))


def address() -> str:
    """Where the API is: ``FEDHEALTH_API``, else this machine's port 8000."""
    return (os.environ.get("FEDHEALTH_API") or DEFAULT).rstrip("/")


def get(path: str, key: str | None = None, **params: str | int | None) -> dict[str, Any]:
    """What the API answers to GET; parameters that are None are left out.

    Raises:
        ApiProblem: there is no usable answer.
    """
    return _ask("GET", path, key, params={name: value for name, value in params.items() if value is not None})


def post(path: str, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """What the API answers to POST.

    Raises:
        ApiProblem: there is no usable answer.
    """
    return _ask("POST", path, key, json=body)


def put(path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
    """What the API answers to PUT.

    Raises:
        ApiProblem: there is no usable answer.
    """
    return _ask("PUT", path, key, json=body)


def delete(path: str, key: str) -> dict[str, Any]:
    """What the API answers to DELETE.

    Raises:
        ApiProblem: there is no usable answer.
    """
    return _ask("DELETE", path, key)


@cache
def _client() -> httpx.Client:
    return httpx.Client(timeout=TIMEOUT, trust_env=False)  # readings go to the API and to no proxy


def _ask(method: str, path: str, key: str | None, **rest: Any) -> dict[str, Any]:
    base = address()
    _respect_silence(base)
    try:
        answer = _client().request(method, base + path, headers={"X-API-Key": key} if key else {}, **rest)
    except httpx.TimeoutException:
        raise _silence(base, "slow") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        raise _silence(base, "down") from None
    return _checked(answer)


def _respect_silence(base: str) -> None:
    """Fail at once for a moment after a failure, so that a page of ten panels waits once and not ten times."""
    until, kind = _silent_until.get(base, (0.0, ""))
    if time.monotonic() < until:
        raise ApiProblem(kind)


def _silence(base: str, kind: str) -> ApiProblem:
    _silent_until[base] = (time.monotonic() + PAUSE, kind)
    return ApiProblem(kind)


def _checked(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_success:
        try:
            content = answer.json()
        except ValueError:
            content = None
        if isinstance(content, dict):
            return content
        raise ApiProblem("error", say("api.unreadable"))
    raise ApiProblem(_KINDS.get(answer.status_code, "error"), _detail(answer))


_KINDS = {401: "key", 403: "forbidden", 404: "missing", 409: "refused", 422: "refused", 503: "model"}


def _detail(answer: httpx.Response) -> str:
    """The API's own words where it gives some: a text, or a list of problems with messages."""
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return say("api.status", status=answer.status_code)
    if isinstance(detail, list):
        return "; ".join(str(one.get("message") or one.get("msg")) for one in detail if isinstance(one, dict))
    return str(detail)
