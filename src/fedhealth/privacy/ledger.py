"""A node's ledger: what every noisy answer over its rows has cost, over all jobs, beside the owner's limit.

Costs are mu of Gaussian differential privacy and add up as squares (:mod:`fedhealth.privacy.accounting`). An answer's
cost is reserved, on disk, before it may leave, and settled once it is out. What was reserved and never settled
(the process was killed) counts as spent: nobody can know that it did not leave. The latest answers are kept as they
left, noise and all, so that a run that was interrupted and asks the same again gets the same, and pays once. Noise for
the same question is never drawn a second time: a server that got one node's share anew and another's as before could
average the first away.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import sqrt
from pathlib import Path

from fedhealth.data.transactions import transaction
from fedhealth.privacy.accounting import epsilon_of
from fedhealth.privacy.policy import PolicyRefusal

_TABLE = """CREATE TABLE IF NOT EXISTS answers (
    number INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    study TEXT NOT NULL,
    step TEXT NOT NULL,
    mu REAL NOT NULL CHECK (mu > 0),
    settled INTEGER NOT NULL DEFAULT 0
)"""
_KEPT = """CREATE TABLE IF NOT EXISTS questions (
    number INTEGER PRIMARY KEY, question BLOB NOT NULL UNIQUE, rows BLOB NOT NULL, answer BLOB
)"""
_LATEST = 64  # answers that are kept
_LEAST = 1e-9  # of epsilon: less is rounding


@dataclass(frozen=True)
class Spent:
    """What one study has cost a node: answers, how many of them were never settled, mu of all together."""

    study: str
    answers: int
    unsettled: int
    mu: float
    last: str


@dataclass(frozen=True)
class Ledger:
    """The ledger of ``node`` in an SQLite file; ``epsilon`` at ``delta`` is the limit for its whole life."""

    node: str
    path: Path
    epsilon: float
    delta: float

    def reserve(self, study_hash: str, step: str, mu: float, kept: tuple[bytes, bytes, bytes] | None = None) -> int:
        """Write the cost of an answer down before it leaves; give its number.

        ``kept`` is a question, the rows that it is about and the answer, for when the question comes again.

        Raises:
            PolicyRefusal: the limit does not allow it, or the ledger cannot be written (it fails closed).
        """
        with self._open(f"step {step!r}") as store:
            before = _mu(store)
            after = epsilon_of(sqrt(before**2 + mu**2), self.delta)
            if after > self.epsilon + _LEAST:
                spent = epsilon_of(before, self.delta)
                raise PolicyRefusal(
                    f"{self.node} refused step {step!r} of study {study_hash[:12]}: it asked for epsilon "
                    f"{epsilon_of(mu, self.delta):.4g}, which would make {after:.4g} in all; its owner's limit is "
                    f"{self.epsilon:g} at delta {self.delta:g}, {spent:.4g} are spent, "
                    f"{max(self.epsilon - spent, 0.0):.4g} are left"
                )
            now = datetime.now(UTC).isoformat(timespec="seconds")
            rows = "INSERT INTO answers (time, study, step, mu) VALUES (?, ?, ?, ?)"
            number = int(store.execute(rows, (now, study_hash, step, mu)).lastrowid or 0)
            if kept:
                store.execute("INSERT INTO questions VALUES (?, ?, ?, ?)", (number, *kept))
                store.execute("UPDATE questions SET answer = NULL WHERE number <= ?", (number - _LATEST,))
            return number

    def kept(self, question: bytes, rows: bytes) -> tuple[int, bytes] | None:
        """The number and the answer of ``question``, which was paid for before; None if it is new.

        Raises:
            PolicyRefusal: it was asked before and cannot be answered alike: of other rows, or too long ago.
        """
        with self._open("a look") as store:
            found = store.execute(
                "SELECT number, rows, answer FROM questions WHERE question = ?", (question,)
            ).fetchone()
        if not found:
            return None
        if found[1] != rows or found[2] is None:
            why = "its answer is no longer kept" if found[1] == rows else "of other rows than are here now"
            raise PolicyRefusal(
                f"{self.node} refused a question that was answered before, {why}; other noise would take the first "
                "off: start the run anew, without --resume"
            )
        return int(found[0]), bytes(found[2])

    def settle(self, number: int) -> None:
        """Note that the answer is out."""
        with self._open("a settlement") as store:
            store.execute("UPDATE answers SET settled = 1 WHERE number = ?", (number,))

    def spent(self) -> float:
        """The epsilon, at the ledger's delta, of all answers together."""
        with self._open("a look") as store:
            return epsilon_of(_mu(store), self.delta)

    def studies(self) -> list[Spent]:
        """What each study has cost, the latest last."""
        with self._open("a look") as store:
            rows = store.execute(
                "SELECT study, count(*), sum(1 - settled), sum(mu * mu), max(time) FROM answers "
                "GROUP BY study ORDER BY max(number)"
            )
            return [
                Spent(study, count, unsettled, sqrt(square), last) for study, count, unsettled, square, last in rows
            ]

    @contextmanager
    def _open(self, purpose: str) -> Iterator[sqlite3.Connection]:
        try:
            with transaction(self.path, _TABLE, _KEPT) as store:
                yield store
        except (sqlite3.Error, OSError) as error:
            raise PolicyRefusal(
                f"{self.node} refused {purpose}: its ledger {self.path} cannot be used ({error}); nothing may leave "
                "before it can"
            ) from None


def ledger_file(data: Path, node: str) -> Path:
    """Where the ledger of ``node`` is: beside the table whose rows it guards."""
    return data / f"{node}.ledger.sqlite"


def _mu(store: sqlite3.Connection) -> float:
    return sqrt(store.execute("SELECT coalesce(sum(mu * mu), 0) FROM answers").fetchone()[0])
