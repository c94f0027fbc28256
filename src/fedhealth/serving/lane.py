"""The fast lane: well-formed requests about one person are answered before the framework sees them.

Everything else, every body with something wrong included, goes on to the ordinary route of the same path, which keeps
the description, the refusals and all conventions. Both take their answers from :mod:`fedhealth.serving.person`.
"""

import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedhealth.serving.access import Admission
from fedhealth.serving.metrics import HEADERS, Figures
from fedhealth.serving.models import Models
from fedhealth.serving.person import Answer
from fedhealth.serving.predictor import Predictor

MAX_BODY = 64 * 1024  # bytes
ALWAYS = ((b"content-type", b"application/json"), *HEADERS)


class FastLane:
    """ASGI middleware around the whole framework: answers ``POST`` to the paths of ``answers`` itself where it can."""

    def __init__(
        self, app: ASGIApp, models: Models, answers: Mapping[str, Answer], access: Admission, figures: Figures
    ) -> None:
        self.app = app
        self.models = models
        self.answers = answers
        self.access = access
        self.figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        answer = self.answers.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if answer is None or self.access.admit(scope) is not None:
            return await self.app(scope, receive, send)
        started, message = time.perf_counter(), await receive()
        found = self._answer(answer, message)
        if found is None:
            return await self.app(scope, _again(message, receive), send)
        length = (b"content-length", b"%d" % len(found))
        await send({"type": "http.response.start", "status": 200, "headers": [length, *ALWAYS]})
        await send({"type": "http.response.body", "body": found})
        self.figures.note(scope["path"], 200, time.perf_counter() - started)

    def _answer(self, answer: Answer, message: Message) -> bytes | None:
        predictor: Predictor | None = self.models.state().predictor
        body = message.get("body", b"")
        if predictor is None or message.get("more_body") or len(body) > MAX_BODY:
            return None
        try:
            values = predictor.body.parse_quickly(body)
            return None if values is None else answer(predictor, values)
        except Exception:  # the framework meets it again, logs it, and has a word for it
            return None


def _again(first: Message, receive: Receive) -> Receive:
    """``receive`` for who comes next: the message that was taken, then those that follow."""
    waiting = [first]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message
