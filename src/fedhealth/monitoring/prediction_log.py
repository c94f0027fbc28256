"""Predictions are noted by a thread of their own, so that answering never waits for the store."""

import logging
import queue
import threading
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert

from fedhealth.monitoring.store import Store, StoreError
from fedhealth.monitoring.tables import Prediction

ROOM = 10_000  # notes that wait at most
BATCH = 500
logger = logging.getLogger(__name__)


class PredictionLog:
    """Notes predictions in ``store``. What the store cannot take is dropped, counted, and logged once per outage."""

    def __init__(self, store: Store) -> None:
        self.dropped = 0
        self._store = store
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue(ROOM)
        self._down = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def note(self, model_version: str, risk: float, missing: int) -> None:
        """Note one prediction, soon; returns at once."""
        row = {"time": datetime.now(UTC), "model_version": model_version, "risk": risk, "missing": missing}
        try:
            self._waiting.put_nowait(row)
        except queue.Full:
            self._drop(1, "more predictions than the store takes")
        if self._thread is None:
            self._start()

    @property
    def waiting(self) -> int:
        """How many notes wait to be written."""
        return self._waiting.qsize()

    def close(self) -> None:
        """Write what is waiting, then stop."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread:
            self._waiting.put(None)
            thread.join()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        open_ = True
        while open_:
            rows, open_ = self._take()
            if rows:
                self._write(rows)

    def _take(self) -> tuple[list[dict[str, Any]], bool]:
        """Wait for a note, then take those that wait with it; False when the log is closed."""
        rows: list[dict[str, Any]] = []
        found = self._waiting.get()
        while found is not None:
            rows.append(found)
            if len(rows) == BATCH or self._waiting.empty():
                return rows, True
            found = self._waiting.get()
        return rows, False

    def _write(self, rows: list[dict[str, Any]]) -> None:
        try:
            with self._store.session() as session:
                session.execute(insert(Prediction), rows)
            self._down = False
        except StoreError as error:
            self._drop(len(rows), str(error))

    def _drop(self, count: int, reason: str) -> None:
        self.dropped += count
        if not self._down:
            self._down = True
            logger.warning("predictions are answered but not noted: %s", reason)
