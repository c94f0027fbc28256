from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runtime.enrolling import Door
from tests.runtime.terminals import Terminals

from fedhealth.data.synthetic import write_world
from fedhealth.runtime.flower.certificates import ServerFolder, prepare
from fedhealth.runtime.ports import free_port


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    opened = Terminals(tmp_path)
    yield opened
    for child in opened.children.values():
        child.kill()  # a server's SuperLink ends with it
        child.wait()


@pytest.fixture
def folder(tmp_path: Path) -> ServerFolder:
    made = ServerFolder(tmp_path / "server")
    prepare(made, ["server.example"])
    return made


@pytest.fixture
def door(folder: ServerFolder) -> Iterator[Door]:
    with Door(folder).open() as opened:
        yield opened


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_world(folder, 1500, 7)
    return folder
