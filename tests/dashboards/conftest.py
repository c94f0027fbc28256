import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
import uvicorn

from fedhealth.dashboards import api, parts
from fedhealth.dashboards.admin import access, page

from .stub import KEY, Behaviour, create_stub


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(autouse=True)
def clean_api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No key, no memory of an API that did not answer, and short waits."""
    api._silent_until.clear()
    monkeypatch.setattr(page, "FIRST_LOOK", 0.0)
    monkeypatch.setattr(parts, "SOON", 0.0)
    monkeypatch.delenv("FEDHEALTH_API_KEY", raising=False)
    monkeypatch.setenv("FEDHEALTH_API_KEY_FILE", str(tmp_path / "none"))
    yield
    api._client().close()
    api._client.cache_clear()


@pytest.fixture
def no_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDHEALTH_API", f"http://127.0.0.1:{free_port()}")


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Behaviour]:
    """The stub on a free port; what is yielded makes it misbehave."""
    behaviour, port = Behaviour(), free_port()
    server = uvicorn.Server(
        uvicorn.Config(create_stub(behaviour), port=port, log_level="error", ws="none", lifespan="off")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while thread.is_alive() and not server.started:
        time.sleep(0.01)
    monkeypatch.setenv("FEDHEALTH_API", f"http://127.0.0.1:{port}")
    yield behaviour
    server.handle_exit(signal.SIGTERM, None)
    thread.join()


@pytest.fixture
def with_key(stub: Behaviour, monkeypatch: pytest.MonkeyPatch) -> Behaviour:
    """The stub, and a page that only this machine can open, so that it takes the key by itself."""
    monkeypatch.setenv("FEDHEALTH_API_KEY", KEY)
    monkeypatch.setenv(access.OPENED, "1")
    monkeypatch.setattr(access, "LOOPBACK", (st.get_option("server.address"),))
    return stub
