"""Predictions are noted by a thread of their own, so that answering never waits for the store."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedhealth.monitoring.store import Store

ROOM = 50_000  # notes that wait at most
EVERY = 0.25  # seconds between two writings: no more is lost when the process is killed
Note = tuple[str, float, int]
logger = logging.getLogger(__name__)


class PredictionLog:
    """Notes predictions in the store, which is opened with the first.

    What there is no room for is shed and counted, and logged once per outage.
    """

    def __init__(self, store: "Callable[[], Store]") -> None:
        self.dropped = 0
        self._store = store
        self._notes: deque[Note] = deque()
        self._down = False
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._lock = threading.Lock()

    def note(self, model_version: str, risk: float, missing: int) -> None:
        """Note one prediction, soon; returns at once."""
        if len(self._notes) >= ROOM:
            self._drop(1, "more predictions than the store takes")
            return
        self._notes.append((model_version, risk, missing))
        if self._thread is None:
            self._start()

    @property
    def waiting(self) -> int:
        """How many notes wait to be written."""
        return len(self._notes)

    def close(self) -> None:
        """Write what is waiting, then stop."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread:
            self._closing.set()
            thread.join()
            self._closing.clear()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closing.wait(EVERY):
            self._write()
        self._write()

    def _write(self) -> None:
        notes = [self._notes.popleft() for _ in range(len(self._notes))]
        if not notes:
            return
        from fedhealth.monitoring.store import note_predictions

        try:
            with self._store().session() as session:
                note_predictions(session, datetime.now(UTC), notes)
            self._down = False
        except Exception as error:  # whatever it is, the next notes are to be tried
            self._drop(len(notes), str(error) or type(error).__name__)

    def _drop(self, count: int, reason: str) -> None:
        self.dropped += count
        if not self._down:
            self._down = True
            logger.warning("predictions are answered but not noted: %s", reason)
