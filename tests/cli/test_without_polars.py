"""Serving, and all that is done to a served model, needs no polars; what does need it says how to get it."""

import subprocess
import sys
from pathlib import Path

import pytest

MODELS = str(Path(__file__).parents[2] / "models")
WITHOUT_POLARS = "import sys; sys.modules['polars'] = None; from fedhealth.cli import app; app()"


def fedhealth(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_POLARS, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ("models", "list", "--models", MODELS),
        ("runs", "list"),
        ("keys", "list"),
        ("monitor", "run", "--models", MODELS),
    ],
    ids=" ".join,
)
def test_a_served_model_is_looked_after(words: tuple[str, ...], tmp_path: Path) -> None:
    done = fedhealth(tmp_path, *words)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [("data", "generate"), ("train",), ("doctor",)], ids=" ".join)
def test_what_reads_rows_says_what_it_needs(words: tuple[str, ...], tmp_path: Path) -> None:
    done = fedhealth(tmp_path, *words)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["Error: this needs polars; install it: pip install 'fedhealth[tables]'"]
