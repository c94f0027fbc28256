"""What is over the store is loaded once the API answers for single people: that halves the time to the first answer."""

import gc
import threading
from collections.abc import Callable

from fastapi.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

AT_ONCE = {"/predict", "/explain", "/advice", "/predict/batch", "/model", "/health", "/ready", "/metrics"}

SELDOM = 50_000  # objects more than before
A_MOMENT = 0.3  # seconds after the start, so that the first answers do not wait


class Loading:
    """Runs ``load`` once, in a thread of its own or by who needs it first; an app may start and stop again."""

    def __init__(self, load: Callable[[], None]) -> None:
        self.done = False
        self._load = load
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def start(self) -> None:
        """Begin in a moment; returns at once."""
        if not self.done:
            self._timer = threading.Timer(A_MOMENT, self._settle)
            self._timer.daemon = True
            self._timer.start()

    def stop(self) -> None:
        """Do not begin any more, or let it come to its end."""
        if self._timer:
            self._timer.cancel()
        with self._lock:
            self._timer = None

    def _settle(self) -> None:
        """Load; what is there then stays, so the garbage collector need not look at it after every few requests.

        Requests leave little for it: it looks for the rest less often.
        """
        self.wait()
        gc.collect()
        gc.freeze()
        gc.set_threshold(SELDOM)

    def wait(self) -> None:
        """Return when it is done."""
        with self._lock:
            if not self.done:
                self._load()
                self.done = True


class Later:
    """ASGI middleware: requests for what is still being loaded wait for it; the others go on."""

    def __init__(self, app: ASGIApp, loading: Loading) -> None:
        self.app = app
        self.loading = loading

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, now or soon."""
        if scope["type"] == "http" and not self.loading.done and scope["path"] not in AT_ONCE:
            await run_in_threadpool(self.loading.wait)
        await self.app(scope, receive, send)
