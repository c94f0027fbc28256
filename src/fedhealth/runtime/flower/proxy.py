"""The only door of a server that other machines reach: TLS outside, and behind it what enrolled nodes need of Flower.

Flower serves its Control and Runtime APIs, which need no key, on the port of its Fleet API. So its SuperLink listens on
loopback, and this proxy passes on nothing but requests that a node makes, each by its exact path, from a key in the
book. Anything else ends here.
"""

import asyncio
import base64
import binascii
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import httpx
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER

from fedhealth.runtime.flower.book import Book, Listed, Refused
from fedhealth.runtime.flower.enrolment import NodeName, public_pem
from fedhealth.runtime.flower.environment import FlowerError, printable
from fedhealth.runtime.flower.pinned import ENROL, tls_context

# No registering (the book does that), and no fetching of code: nodes run the package that they installed.
PASSED = frozenset(
    f"/v1/fleet/{request}"
    for request in (
        "activate-node",
        "deactivate-node",
        "send-node-heartbeat",
        "pull-messages",
        "push-messages",
        "pull-object",
        "push-object",
        "confirm-message-received",
    )
)
LARGEST, LARGEST_ENROLMENT = 64 * 2**20, 16 * 2**10  # bytes of a request
DROPPED = {b"host", b"connection", b"content-length", b"transfer-encoding", b"accept-encoding"}
REPEATED = 60.0  # seconds after which a refusal is told again
MOST_TOLD = 1_000  # refusals that are told within that time

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _Asked(msgspec.Struct):
    node: NodeName
    node_key: str
    signing_key: str
    token: str


class _NotPassed(Exception):
    """A request that ends at the proxy, with an HTTP status; Flower's client gives up at once on 410."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class FleetProxy:
    """The ASGI application; see the top of this module."""

    def __init__(
        self, book: Book, superlink: str, ca: str, on_change: Callable[[], None], say: Callable[[str], None]
    ) -> None:
        """Set it up.

        Args:
            book: who is enrolled.
            superlink: its address (host:port).
            ca: whose certificate the SuperLink shows.
            on_change: called when the book was written to, so that Flower's own register can follow.
            say: gets the lines to log.
        """
        self._book, self._target, self._ca = book, f"https://{superlink}", ca
        self._on_change, self._say = on_change, say
        self._told: dict[str, float] = {}
        self._known: dict[str, Listed] = {}
        self._read_at = -1
        self._client: httpx.AsyncClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or start and stop."""
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        try:
            status, kind, body = await self._answer(scope, receive)
        except _NotPassed as error:
            self.tell(f"refused {(scope.get('client') or ('?',))[0]}: {error}")
            told = {"code": error.status, "detail": str(error), "refused": str(error)}
            status, kind, body = error.status, b"application/json", msgspec.json.encode(told)
        length = str(len(body)).encode()
        headers = [(b"content-type", kind), (b"content-length", length)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def tell(self, line: str) -> None:
        """Log a line, unless it was logged within the last minute. What others sent may be in it."""
        now, line = time.monotonic(), printable(line)
        if len(self._told) >= MOST_TOLD:
            self._told = {each: at for each, at in self._told.items() if now - at < REPEATED}
        if len(self._told) >= MOST_TOLD:
            return  # somebody means to flood the log
        if now - self._told.get(line, -REPEATED) >= REPEATED:
            self._told[line] = now
            self._say(line)

    async def _live(self, receive: Receive, send: Send) -> None:
        context = tls_context(self._ca)
        limits = httpx.Limits(keepalive_expiry=2.0)  # before the SuperLink closes an idle connection, after 5 s
        async with httpx.AsyncClient(verify=context, timeout=60.0, trust_env=False, limits=limits) as client:
            self._client = client
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes, bytes]:
        method, path = scope["method"], scope["path"]
        if method == "POST" and path == ENROL:
            return await self._enrol(await _body(receive, LARGEST_ENROLMENT))
        if method != "POST" or path not in PASSED:
            raise _NotPassed(404, f"{method} {path[:100]} is not open to nodes")
        await self._follow_book()
        with _refusing(410):
            self._of_key(_key(scope))
        return await self._pass_on(path, scope, await _body(receive, LARGEST))

    async def _enrol(self, body: bytes) -> tuple[int, bytes, bytes]:
        try:
            asked = msgspec.json.decode(body, type=_Asked)
            key = _canonical(asked.node_key)
            signing = bytes.fromhex(asked.signing_key)
        except (msgspec.DecodeError, ValueError, UnsupportedAlgorithm) as error:
            raise _NotPassed(400, f"an enrolment that cannot be read ({error})") from None
        if len(signing) != 32:
            raise _NotPassed(400, f"an enrolment with a signing key of {len(signing)} bytes; expected 32")
        with _refusing(403):
            new = self._book.welcome(asked.node, key, signing.hex(), asked.token)
        if new:
            await self._follow_book()
            self._say(f"{asked.node} enrolled")
        told = {"node": asked.node, **{name: version(name) for name in ("fedhealth", "flwr")}}
        return 200, b"application/json", msgspec.json.encode(told)

    async def _follow_book(self) -> None:
        """Forget what is known of the book, and tell, if it was written to."""
        try:
            written = self._book.path.stat().st_mtime_ns
        except OSError as error:
            raise _NotPassed(503, f"the server's book of nodes cannot be used ({error})") from None
        if written != self._read_at:
            self._known = {}
            await asyncio.to_thread(self._on_change)
            self._read_at = written  # only now: a register that could not follow is told again

    def _of_key(self, key: str) -> Listed:
        if key not in self._known:
            self._known[key] = self._book.of_key(key)
        return self._known[key]

    async def _pass_on(self, path: str, scope: Scope, body: bytes) -> tuple[int, bytes, bytes]:
        headers = [(name, value) for name, value in scope["headers"] if name not in DROPPED]
        headers.append((b"accept-encoding", b"identity"))
        assert self._client is not None
        try:
            response = await self._client.post(self._target + path, content=body, headers=headers)
        except httpx.TransportError as error:
            raise _NotPassed(
                503, f"Flower's SuperLink does not answer ({str(error) or type(error).__name__})"
            ) from None
        return response.status_code, response.headers.get("content-type", "").encode(), response.content


async def _body(receive: Receive, largest: int) -> bytes:
    body = bytearray()
    while True:
        piece = await receive()
        if piece["type"] == "http.disconnect":
            raise _NotPassed(400, "the connection broke within a request")
        body += piece.get("body", b"")
        if len(body) > largest:
            raise _NotPassed(413, f"a request of more than {largest:,} bytes")
        if not piece.get("more_body"):
            return bytes(body)


@contextmanager
def _refusing(status: int) -> Iterator[None]:
    """Answer with ``status`` where the book refuses a node, with 503 where the book itself cannot be used."""
    try:
        yield
    except Refused as error:
        raise _NotPassed(status, str(error)) from None
    except FlowerError as error:
        raise _NotPassed(503, str(error)) from None


def _key(scope: Scope) -> str:
    """The public key (PEM) that Flower's client signs its requests with; Flower itself checks the signature."""
    given = [value for name, value in scope["headers"] if name == FLEET_HTTP_PUBLIC_KEY_HEADER.encode()]
    if len(given) != 1:
        raise Refused(f"a request with {len(given)} keys; expected one")
    try:
        return base64.b64decode(given[0], validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise Refused("a request with a key that cannot be read") from None


def _canonical(pem: str) -> str:
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ValueError("the node's key is not ECDSA on P-384")
    return public_pem(key)
