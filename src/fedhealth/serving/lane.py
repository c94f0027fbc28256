"""The fast lane: well-formed requests for risks are answered before the framework sees them.

Everything else, every body with something wrong included, goes on to the ordinary route of the same path, which keeps
the description, the refusals and all conventions. Both take their answers from :mod:`fedhealth.serving.person` and
:class:`fedhealth.serving.predictor.Predictor`.
"""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedhealth.keys import Role
from fedhealth.serving.access import NEEDS, Admission, lacking
from fedhealth.serving.metrics import HEADERS, Figures
from fedhealth.serving.models import Models
from fedhealth.serving.person import Answer
from fedhealth.serving.predictor import Predictor

MAX_BODY = 64 * 1024  # bytes
AT_ONCE = 256 * 1024  # bytes of a batch; larger ones are worked on beside other requests
ALWAYS = ((b"content-type", b"application/json"), *HEADERS)


class Lane(NamedTuple):
    """What is answered at once under one path: to callers of at least ``role``, bodies of up to ``most`` bytes."""

    role: Role | None
    most: int
    answer: Callable[[Predictor, bytes], bytes | None]


class FastLane:
    """ASGI middleware around the whole framework: answers ``POST`` to the paths of ``answers``, and batches, itself."""

    def __init__(
        self, app: ASGIApp, models: Models, answers: Mapping[str, Answer], access: Admission, figures: Figures
    ) -> None:
        self.app = app
        self.models = models
        self.access = access
        self.figures = figures
        self.lanes = {path: Lane(NEEDS["POST", path], MAX_BODY, _of_one(answer)) for path, answer in answers.items()}
        self.lanes["/predict/batch"] = Lane(NEEDS["POST", "/predict/batch"], AT_ONCE, Predictor.answer_batch_at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        lane = self.lanes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if lane is None or self.access.admit(scope) is not None or lacking(scope["caller"], lane.role):
            return await self.app(scope, receive, send)
        started, message = time.perf_counter(), await receive()
        taken, body = [message], message.get("body", b"")
        while message.get("more_body") and len(body) <= lane.most:
            taken.append(message := await receive())
            body += message.get("body", b"")
        found = None if message.get("more_body") or len(body) > lane.most else self._answer(lane, body)
        if found is None:
            return await self.app(scope, _again(taken, receive), send)
        length = (b"content-length", b"%d" % len(found))
        await send({"type": "http.response.start", "status": 200, "headers": [length, *ALWAYS]})
        await send({"type": "http.response.body", "body": found})
        self.figures.note(scope["path"], 200, time.perf_counter() - started)

    def _answer(self, lane: Lane, body: bytes) -> bytes | None:
        predictor: Predictor | None = self.models.state().predictor
        if predictor is None:
            return None
        try:
            return lane.answer(predictor, body)
        except Exception:  # the framework meets it again, logs it, and has a word for it
            return None


def _of_one(answer: Answer) -> Callable[[Predictor, bytes], bytes | None]:
    def answer_quickly(predictor: Predictor, body: bytes) -> bytes | None:
        values = predictor.body.parse_quickly(body)
        return None if values is None else answer(predictor, values)

    return answer_quickly


def _again(taken: list[Message], receive: Receive) -> Receive:
    """``receive`` for who comes next: the messages that were taken, then those that follow."""
    waiting = taken[::-1]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message
