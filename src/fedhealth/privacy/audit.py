"""A node's record of everything that left it: one JSON line per contribution, chained by hashes.

Every line carries the SHA-256 of the line before it and of itself (as in Haber & Stornetta 1991), so that a line that
is changed, removed, added or moved breaks the chain. That lines were cut off at the end shows only against a hash that
was noted before.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from fedhealth.federation import Contribution

START = "0" * 64  # what the first line follows
TAIL = 65_536  # bytes from the end that surely hold the last line


class AuditError(Exception):
    """An audit log that was tampered with or damaged; the message names file, line and what to do."""


def append(path: Path, node: str, study_hash: str, step: str, contribution: Contribution) -> None:
    """Append one line and wait until it is on disk: when, study, step, over how many rows, the arrays' shapes, bytes.

    Raises:
        AuditError: the log does not end with a whole line of its own; nothing is written.
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as log, _alone(log):
        line = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "node": node,
            "study": study_hash,
            "step": step,
            "rows": contribution.rows,
            "arrays": {name: list(array.shape) for name, array in contribution.sums.items()},
            "bytes": sum(array.nbytes for array in contribution.sums.values()),
            "previous": _last_hash(log, path),
        }
        log.write(json.dumps({**line, "hash": _hash(line)}).encode() + b"\n")
        log.flush()
        os.fsync(log.fileno())


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log, each checked against the one before.

    Raises:
        AuditError: there is no log, or at its first line that is damaged, was changed, or follows another one.
        OSError: the log cannot be read.
    """
    if not path.is_file():
        raise AuditError(f"{path}: no such log; nothing left this node, or its log lies elsewhere (--runs, --data)")
    previous = START
    with path.open("rb") as log:
        for number, text in enumerate(log, start=1):
            line = _parse(text)
            if line is None:
                raise AuditError(f"{path}: line {number} is damaged: it is no whole entry")
            if line["hash"] != _hash({key: value for key, value in line.items() if key != "hash"}):
                raise AuditError(f"{path}: line {number} was changed: its content does not give its hash")
            if line["previous"] != previous:
                raise AuditError(
                    f"{path}: line {number} does not follow line {number - 1}: lines were removed, added or moved there"
                )
            previous = line["hash"]
            yield line


def _parse(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text) if text.endswith(b"\n") else None
    except ValueError:
        return None
    return line if isinstance(line, dict) and {"hash", "previous"} <= line.keys() else None


def _hash(line: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(line, sort_keys=True).encode()).hexdigest()


def _last_hash(log: IO[bytes], path: Path) -> str:
    size = log.seek(0, os.SEEK_END)
    if not size:
        return START
    log.seek(max(0, size - TAIL))
    line = _parse(log.read().splitlines(keepends=True)[-1])
    if line is None:
        raise AuditError(
            f"{path}: the last line is no whole entry, so nothing may leave; look at it (fedhealth node audit verify), "
            "then move the file away to begin a new log"
        )
    return str(line["hash"])


@contextmanager
def _alone(log: IO[bytes]) -> Iterator[None]:
    """Keep other processes of this node from appending at the same time (where the system can)."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(log, fcntl.LOCK_EX)  # ends when the file is closed
    yield
