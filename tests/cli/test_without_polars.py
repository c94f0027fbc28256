"""Serving, and all that is done to a served model, needs no polars; what does need it says how to get it."""

import json
import subprocess
import sys
from pathlib import Path

from tests.shipped import shipped_model

WITHOUT_POLARS = """
import json, sys
sys.modules["polars"] = None
from typer.testing import CliRunner
from fedhealth.cli import app
for words in json.loads(sys.argv[1]):
    done = CliRunner().invoke(app, words)
    print(json.dumps([done.exit_code, done.stderr]))
"""


def ended(folder: Path, *commands: str) -> list[tuple[str, int, str]]:
    """How each command ends in a process without polars: its exit code and what it says on standard error."""
    asked = json.dumps([command.split() for command in commands])
    process = [sys.executable, "-c", WITHOUT_POLARS, asked]
    done = subprocess.run(process, cwd=folder, capture_output=True, text=True, check=True)
    return [(command, *json.loads(line)) for command, line in zip(commands, done.stdout.splitlines(), strict=True)]


def test_a_served_model_is_looked_after(tmp_path: Path) -> None:
    shipped_model(tmp_path / "models")
    served = ["models list", "runs list", "keys list", "monitor run"]
    assert [(command, code) for command, code, _ in ended(tmp_path, *served)] == [(command, 0) for command in served]


def test_what_reads_rows_says_what_it_needs(tmp_path: Path) -> None:
    needing = ["data generate", "train", "doctor"]
    said = "Error: this needs polars; install it: pip install 'fedhealth[tables]'\n"
    assert ended(tmp_path, *needing) == [(command, 1, said) for command in needing]
