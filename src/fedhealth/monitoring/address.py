"""Where the store is."""

import os
from pathlib import Path

DEFAULT_FILE = Path(".fedhealth/fedhealth.db")
KINDS = ("sqlite", "postgresql", "postgres")


def store_url() -> str:
    """Where the store is: ``DATABASE_URL``, else SQLite in ``.fedhealth/fedhealth.db`` in the working directory."""
    return os.environ.get("DATABASE_URL") or f"sqlite:///{DEFAULT_FILE}"


def check_url(url: str) -> None:
    """Raise ValueError, in words without any password, where ``url`` names neither SQLite nor PostgreSQL."""
    kind, found, _ = url.partition("://")
    if not found or kind.partition("+")[0] not in KINDS:
        got = repr(kind) if found else "no database address"
        raise ValueError(f"DATABASE_URL: got {got}; expected postgresql://… or sqlite:///…")
