import os
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from fedhealth.monitoring.store import Store, add_readings

POSTGRES = "postgresql://postgres@127.0.0.1:5432/test"


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database of each kind, gone afterwards."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'folder' / 'store.db'}"
    else:
        yield from _own_postgres()


def _own_postgres() -> Iterator[str]:
    url = make_url(os.environ.get("FEDHEALTH_TEST_POSTGRES", POSTGRES))
    server = create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    name = f"fedhealth_test_{uuid.uuid4().hex[:12]}"
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except OperationalError as error:
        reason = f"needs PostgreSQL: set FEDHEALTH_TEST_POSTGRES to its address ({error.orig})"
        if os.environ.get("FEDHEALTH_REQUIRE_ALL") == "1":
            pytest.fail(f"{reason} (FEDHEALTH_REQUIRE_ALL=1 forbids skipping)")
        pytest.skip(reason)
    yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    store = Store(address)
    yield store
    store.close()


class Sender:
    """Stores readings of one city at one time."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.sent = 0

    def __call__(self, city: str, time: datetime, count: int, risk: float = 0.1, aqi: float | None = 80.0) -> None:
        rows = [
            {
                "id": f"r{self.sent + i}",
                "person": f"p{i}",
                "city": city,
                "time": time,
                "day": time.date(),
                "features": {"age": 40.0},
                "aqi": aqi,
                "pm25": 20.0,
                "risk": risk,
                "high_risk": risk >= 0.2,
                "model_version": "m",
                "source": "synthetic",
            }
            for i in range(count)
        ]
        self.sent += count
        with self.store.session() as session:
            assert add_readings(session, rows) == count
            assert add_readings(session, rows) == 0


@pytest.fixture
def send(store: Store) -> Sender:
    return Sender(store)
