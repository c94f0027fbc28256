"""A run's journal: every step's answers are on disk before the next step, so that a killed run goes on where it was.

Training is a function of its settings and of the answers it gets. A resumed run replays the answers of the journal,
which gives the very same parameters, and asks the nodes only what is not there yet.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedhealth.data.transactions import transaction
from fedhealth.federation import Contribution, Exchange, State, packing
from fedhealth.federation.packing import Packed

FILE, SETTINGS = "journal.sqlite", "settings.json"
_TABLE = """CREATE TABLE IF NOT EXISTS steps (
    number INTEGER PRIMARY KEY, step TEXT NOT NULL, digest BLOB NOT NULL, answers BLOB NOT NULL
)"""


class JournalError(Exception):
    """A run cannot be resumed, or not be written down; the message says why and what to do."""


@dataclass
class Journal:
    """The journal of one run in a folder of its own, ``RUNS/started/RUN``."""

    folder: Path
    replayed: int = 0
    _number: int = 0
    _held: int | None = None

    @property
    def run(self) -> str:
        """What the run is called."""
        return self.folder.name

    @classmethod
    def begin(cls, runs: Path, settings: Mapping[str, Any]) -> "Journal":
        """A new run's journal; what else was begun under ``runs`` stays."""
        now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        folder = runs / "started" / f"{now}-{settings['study']}-{secrets.token_hex(2)}"
        folder.mkdir(parents=True)
        (folder / SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        return cls(folder, _held=_hold(folder))

    @classmethod
    def resume(cls, runs: Path, settings: Mapping[str, Any]) -> "Journal":
        """The journal of the latest unfinished run with just these settings.

        Raises:
            JournalError: there is none, or it is still going; the message names those with other settings, and what
                differs.
        """
        others = []
        for path in sorted(runs.glob(f"started/*/{FILE}"), reverse=True):
            known = json.loads((path.parent / SETTINGS).read_text(encoding="utf-8"))
            differ = [name for name in {**known, **settings} if known.get(name) != settings.get(name)]
            if not differ:
                return cls(path.parent, _held=_hold(path.parent))
            others.append(f"{path.parent.name} ({_differences(differ, known, settings)})")
        found = f"; unfinished with other settings: {'; '.join(others)}" if others else ""
        raise JournalError(f"--resume: no unfinished run with these settings in {runs / 'started'}{found}")

    def exchange(self, inner: Exchange) -> Exchange:
        """``inner``, with every answer written down, and what was written down before not asked again."""

        def recorded(step: str, state: State) -> Mapping[str, Contribution]:
            self._number += 1
            asked = packing.digest(state)
            with self._open() as store:
                kept = store.execute("SELECT step, digest, answers FROM steps WHERE number = ?", (self._number,))
                line = kept.fetchone()
            if line:
                if (line[0], line[1]) != (step, asked):
                    raise JournalError(
                        f"{self.run}: step {self._number} was {line[0]!r}, and is {step!r} now, or asks something "
                        "else: program or data changed since; start anew without --resume"
                    )
                self.replayed += 1
                return {name: one.contribution() for name, one in packing.decode(line[2], dict[str, Packed]).items()}
            replies = inner(step, state)
            answers = packing.encode({name: Packed.of(reply) for name, reply in replies.items()})
            with self._open() as store:
                store.execute("INSERT INTO steps VALUES (?, ?, ?, ?)", (self._number, step, asked, answers))
            return replies

        return recorded

    def finish(self) -> None:
        """Forget the answers: the run is finished."""
        (self.folder / FILE).unlink(missing_ok=True)

    def release(self) -> None:
        """Let others resume the run; the end of its process does so too."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with transaction(self.folder / FILE, _TABLE) as store:
                yield store
        except (sqlite3.Error, OSError) as error:
            raise JournalError(
                f"{self.folder / FILE} cannot be written ({error}); make room, then run the same command with --resume"
            ) from None


def _hold(folder: Path) -> int:
    """The run's settings, open and locked until the run's process ends, so that no other goes on with it meanwhile."""
    import fcntl

    held = os.open(folder / SETTINGS, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise JournalError(f"{folder.name} is still going in another process; end that one first, or wait") from None
    return held


def _differences(names: list[str], known: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {known.get(name)} instead of {settings.get(name)}" for name in names)
