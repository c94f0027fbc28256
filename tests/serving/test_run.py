import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from fedhealth.registry import Bundle
from fedhealth.runtime.ports import free_port
from fedhealth.serving import serve

from .conftest import ROOT

STARTS_WITHIN = 30.0  # seconds; it takes one or two


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until_healthy(url: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            assert httpx.get(f"{url}/health").status_code == 200
            return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail(f"not up after {STARTS_WITHIN} s: {process.communicate(timeout=5)[0] if process.poll() else ''}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["-m", "uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "{port}"],
        ["app/main.py"],
        ["-m", "fedhealth", "serve", "--host", "0.0.0.0", "--port", "{port}"],
    ],
    ids=["uvicorn app.main:app", "python app/main.py", "fedhealth serve"],
)
def test_every_command_serves(command: list[str], folder: Path, bundle: Bundle):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    typed = [part.format(port=port) for part in command]
    with running(typed, FEDHEALTH_MODELS=str(folder), FEDHEALTH_PORT=str(port)) as process:
        wait_until_healthy(url, process)
        answer = httpx.post(f"{url}/predict", json={"age": 30})
        assert answer.json()["model_version"] == bundle.version
        for raw in (b'{"age": NaN}', b"\xff", b""):
            assert httpx.post(f"{url}/predict", content=raw).status_code == 422
        assert httpx.post(f"{url}/predict", content=b" " * 100_000).status_code == 413
        assert httpx.get(f"{url}/docs").status_code == 200
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=10)
        assert process.returncode == 0
        assert "Traceback" not in output
        assert "POST" not in output  # a line per request would hold people's pseudonyms


def test_a_taken_port_is_reported_in_words():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=f"port {port} on 127.0.0.1 is taken.*FEDHEALTH_PORT={port + 1}"):
            serve("127.0.0.1", port)


@pytest.mark.parametrize("text", ["abc", "-1", "65536", "8000.0", "٣"])
def test_a_port_that_is_none_is_reported_in_words(monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setenv("FEDHEALTH_PORT", text)
    with pytest.raises(SystemExit, match=r"FEDHEALTH_PORT: got .* expected a port number from 0 to 65535"):
        serve("127.0.0.1")


def test_a_foreign_address_is_reported_in_words():
    with pytest.raises(SystemExit, match=r"cannot listen on 203\.0\.113\.7, port 0: .*FEDHEALTH_HOST=127"):
        serve("203.0.113.7", 0)


def test_serving_loads_no_training_library(folder: Path, bundle: Bundle):
    program = """
import sys
from fastapi.testclient import TestClient
from app.main import app
assert TestClient(app).post("/predict", json={"age": 30}).status_code == 200
assert TestClient(app).get("/openapi.json").status_code == 200
print(sorted({name.split(".")[0] for name in sys.modules} & {"torch", "flwr", "mlflow", "polars", "scipy", "sklearn"}))
"""
    environment = {**os.environ, "FEDHEALTH_MODELS": str(folder)}
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
