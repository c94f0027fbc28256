import signal
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import streamlit as st
import uvicorn
from streamlit.components.v2 import manifest_scanner

from fedhealth.dashboards import api, parts
from fedhealth.dashboards.admin import access, page
from fedhealth.runtime.ports import free_port

from .started import dashboard, running
from .stub import OPENED, Behaviour, create_stub


@pytest.fixture(scope="session", autouse=True)
def one_scan() -> Iterator[None]:
    """Each AppTest looks through all installed packages for Streamlit components; once is enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


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


@pytest.fixture(scope="session")
def stub_at() -> Iterator[tuple[Behaviour, str]]:
    """The stub on a free port, and what it does."""
    behaviour, port = Behaviour(), free_port()
    server = uvicorn.Server(
        uvicorn.Config(create_stub(behaviour), port=port, log_level="error", ws="none", lifespan="off")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while thread.is_alive() and not server.started:
        time.sleep(0.01)
    yield behaviour, f"http://127.0.0.1:{port}"
    server.handle_exit(signal.SIGTERM, None)
    thread.join()


@pytest.fixture
def stub(stub_at: tuple[Behaviour, str], monkeypatch: pytest.MonkeyPatch) -> Behaviour:
    """The stub as it is at first; what is returned makes it misbehave."""
    behaviour, address = stub_at
    vars(behaviour).update(vars(Behaviour()))
    monkeypatch.setenv("FEDHEALTH_API", address)
    return behaviour


@pytest.fixture
def with_key(stub: Behaviour, monkeypatch: pytest.MonkeyPatch) -> Behaviour:
    """The stub, and a page that only this machine can open, so that it takes the key by itself."""
    for name, value in OPENED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(access, "LOOPBACK", (st.get_option("server.address"),))
    return stub


@pytest.fixture(scope="module")
def api_at() -> Iterator[str]:
    """The address of the stub in a process of its own, for pages in a browser."""
    address = f"http://127.0.0.1:{free_port()}"
    with running(["-m", "tests.dashboards.stub", address.rpartition(":")[2]], f"{address}/health"):
        yield address


@pytest.fixture(scope="module")
def citizen_at(api_at: str) -> Iterator[str]:
    """The address of the citizen page, started as typed."""
    with dashboard("citizen", api_at) as address:
        yield address


@pytest.fixture(scope="module")
def admin_at(api_at: str) -> Iterator[str]:
    """The address of the admin's pages, opened for whoever reaches this machine, with the key of an administrator."""
    with dashboard("admin", api_at, **OPENED) as address:
        yield address
