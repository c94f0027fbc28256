import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.runtime.ports import free_port

ROOT = Path(__file__).parents[2]
SERVE = "from fedhealth.serving import serve; serve()"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a real API over the published model, with a store and a key of its own."""
    monkeypatch.delenv("FEDHEALTH_API_KEY", raising=False)
    monkeypatch.setenv("FEDHEALTH_API_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("FEDHEALTH_MODELS", str(ROOT / "models"))
    port = free_port()
    environment = {**os.environ, "FEDHEALTH_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-c", SERVE], env=environment, stderr=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


@pytest.mark.slow
def test_the_history_of_ninety_days_is_there_within_half_a_minute_and_not_twice(server: str, tmp_path: Path):
    started = time.monotonic()
    first = CliRunner().invoke(app, ["feed", "--api", server, "--once"])
    assert first.exit_code == 0, first.output
    assert "synthetic readings from" in first.output
    assert time.monotonic() - started < 30
    key = {"X-API-Key": (tmp_path / "key").read_text().strip()}
    before = httpx.get(f"{server}/trends?days=90", headers=key).json()["points"]
    assert len(before) >= 89 * 9
    assert httpx.get(f"{server}/air?city=Quetta").json()["synthetic"]
    assert CliRunner().invoke(app, ["feed", "--api", server, "--once"]).exit_code == 0
    after = httpx.get(f"{server}/trends?days=90", headers=key).json()["points"]
    assert [p["readings"] for p in after[:700]] == [p["readings"] for p in before[:700]]


@pytest.mark.slow
def test_a_wrong_key_is_said_with_the_way_out(server: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEDHEALTH_API_KEY", "wrong")
    result = CliRunner().invoke(app, ["feed", "--api", server, "--once"])
    assert result.exit_code == 1
    assert f"GET {server}/cities failed: 401" in result.output
    assert "FEDHEALTH_API_KEY" in result.output


def test_an_api_that_never_comes_is_waited_for_and_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fedhealth.cli.feed.WAIT_SECONDS", 0.1)
    result = CliRunner().invoke(app, ["feed", "--api", "http://127.0.0.1:9", "--once"])
    assert result.exit_code == 1
    assert "the API at http://127.0.0.1:9 is not ready" in result.output
