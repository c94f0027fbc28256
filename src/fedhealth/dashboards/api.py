"""The API over HTTP: short waits, and every failure in words that can be shown to a reader."""

import os
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import httpx

from fedhealth.dashboards.texts import plain, say

DEFAULT = "http://127.0.0.1:8000"
TIMEOUT = httpx.Timeout(4.0, connect=2.0)  # seconds
PATIENCE = httpx.Timeout(30.0, connect=2.0)  # with a change: before a promotion the gates are asked
PAUSE = 3.0  # seconds without a new attempt after the API did not answer
_silent_until: dict[str, tuple[float, "ApiProblem"]] = {}


class ApiProblem(Exception):
    """The API gave no answer that can be used. ``kind`` is a key of the catalogue's ``api`` section.

    ``down`` and ``slow``: no answer; ``unable``: the model or the store is away; ``key``: the key is missing or wrong;
    ``forbidden``: its role is not enough, and ``detail`` says which one is; ``missing``: there is no such thing (yet);
    ``refused``: what was sent is not accepted, and ``detail`` says why; ``error``: anything else. Of a change:
    ``not_sent``: nothing was changed; ``unclear``: it may have been done.

    ``again`` asks the question that was not answered once more; None where that helps nothing.
    """

    def __init__(self, kind: str, detail: str = "", again: Callable[[], object] | None = None) -> None:
        self.kind = kind
        self.detail = detail
        self.again = again
        super().__init__(say(f"api.{kind}", address=address(), detail=plain(detail)))


def address() -> str:
    """Where the API is: ``FEDHEALTH_API``, else this machine's port 8000."""
    return (os.environ.get("FEDHEALTH_API") or DEFAULT).rstrip("/")


def get(path: str, key: str | None = None, **params: str | int | None) -> dict[str, Any]:
    """What the API answers to GET; parameters that are None are left out.

    Raises:
        ApiProblem: there is no usable answer.
    """
    return _ask("GET", path, key, params={name: value for name, value in params.items() if value is not None})


def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the API answers to a question that has a body.

    Raises:
        ApiProblem: there is no usable answer.
    """
    return _ask("POST", path, None, json=body)


def change(method: str, path: str, key: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Have the API change something, and give what it answers; this is sent once, also after it was silent.

    Raises:
        ApiProblem: there is no usable answer; its words tell whether the change may have been made.
    """
    try:
        answer = _client().request(method, address() + path, headers={"X-API-Key": key}, json=body, timeout=PATIENCE)
    except (httpx.ConnectError, httpx.ConnectTimeout):
        raise ApiProblem("not_sent") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        raise ApiProblem("unclear", say("api.silent")) from None
    try:
        return _checked(answer)
    except ApiProblem as problem:
        raise ApiProblem("unclear", problem.detail) if problem.kind == "error" else problem from None


@cache
def _client() -> httpx.Client:
    return httpx.Client(timeout=TIMEOUT, trust_env=False)  # readings go to the API and to no proxy


def _ask(method: str, path: str, key: str | None, **rest: Any) -> dict[str, Any]:
    base, again = address(), partial(_ask, method, path, key, **rest)
    _respect_silence(base)
    try:
        answer = _client().request(method, base + path, headers={"X-API-Key": key} if key else {}, **rest)
    except httpx.TimeoutException:
        problem = ApiProblem("slow", again=again)
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        problem = ApiProblem("down", again=again)
    else:
        return _answered(answer, again)
    if method == "GET":
        _silent_until[base] = (time.monotonic() + PAUSE, problem)
    raise problem


def _answered(answer: httpx.Response, again: Callable[[], object]) -> dict[str, Any]:
    try:
        return _checked(answer)
    except ApiProblem as problem:
        problem.again = again if problem.kind in ("unable", "error") else None
        raise


def _respect_silence(base: str) -> None:
    """Fail at once for a moment after a failure, so that a page of ten panels waits once and not ten times."""
    if base in _silent_until:
        until, problem = _silent_until[base]
        if time.monotonic() < until:
            raise ApiProblem(problem.kind, again=problem.again)


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


_KINDS = {401: "key", 403: "forbidden", 404: "missing", 409: "refused", 422: "refused", 503: "unable"}


def _detail(answer: httpx.Response) -> str:
    """The API's own words where it gives some: a text, or a list of problems with messages."""
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return say("api.status", status=answer.status_code)
    if isinstance(detail, list):
        return "; ".join(str(one.get("message") or one.get("msg")) for one in detail if isinstance(one, dict))
    return str(detail)
