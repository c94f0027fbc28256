"""Servers and nodes as people start them, each in a terminal of its own; a tap on what passes between them."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import polars as pl
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.data.files import sha256_of
from fedhealth.data.synthetic import write_world
from fedhealth.study import load_study

STUDY = load_study("health-risk")
TOP = Path(__file__).parents[2]
NODES = ("node_1", "node_2", "node_3")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Terminals:
    """Commands started as typed, each with what it printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *typed: str) -> None:
        with (self.folder / f"{name}.txt").open("wb") as screen:
            command = [sys.executable, *typed]
            environment = {**os.environ, "FEDHEALTH_SERVER": str(self.folder / "server")}
            self.children[name] = subprocess.Popen(
                command, cwd=TOP, stdout=screen, stderr=subprocess.STDOUT, env=environment
            )

    def end(self, name: str, seconds: float = 100.0) -> tuple[int, str]:
        code = self.children[name].wait(timeout=seconds)
        return code, self.screen(name)

    def screen(self, name: str) -> str:
        return (self.folder / f"{name}.txt").read_text(encoding="utf-8")

    def wait_for(self, name: str, text: str, seconds: float = 60.0) -> None:
        until = time.monotonic() + seconds
        while text not in self.screen(name):
            assert time.monotonic() < until, self.screen(name)
            time.sleep(0.1)


def run_in_process(data: Path, runs: Path, *options: str) -> Path:
    result = CliRunner().invoke(app, ["train", "--data", str(data), "--runs", str(runs), *options])
    assert result.exit_code == 0, result.output
    return written(result.output)


def written(screen: str) -> Path:
    found = re.search(r"written to\s+(\S+)", screen)
    assert found, screen
    return Path(found.group(1))


class Tap:
    """Passes TCP connections on to a port, and keeps every byte that was sent there and that came back."""

    def __init__(self, port: int) -> None:
        self._port, self.sent, self.answered = port, bytearray(), bytearray()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._door.getsockname()[1])
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):  # the tap was closed
            while True:
                inside, _ = self._door.accept()
                try:
                    outside = socket.create_connection(("127.0.0.1", self._port))
                except OSError:
                    inside.close()
                    continue
                for pair in ((inside, outside, self.sent), (outside, inside, self.answered)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, start: socket.socket, end: socket.socket, kept: bytearray) -> None:
        with start, suppress(OSError):
            while piece := start.recv(65_536):
                kept += piece
                end.sendall(piece)
            end.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._door.close()


def write_planted_world(data: Path, told: float) -> None:
    """A world in which one person of every node slept ``told`` hours: a number to look for."""
    write_world(data, 1500, 7)
    for name in NODES:
        path = data / STUDY.node(name).file
        table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
        if "sleep_hours" in table.columns:
            fourth = pl.int_range(pl.len()) == 3
            planted = pl.when(fourth).then(pl.lit(told)).otherwise(pl.col("sleep_hours")).alias("sleep_hours")
            table = table.with_columns(planted)
            table.write_parquet(path) if path.suffix == ".parquet" else table.write_csv(path)
    world = json.loads((data / "world.json").read_text())
    world["sha256"] = {file: sha256_of(data / file) for file in world["sha256"]}
    (data / "world.json").write_text(json.dumps(world))
