"""A server that is killed has lost nothing that it said it had."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select
from tests.databases import own_postgres

from fedhealth.monitoring.store import Store
from fedhealth.monitoring.tables import Prediction, Reading
from fedhealth.registry import Bundle
from fedhealth.runtime.ports import free_port

from .test_run import running, wait_until_healthy

pytestmark = pytest.mark.slow
KEY = {"X-API-Key": "a key for tests"}
READINGS, BATCH, KILLS = 10_000, 100, 3


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
    else:
        yield from own_postgres()


def batch(number: int) -> dict[str, object]:
    features = {"age": 40, "heart_rate": 80}
    facts = {"city": "Lahore", "time": "2026-01-10T12:00:00Z", "features": features, "source": "synthetic"}
    ids = range(number * BATCH, (number + 1) * BATCH)
    return {"readings": [{"id": f"r{i}", "person": f"p{i % 500}", **facts} for i in ids]}


def test_kill_9_during_ten_thousand_acknowledged_readings_loses_none(address: str, folder: Path, bundle: Bundle):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {"FEDHEALTH_MODELS": str(folder), "FEDHEALTH_PORT": str(port), "DATABASE_URL": address}
    waiting, acknowledged, lock = list(range(READINGS // BATCH)), set(), threading.Lock()

    def send(until: int) -> None:
        with httpx.Client(timeout=10) as client:
            while len(acknowledged) < until:
                with lock:
                    number = waiting.pop() if waiting else None
                if number is None:
                    return
                try:
                    answered = client.post(f"{url}/readings", json=batch(number), headers=KEY).status_code == 201
                except httpx.TransportError:
                    answered = False
                with lock:
                    (acknowledged.add if answered else waiting.append)(number)
                if not answered:
                    return

    for life in range(1, KILLS + 2):
        with running(["app/main.py"], **environment) as process:
            wait_until_healthy(url, process)
            with ThreadPoolExecutor(3) as pool:
                enough = READINGS // BATCH * life // (KILLS + 1)
                senders = [pool.submit(send, READINGS) for _ in range(3)]
                while len(acknowledged) < enough and not all(one.done() for one in senders):
                    threading.Event().wait(0.001)
                if life <= KILLS:
                    process.send_signal(signal.SIGKILL)
                for one in senders:
                    one.result()
    assert len(acknowledged) == READINGS // BATCH
    store = Store(address)
    with store.session() as session:
        assert session.scalar(select(func.count()).select_from(Reading)) == READINGS
    store.close()


def test_of_noted_predictions_a_second_is_lost_at_most(tmp_path: Path, folder: Path, bundle: Bundle):
    port, address = free_port(), f"sqlite:///{tmp_path / 'store.db'}"
    environment = {"FEDHEALTH_MODELS": str(folder), "FEDHEALTH_PORT": str(port), "DATABASE_URL": address}
    with running(["app/main.py"], **environment) as process:
        wait_until_healthy(f"http://127.0.0.1:{port}", process)
        for _ in range(20):
            httpx.post(f"http://127.0.0.1:{port}/predict", json={"age": 40})
        threading.Event().wait(1.0)
        process.send_signal(signal.SIGKILL)
    store = Store(address)
    with store.session() as session:
        assert session.scalar(select(func.count()).select_from(Prediction)) == 20
    store.close()
