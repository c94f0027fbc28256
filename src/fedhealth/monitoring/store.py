"""The store: readings, predictions and alerts in SQLite, or in PostgreSQL where ``DATABASE_URL`` says so."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine, create_engine, delete, event, false, make_url, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

from fedhealth.monitoring.address import check_url, store_url
from fedhealth.monitoring.migrations import TooNew, migrate
from fedhealth.monitoring.tables import Consent, Reading, UtcTime

CREATE_LOCK = 7_391_204  # any number: PostgreSQL lets one process at a time create tables under it


class StoreError(OSError):
    """The store cannot be used; the message says why, without any password."""


class Store:
    """The database at ``url``; connected to, and its tables created, when it is first used.

    Raises:
        StoreError: ``url`` is not one of SQLite or PostgreSQL.
    """

    def __init__(self, url: str | None = None) -> None:
        self.url = _parsed(url or store_url())
        self._engine = _engine(self.url)
        self._prepared = False
        self._lock = threading.Lock()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction: committed at the end of the block, undone if the block fails.

        Raises:
            StoreError: the database is away, or refuses.
        """
        try:
            self._prepare()
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                yield session
        except (SQLAlchemyError, OSError, TooNew) as error:
            raise StoreError(f"the store at {self.name} cannot be used: {_cause(error)}") from error

    @property
    def name(self) -> str:
        """The store's address without its password."""
        return self.url.render_as_string(hide_password=True)

    def forget(self) -> None:
        """Let nothing that was deleted stay in SQLite's log; PostgreSQL vacuums by itself.

        Raises:
            StoreError: the database is away, or somebody reads for so long that the log has to stay.
        """
        if self.url.get_backend_name() == "sqlite":
            with self.session() as session:
                busy = session.connection().exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
            if busy:
                raise StoreError(
                    f"the store at {self.name} is being read: its log still has what was deleted; ask again"
                )

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _prepare(self) -> None:
        with self._lock:
            if self._prepared:
                return
            if self.url.get_backend_name() == "sqlite" and self.url.database:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            with self._engine.begin() as connection:
                if self.url.get_backend_name() == "postgresql":
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({CREATE_LOCK})")
                else:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                migrate(connection)
            self._prepared = True


def consents_stay(session: Session) -> None:
    """Until the transaction ends nobody changes a consent or is erased, so what was asked of consents stays true."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("LOCK TABLE consents IN SHARE MODE"))
    else:
        session.execute(delete(Consent).where(false()))  # from here on SQLite lets nobody else write


def add_readings(session: Session, rows: Sequence[dict[str, Any]]) -> int:
    """Store rows (by column name) whose ``id`` is not stored yet; how many those were."""
    by_id = {row["id"]: row for row in rows}
    known = set(session.scalars(select(Reading.id).where(Reading.id.in_(by_id))))
    fresh = [row for name, row in by_id.items() if name not in known]
    if fresh:
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        session.execute(dialect.insert(Reading).on_conflict_do_nothing(), fresh)
    return len(fresh)


# One statement for all notes: the driver lets other threads in after every statement, which costs more than the row.
NOTE = {
    "sqlite": (
        "INSERT INTO predictions (time, model_version, risk, missing) SELECT ?, json_extract(value, '$[0]'), "
        "json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?)"
    ),
    "postgresql": (
        "INSERT INTO predictions (time, model_version, risk, missing) SELECT %s, note ->> 0, (note ->> 1)::float8, "
        "(note ->> 2)::int FROM json_array_elements(%s::json) AS note"
    ),
}


def note_predictions(session: Session, time: datetime, notes: Sequence[tuple[str, float, int]]) -> None:
    """Note predictions made at about ``time``: model, risk, number of missing features."""
    connection = session.connection()
    convert = UtcTime().bind_processor(connection.dialect)
    moment = convert(time) if convert else time
    connection.exec_driver_sql(NOTE[connection.dialect.name], (moment, msgspec.json.encode(notes).decode()))


def _parsed(address: str) -> URL:
    try:
        check_url(address)
        url = make_url(address)
    except (ValueError, ArgumentError) as error:
        raise StoreError(str(error)) from None
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgres", "postgresql") else url


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 5})
    engine = create_engine(url, connect_args={"timeout": 10})
    event.listen(engine, "connect", _set_up_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _: object) -> None:
    """Readers do not wait for the writer; a commit is on disk; what is deleted is overwritten."""
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _cause(error: Exception) -> str:
    """The database's own words, on one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
