"""Processes that a benchmark starts on loopback: each in a group of its own, all ended with the block."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Processes:
    """Commands by name, working in ``folder``; what each prints is kept there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str, **settings: str) -> "subprocess.Popen[bytes]":
        """Start one; ``settings`` join the environment."""
        environment = {**os.environ, "FEDHEALTH_SERVER": str(self.folder / "none"), **settings}
        with (self.folder / f"{name}.txt").open("ab") as screen:
            self.children[name] = subprocess.Popen(
                command, cwd=self.folder, stdout=screen, stderr=screen, env=environment, start_new_session=True
            )
        return self.children[name]

    def screen(self, name: str) -> str:
        """What it printed."""
        return (self.folder / f"{name}.txt").read_text(encoding="utf-8", errors="replace")

    def signal(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a process and all of its group."""
        with suppress(ProcessLookupError):
            os.killpg(self.children[name].pid, number)

    def end(self) -> None:
        """End all of them, politely first."""
        for name in self.children:
            self.signal(name, signal.SIGTERM)
        for name, child in self.children.items():
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=10)
            self.signal(name)
            child.wait()


@contextmanager
def processes() -> Iterator[Processes]:
    """Processes in a folder of their own, both gone with the block."""
    with tempfile.TemporaryDirectory(prefix="fedhealth-benchmark-") as folder:
        own = Processes(Path(folder))
        try:
            yield own
        finally:
            own.end()
