"""Who may ask for what: one table of roles, and the check of keys before anything else is looked at."""

import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

from fastapi import HTTPException, Request, Security
from fastapi.security import APIKeyHeader
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as Received

from fedhealth.keys import (
    INSTALLATION,
    ROLES,
    KeyProblem,
    Role,
    hashed,
    issued_keys,
    issued_keys_file,
    key_file,
    load_key,
)
from fedhealth.serving.batch import MAX_BATCH_BODY
from fedhealth.serving.errors import Message, Refusal, Responses, too_large
from fedhealth.serving.rate import Rate

RANK: Mapping[Role | None, int] = {role: rank for rank, role in enumerate((None, *ROLES))}
# The least role that each route needs; None: anybody, without a key. docs/api.md shows this table.
NEEDS: Mapping[tuple[str, str], Role | None] = {
    ("POST", "/predict"): None,
    ("POST", "/explain"): None,
    ("POST", "/advice"): None,
    ("GET", "/model"): None,
    ("GET", "/air"): None,
    ("GET", "/health"): None,
    ("GET", "/ready"): None,
    ("POST", "/readings"): "citizen",
    ("GET", "/people/{person}"): "citizen",
    ("PUT", "/people/{person}/consent"): "citizen",
    ("DELETE", "/people/{person}"): "citizen",
    ("GET", "/cities"): "viewer",
    ("GET", "/trends"): "viewer",
    ("GET", "/aqi"): "viewer",
    ("GET", "/alerts"): "viewer",
    ("GET", "/alerts/rules"): "viewer",
    ("GET", "/runs"): "viewer",
    ("GET", "/runs/{name}"): "viewer",
    ("GET", "/evaluation"): "viewer",
    ("GET", "/drift"): "viewer",
    ("GET", "/performance"): "viewer",
    ("GET", "/performance/nodes"): "viewer",
    ("GET", "/nodes"): "viewer",
    ("GET", "/privacy"): "viewer",
    ("GET", "/promotion"): "viewer",
    ("GET", "/models"): "viewer",
    ("GET", "/models/{version}"): "viewer",
    ("GET", "/me"): "citizen",
    ("GET", "/metrics"): "viewer",
    ("POST", "/predict/batch"): "analyst",
    ("POST", "/outcomes"): "analyst",
    ("POST", "/alerts/{number}/acknowledge"): "analyst",
    ("POST", "/models/promote"): "admin",
    ("POST", "/models/rollback"): "admin",
}
KEYED: Responses = {
    401: {"model": Message, "description": "No key, or a wrong one"},
    403: {"model": Message, "description": "The key's role is not enough"},
}
MAX_OTHER_BODY = 4 * 1024 * 1024  # bytes of any body but a batch's
INVALID: Responses = {
    400: {"model": Message, "description": "The body cannot be read"},
    413: {"model": Refusal, "description": f"The body is over {MAX_OTHER_BODY} bytes"},
}
GUARDED = [
    (method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), role) for (method, path), role in NEEDS.items() if role
]
LOOK_EVERY = 1.0  # seconds
HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="The installation's key, or one issued to you")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caller:
    """Who asks: a key's name and role; a citizen's key also tells whose data it is for."""

    name: str
    role: Role | None
    person: str | None = None

    def may(self, role: Role | None) -> bool:
        """Whether the caller has at least this role."""
        return RANK[self.role] >= RANK[role]

    def owns(self, person: str | None) -> bool:
        """Whether the caller may send, see and erase a person's data: their own, or as analyst or admin all."""
        return self.may("analyst") or (self.role == "citizen" and person is not None and person == self.person)


class Keys:
    """All keys in force, by hash; read again at most once a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_look = 0.0
        self._known: dict[str, Caller] = {}
        self._met: dict[bytes, Caller] = {}  # whose keys were found since the last look
        self._seen: int | None = None

    def prepare(self) -> None:
        """Make the installation's key where there is none, when the API starts."""
        try:
            load_key(create=True)
        except OSError as error:
            logger.warning(
                "no key could be made (%s); set FEDHEALTH_API_KEY, or nothing stored can be asked for", error
            )

    def any(self) -> bool:
        """Whether there is any key at all."""
        self._look()
        return bool(self._known)

    def caller(self, key: bytes) -> Caller | None:
        """Whose key this is; None if it is none in force. Keys are found by hash, which tells nothing by its time."""
        self._look()
        if key in self._met:
            return self._met[key]
        name = sha256(key).hexdigest()
        if name not in self._known and _changed() != self._seen:  # issued a moment ago
            self._next_look = 0.0
            self._look()
        found = self._known.get(name)
        if found:
            self._met[key] = found
        return found

    def _look(self) -> None:
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look, self._seen, self._met = now + LOOK_EVERY, _changed(), {}
        try:
            issued = issued_keys()
        except (OSError, UnicodeDecodeError, KeyProblem) as error:
            logger.warning("issued keys cannot be read, so none is accepted: %s", error)
            issued = []
        self._known = {key.hash: Caller(key.name, key.role, key.person) for key in issued if key.revoked is None}
        own = _installation_key()
        if own:
            self._known[hashed(own)] = Caller(INSTALLATION, "admin")


