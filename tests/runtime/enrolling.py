"""A server's outside door, with and without Flower behind it, and nodes that are invited to it."""

import base64
import dataclasses
import http.client
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.runtime.terminals import (
    Terminals,
    listens,
)
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.runtime.flower.book import Book
from fedhealth.runtime.flower.certificates import ServerFolder, prepare
from fedhealth.runtime.flower.enrolment import Enrolment, read_enrolment
from fedhealth.runtime.flower.listening import listening
from fedhealth.runtime.flower.pinned import tls_context
from fedhealth.runtime.flower.proxy import FleetProxy
from fedhealth.runtime.ports import LOOPBACK, free_port


def typed(*words: str, code: int = 0) -> str:
    """What a command prints."""
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


class Door:
    """A server's outside door, without a SuperLink behind it."""

    def __init__(self, folder: ServerFolder, superlink: str = f"{LOOPBACK}:1") -> None:
        self.folder, self.book, self.port = folder, Book(folder.book), free_port()
        self.said: list[str] = []
        ca = folder.authority.read_text(encoding="ascii")
        self.changes: list[list[str]] = []
        self.proxy = FleetProxy(self.book, superlink, ca, self._follow, self.said.append)

    def _follow(self) -> None:
        self.changes.append([node.name for node in self.book.nodes() if node.state == "enrolled"])

    @contextmanager
    def open(self) -> Iterator["Door"]:
        with listening(self.proxy, self.folder, LOOPBACK, self.port):
            yield self

    def invitation(self, node: str) -> Enrolment:
        ca = self.folder.authority.read_text(encoding="ascii")
        return Enrolment(node, f"{LOOPBACK}:{self.port}", ca, self.book.invite(node), "health-risk", "0" * 64)

    def ask(self, path: str, body: bytes = b"", key: str = "", method: str = "POST") -> tuple[int, bytes]:
        context = tls_context(self.folder.authority.read_text(encoding="ascii"))
        connection = http.client.HTTPSConnection(LOOPBACK, self.port, context=context, timeout=10)
        connection.request(method, path, body, {"flwr-public-key": base64.b64encode(key.encode()).decode()})
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer


def heard(lines: list[str], text: str) -> bool:
    """Whether a line with ``text`` comes within a moment."""
    until = time.monotonic() + 5
    while not any(text in line for line in lines) and time.monotonic() < until:
        time.sleep(0.02)
    return any(text in line for line in lines)


class Waiting(Terminals):
    """A server that takes enrolled nodes, and waits for them."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self.server, self.port = ServerFolder(folder / "server"), free_port()
        prepare(self.server, [LOOPBACK])
        self.options = ["--runs", str(folder / "runs"), "--port", str(self.port), *options]

    def open(self) -> None:
        self.start("server", "fl/server.py", "--host", "0.0.0.0", *self.options)
        until = time.monotonic() + 60
        while not listens(self.port):
            assert time.monotonic() < until, self.screen("server")
            time.sleep(0.2)

    def invite(self, node: str, port: int = 0) -> Path:
        """An invitation of a node, through another port where a tap listens there."""
        file = self.folder / f"{node}.invitation.json"
        typed("server", "invite", node, "--to", str(file), "--folder", str(self.server.path), "--port", str(self.port))
        if port:
            dataclasses.replace(read_enrolment(file), server=f"{LOOPBACK}:{port}").write(file)
        return file

    def enrolment(self, node: str, **changes: str) -> Enrolment:
        ca = self.server.authority.read_text(encoding="ascii")
        made = Enrolment(node, f"{LOOPBACK}:{self.port}", ca, "", "health-risk", "0" * 64)
        return dataclasses.replace(made, **changes)

    def node(self, name: str, data: Path) -> None:
        options = ["--data", str(data), "--runs", str(self.folder / "runs"), "--port", str(self.port)]
        self.start(name, f"fl/client_{name.replace('_', '')}.py", *options)

    def refused(self, name: str) -> str:
        """What a node prints that ends because it is refused, in one line, without a traceback."""
        code, screen = self.end(name, 60)
        assert code == 1, screen
        assert "Traceback" not in screen
        assert "Error: " in screen
        return " ".join(screen.split())


def own_data(data: Path, folder: Path) -> Path:
    """The tables, in a folder whose keys and enrolments no other test touches."""
    return Path(shutil.copytree(data, folder / "data"))
