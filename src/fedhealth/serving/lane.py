"""The fast lane: well-formed requests for risks are answered by the protocol, before the framework sees them.

A risk takes microseconds; the task, the messages and the header by header response that lie between a server and its
ASGI application take longer. Everything that is not a plain request with a well-formed body goes on to the ordinary
route of the same path, which keeps the description, the refusals and all conventions. Both take their answers from
:mod:`fedhealth.serving.person` and :class:`fedhealth.serving.predictor.Predictor`.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fedhealth.keys import Role
from fedhealth.serving.access import NEEDS, Admission, lacking
from fedhealth.serving.metrics import HEADERS, Figures
from fedhealth.serving.models import Models
from fedhealth.serving.person import Answer
from fedhealth.serving.predictor import Predictor

MAX_PERSON_BODY = 64 * 1024  # bytes; a batch of no more is answered here too, a larger one beside other requests
ALWAYS = ((b"content-type", b"application/json"), *HEADERS)
Headers = list[tuple[bytes, bytes]]


class Kind(NamedTuple):
    """What is asked for under one path, by callers of at least ``role``."""

    path: str
    role: Role | None
    answer: Callable[[Predictor, bytes], bytes | None]


class FastLane:
    """What is answered at once: ``POST`` to the paths of ``answers``, and batches."""

    def __init__(self, models: Models, answers: Mapping[str, Answer], access: Admission, figures: Figures) -> None:
        self.models = models
        self.access = access
        self.figures = figures
        quick = {path: _of_one(answer) for path, answer in answers.items()}
        quick["/predict/batch"] = Predictor.answer_batch_at_once
        self.kinds = {path.encode(): Kind(path, NEEDS["POST", path], answer) for path, answer in quick.items()}
        self._usual: Headers | None = None
        self._head = b""

    def admits(self, kind: Kind, scope: Scope) -> bool:
        """Whether the caller may ask for this; if it is clear who that is, count the request, and note it in ``scope``.

        Wrong keys, and whom a proxy speaks for, are left to the application.
        """
        if not self.access.is_clear(scope):
            return False
        return self.access.admit(scope) is None and not lacking(scope["caller"], kind.role)

    def answer(self, kind: Kind, body: bytes) -> bytes | None:
        """The answer's body; None where the ordinary route is to say what is wrong, or takes its time."""
        predictor: Predictor | None = self.models.state().predictor
        if predictor is None:
            return None
        try:
            return kind.answer(predictor, body)
        except Exception:  # the framework meets it again, logs it, and has a word for it
            return None

    def response(self, usual: Headers, body: bytes) -> bytes:
        """The whole response with the server's ``usual`` headers, whose list is another one once they change."""
        if usual is not self._usual:
            lines = [b"%s: %s\r\n" % header for header in (*usual, *ALWAYS)]
            self._usual, self._head = usual, b"HTTP/1.1 200 OK\r\n" + b"".join(lines)
        return b"%scontent-length: %d\r\n\r\n%s" % (self._head, len(body), body)


class QuickProtocol(HttpToolsProtocol):
    """uvicorn's protocol with ``lane`` before it; what it takes from the inside of uvicorn, test_lane.py guards."""

    def __init__(self, *, lane: FastLane, **given: Any) -> None:
        super().__init__(**given)
        self._lane = lane
        self._kind: Kind | None = None  # of the request that is to be answered here
        self._body = bytearray()  # what has come of it
        self._started = 0.0

    def on_headers_complete(self) -> None:
        """Take the request, or hand it on."""
        self._unset_keepalive_if_required()  # it may have come together with one that was just answered
        kind = self._lane.kinds.get(self.url)
        if kind and self._is_plain() and self._lane.admits(kind, self.scope):  # type: ignore[arg-type]
            self._kind, self._body, self._started = kind, bytearray(), time.perf_counter()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body, or hand on what has grown too long."""
        if self._kind is None:
            return super().on_body(body)
        self._body += body
        if len(self._body) > MAX_PERSON_BODY:
            self._hand_on()

    def on_message_complete(self) -> None:
        """Answer, or let the application answer."""
        kind = self._kind
        if kind is None:
            return super().on_message_complete()
        found = self._lane.answer(kind, bytes(self._body))
        if found is None:
            self._hand_on()
            return super().on_message_complete()
        self._kind = None
        self.transport.write(self._lane.response(self.server_state.default_headers, found))
        self._lane.figures.note(kind.path, 200, time.perf_counter() - self._started)
        self.on_response_complete()

    def shutdown(self) -> None:
        """Stop when what is under way is answered, also a request of which the body is still coming."""
        if self._kind is not None:
            self._hand_on()
        super().shutdown()

    def _is_plain(self) -> bool:
        """Whether nothing but the body is left to be seen to, and the connection is free for the next request."""
        return (
            self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
            and (self.cycle is None or self.cycle.response_complete)  # type: ignore[redundant-expr]
        )

    def _hand_on(self) -> None:
        self._kind = None
        super().on_headers_complete()
        super().on_body(bytes(self._body))


def _of_one(answer: Answer) -> Callable[[Predictor, bytes], bytes | None]:
    def answer_quickly(predictor: Predictor, body: bytes) -> bytes | None:
        values = predictor.body.parse_quickly(body)
        return None if values is None else answer(predictor, values)

    return answer_quickly