def _changed() -> int | None:
    """When the file of issued keys changed last; None where there is none."""
    try:
        return issued_keys_file().stat().st_mtime_ns
    except OSError:
        return None


def _installation_key() -> str | None:
    try:
        return load_key()
    except (OSError, UnicodeDecodeError):
        return None


@dataclass(frozen=True)
class NotAdmitted:
    """Why a request goes no further."""

    status: int
    detail: str
    header: tuple[bytes, bytes] | None = None


class Admission:
    """The check of keys and rates; who asks is then in ``scope["caller"]``."""

    def __init__(self, keys: Keys, rate: Rate) -> None:
        self.keys = keys
        self.rate = rate
        self.behind_proxy = bool(os.environ.get("FORWARDED_ALLOW_IPS"))  # else the server may take anybody's word

    def is_clear(self, scope: Scope) -> bool:
        """Whether who asks is known by a right key, or by an address that no proxy stands before."""
        given = [value for name, value in scope["headers"] if name == b"x-api-key"]
        return self.keys.caller(given[-1]) is not None if given else not self.behind_proxy

    def admit(self, scope: Scope) -> NotAdmitted | None:
        """None if the request, which is counted, may go on."""
        given = caller = None
        believed = True
        for name, value in scope["headers"]:
            if name == b"x-api-key":
                given, caller = value, self.keys.caller(value)
            elif name == b"x-forwarded-for":
                believed = self.behind_proxy
        wait = self.rate.wait(f"key:{caller.name}" if caller else _address(scope, believed))
        if wait:
            return NotAdmitted(429, f"too many requests; try again in {wait} s", (b"retry-after", b"%d" % wait))
        if given is not None and caller is None:
            return self._without_key()
        scope["caller"] = caller
        return None

    def _without_key(self) -> NotAdmitted:
        if not self.keys.any():
            missing = f"there is no key: set FEDHEALTH_API_KEY, or start the API where it can write {key_file()}"
            return NotAdmitted(503, missing)
        detail = "the key is wrong; send it in the header X-API-Key"
        return NotAdmitted(401, detail, (b"www-authenticate", b"APIKey"))


class Access:
    """ASGI middleware: who is not admitted gets no further. The fast lane may have admitted a request already."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self.app = app
        self.admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, or refuse before the body is read."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        refused = (None if "caller" in scope else self.admission.admit(scope)) or _too_little(scope)
        if refused is None:
            limit = MAX_BATCH_BODY if scope["path"] == "/predict/batch" else MAX_OTHER_BODY
            return await self.app(scope, _up_to(limit, receive), send)
        body = json.dumps({"detail": refused.detail}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        headers += [refused.header] if refused.header else []
        await send({"type": "http.response.start", "status": refused.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _address(scope: Scope, believed: bool) -> str:
    """Who asks without a key: the address, if it can be ``believed``; all others are one caller."""
    client = scope.get("client")
    return f"address:{client[0]}" if client and believed else "address:unknown"


def _too_little(scope: Scope) -> NotAdmitted | None:
    """Why the caller's role is not enough for the path that is asked; None if it is, or there is no such path."""
    for method, path, role in GUARDED:
        if method == scope["method"] and path.fullmatch(scope["path"]):
            return lacking(scope["caller"], role)
    return None


def lacking(caller: Caller | None, role: Role | None) -> NotAdmitted | None:
    """Why ``caller`` may not do what needs ``role``; None if they may. Every check of a role is this one."""
    if role is None:
        return None
    if caller is None:
        missing = "this needs a key; send it in the header X-API-Key"
        return NotAdmitted(401, missing, (b"www-authenticate", b"APIKey"))
    if not caller.may(role):
        return NotAdmitted(403, f"this needs the role {role}; the key of {caller.name} has {caller.role}")
    return None


def _up_to(limit: int, receive: Receive) -> Receive:
    """``receive`` that refuses to go on after ``limit`` bytes."""
    taken = 0

    async def receive_counted() -> Received:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise too_large(limit)
        return message

    return receive_counted


async def allowed(request: Request, _: Annotated[str | None, Security(HEADER)] = None) -> Caller:
    """The caller, whose role is enough for the route that is asked; :class:`Access` saw to most of that already.

    Raises:
        HTTPException: no key was given (401), or one of a lesser role (403).
    """
    caller: Caller = request.scope["caller"]
    route: Any = request.scope["route"]
    refused = lacking(caller, NEEDS[request.method, route.path])
    if refused:
        raise HTTPException(refused.status, refused.detail)
    return caller
