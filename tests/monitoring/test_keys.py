import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fedhealth.keys import load_key


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("FEDHEALTH_API_KEY", raising=False)
    monkeypatch.setenv("FEDHEALTH_API_KEY_FILE", str(tmp_path / "folder" / "key"))
    return tmp_path / "folder" / "key"


def test_a_key_is_made_once_for_its_owner_only(place: Path):
    assert load_key() is None
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_key(create=True), range(8)))
    assert keys == {load_key()}
    assert len(load_key() or "") == 64
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert list(place.parent.iterdir()) == [place]


def test_the_environment_counts_more_than_the_file(monkeypatch: pytest.MonkeyPatch):
    load_key(create=True)
    monkeypatch.setenv("FEDHEALTH_API_KEY", " mine ")
    assert load_key() == "mine"
