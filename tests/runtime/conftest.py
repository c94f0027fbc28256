from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runtime.terminals import Terminals, free_port


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    opened = Terminals(tmp_path)
    yield opened
    for child in opened.children.values():
        child.kill()
        child.wait()
