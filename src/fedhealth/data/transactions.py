"""SQLite files that several processes write to."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def transaction(path: Path, *tables: str) -> Iterator[sqlite3.Connection]:
    """A transaction that no other process shares, on disk when the block ends without an error, and else undone.

    Args:
        path: the file; it and its folder are made when missing.
        tables: ``CREATE TABLE IF NOT EXISTS`` of each table.

    Raises:
        sqlite3.Error, OSError: the file cannot be used, or another process holds it for more than 30 s.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    store = sqlite3.connect(path, timeout=30.0, isolation_level=None)
    try:
        store.execute("PRAGMA synchronous = FULL")
        store.execute("BEGIN IMMEDIATE")
        for table in tables:
            store.execute(table)
        yield store
        store.execute("COMMIT")
    finally:
        store.close()  # what was not committed is undone
