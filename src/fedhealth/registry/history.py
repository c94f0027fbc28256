"""The append-only history of ``models/``: one signed JSON line per change, each with the SHA-256 of the line before.

A line that is changed, removed, added or moved breaks the chain (Haber & Stornetta 1991); that lines were cut off at
the end shows where the model that is served is not the last one promoted.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from fedhealth.registry.bundle import BundleError
from fedhealth.registry.signing import HISTORY, check, load_signing_key, sign

FILE = "history.jsonl"
START = "0" * 64  # what the first line follows


@contextmanager
def changing(models: Path) -> Iterator[IO[bytes]]:
    """The history, opened to append to while nobody else changes ``models`` and nobody loads from it."""
    models.mkdir(parents=True, exist_ok=True)
    with (models / FILE).open("a+b") as log:
        _lock(log, exclusive=True)
        yield log


@contextmanager
def undisturbed(models: Path) -> Iterator[bool]:
    """Whether nobody is changing ``models`` just now; while the block lasts nobody can, where the system has locks."""
    try:
        log = (models / FILE).open("rb")
    except OSError:  # nobody ever changed it, or it is not ours to read: then it cannot be locked
        yield True
        return
    with log:
        yield _lock(log, exclusive=False)


def _lock(log: IO[bytes], exclusive: bool) -> bool:
    """Lock until the file is closed: wait for it if ``exclusive``, else tell at once whether it could be had."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(log, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def append(log: IO[bytes], entry: Mapping[str, Any]) -> None:
    """Sign ``entry``, append it to the history that :func:`changing` opened, and wait until it is on disk.

    Raises:
        BundleError: a line is broken; nothing is written.
    """
    log.seek(0)
    lines = log.read().splitlines()
    list(_checked(lines, str(log.name)))
    line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), **entry, "previous": _digest(lines)}
    log.write(json.dumps(sign(HISTORY, line, load_signing_key()), ensure_ascii=False).encode() + b"\n")
    log.flush()
    os.fsync(log.fileno())


def history(models: Path) -> list[dict[str, Any]]:
    """All changes, oldest first.

    Raises:
        BundleError: a line was changed, removed, added or moved, or was not signed by a trusted key; names it.
    """
    path = models / FILE
    return list(_checked(path.read_bytes().splitlines(), str(path))) if path.is_file() else []


def _checked(lines: list[bytes], place: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        here = f"{place}: line {number}"
        entry = _parse(line, here)
        if entry.get("previous") != _digest(lines[: number - 1]):
            raise BundleError(f"{here} does not follow line {number - 1}: lines were removed, added, moved or changed")
        check(HISTORY, entry, here)
        yield entry


def _digest(lines: list[bytes]) -> str:
    return sha256(lines[-1]).hexdigest() if lines else START


def _parse(line: bytes, here: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise BundleError(
            f"{here} is no whole entry; look at it, then move the file away: promoting begins a new history"
        )
    return entry
