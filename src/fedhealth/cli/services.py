"""Several services as child processes: started together, stopped together, each by its own process id."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

import typer

from fedhealth.cli.errors import refuse

STOP_SECONDS = 10


@dataclass(frozen=True)
class Service:
    """A program to run: a name for people, the arguments after ``python``, and settings for its environment."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]


def run_until_stopped(services: Sequence[Service]) -> None:
    """Run all services until Ctrl-C, SIGTERM, or until one of them ends by itself; then stop the others.

    Raises:
        typer.Exit: a service failed; its name and exit code were printed.
    """
    signal.signal(signal.SIGTERM, _as_interrupt)
    running = {service.name: _start(service) for service in services}
    try:
        failed = _wait(running)
    except KeyboardInterrupt:
        failed = None
        typer.echo("\nStopping")
    finally:
        for process in running.values():
            _stop(process)
    if failed:
        refuse(f"{failed} ended with exit code {running[failed].returncode}; see above")


def _start(service: Service) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **service.environment}
    return subprocess.Popen([sys.executable, *service.arguments], env=environment, start_new_session=True)


def _wait(running: dict[str, subprocess.Popen[bytes]]) -> str | None:
    """Wait while all run; the name of the first that failed. A service that ends well just leaves the others."""
    while any(process.poll() is None for process in running.values()):
        for name, process in running.items():
            if process.poll():
                return name
        time.sleep(0.2)
    return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and end its group where it does not."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
