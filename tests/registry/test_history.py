"""The history is append-only: whoever changes it is found out."""

import json

import pytest
from tests.federation.worlds import STUDY, draw_rows

from fedhealth.federation import exchange_within, fit
from fedhealth.registry import BundleError, history, publish, write_bundle

FIT = fit(STUDY, exchange_within([draw_rows(200, seed=1)], STUDY), penalty=(30.0, 3.0))


@pytest.fixture
def models(tmp_path):
    """A models folder that saw three promotions."""
    for seed in range(3):
        write_bundle(tmp_path / str(seed), STUDY, FIT.model, FIT.reference, {"seed": seed}, "# card\n")
        publish(tmp_path / str(seed), tmp_path / "models", "promote", f"reason {seed}")
    return tmp_path / "models"


def changed(models, change):
    path = models / "history.jsonl"
    lines = path.read_bytes().splitlines()
    change(lines)
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def test_it_comes_back_in_order(models):
    assert [entry["reason"] for entry in history(models)] == ["reason 0", "reason 1", "reason 2"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_changed_line_is_named(models, number):
    changed(models, lambda lines: lines.__setitem__(number - 1, lines[number - 1].replace(b"reason", b"another")))
    with pytest.raises(BundleError, match=rf"line ({number}|{number + 1})\b"):
        history(models)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines.pop(0),
        lambda lines: lines.pop(1),
        lambda lines: lines.insert(0, lines.pop()),
        lambda lines: lines.append(lines[-1]),
        lambda lines: lines.insert(1, b"{}"),
    ],
    ids=["first removed", "removed", "moved", "repeated", "added"],
)
def test_a_removed_moved_or_added_line_is_found(models, change):
    changed(models, change)
    with pytest.raises(BundleError, match=r"line \d does not follow line \d"):
        history(models)


def test_a_line_by_who_is_not_trusted_is_found(models):
    def forge(lines):
        lines[-1] = json.dumps({**json.loads(lines[-1]), "key": "0" * 64}).encode()

    changed(models, forge)
    with pytest.raises(BundleError, match=r"line 3: signed by key 00000000, which is not trusted"):
        history(models)


def test_nothing_is_promoted_over_a_broken_history(models, tmp_path):
    changed(models, lambda lines: lines.append(b"half a li"))
    write_bundle(tmp_path / "next", STUDY, FIT.model, FIT.reference, {"seed": 9}, "# card\n")
    served = (models / "bundle.json").read_bytes()
    with pytest.raises(BundleError, match="line 4 is no whole entry"):
        publish(tmp_path / "next", models)
    assert (models / "bundle.json").read_bytes() == served
