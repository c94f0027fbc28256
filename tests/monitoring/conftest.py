from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from tests.databases import own_postgres

from fedhealth.monitoring.store import Store, add_readings


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database of each kind, gone afterwards."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'folder' / 'store.db'}"
    else:
        yield from own_postgres()


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    store = Store(address)
    yield store
    store.close()


class Sender:
    """Stores readings of one city at one time, each of another person from number ``first`` on."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.sent = 0

    def __call__(
        self,
        city: str,
        time: datetime,
        count: int,
        risk: float = 0.1,
        aqi: float | None = 80.0,
        source: str = "synthetic",
        first: int = 0,
    ) -> None:
        rows = [
            {
                "id": f"r{self.sent + i}",
                "person": f"p{first + i}",
                "city": city,
                "time": time,
                "day": time.date(),
                "features": {"age": 40.0},
                "aqi": aqi,
                "pm25": 20.0,
                "risk": risk,
                "high_risk": risk >= 0.2,
                "model_version": "m",
                "source": source,
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
