"""Dashboards in processes of their own, as people start them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from fedhealth.runtime.ports import free_port

ROOT = Path(__file__).parents[2]


@contextmanager
def running(command: list[str], url: str, **env: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, *command], env={**os.environ, **env}, cwd=ROOT, start_new_session=True)
    try:
        wait_for(url, process)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@contextmanager
def dashboard(name: str, api: str, **env: str) -> Iterator[str]:
    """The address of a dashboard, ``citizen`` or ``admin``, over the API at that address."""
    port = str(free_port())
    env |= {"FEDHEALTH_API": api, f"FEDHEALTH_{name.upper()}_PORT": port}
    address = f"http://127.0.0.1:{port}"
    with running([f"dashboard/{name}_app.py"], f"{address}/_stcore/health", **env):
        yield address


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, f"{url}: the process ended with {process.returncode}"
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(f"{url} did not answer")
