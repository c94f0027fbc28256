"""The paths that users type exist, are short, and hold no logic; what they do is in the rooms behind them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOORS = [
    "app/main.py",
    "dashboard/admin_app.py",
    "dashboard/citizen_app.py",
    "data/generate_synthetic_data.py",
    "fl/client_node1.py",
    "fl/client_node2.py",
    "fl/client_node3.py",
    "fl/data_utils.py",
    "fl/model.py",
    "fl/server.py",
]
OTHERS = [
    ".github/workflows/ci.yml",
    "Dockerfile.api",
    "LICENSE",
    "docker-compose.yml",
    "models/MODEL_CARD.md",
    "models/bundle.json",
    "models/model.safetensors",
    "notebooks/01_eda.ipynb",
    "notebooks/02_local_baseline.ipynb",
    "requirements.txt",
    "requirements_api.txt",
    "requirements_dashboard.txt",
]
ANSWER_HELP = ["data/generate_synthetic_data.py", "fl/server.py", *(f"fl/client_node{n}.py" for n in (1, 2, 3))]
LOGIC = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef),
    *(ast.For, ast.AsyncFor, ast.While, ast.comprehension, ast.Match, ast.Try, ast.TryStar, ast.With, ast.AsyncWith),
    *(ast.If, ast.IfExp, ast.BoolOp, ast.BinOp, ast.Compare, ast.NamedExpr, ast.Assert, ast.Raise),
)
MAIN = ast.dump(ast.parse("__name__ == '__main__'", mode="eval").body)


def logic(tree: ast.Module) -> list[str]:
    """The kinds of node that a door must not hold; ``if __name__ == "__main__":`` itself is no logic."""
    found: list[ast.AST] = []
    for statement in tree.body:
        if isinstance(statement, ast.If) and ast.dump(statement.test) == MAIN and not statement.orelse:
            found += [node for inner in statement.body for node in ast.walk(inner)]
        else:
            found += ast.walk(statement)
    return [type(node).__name__ for node in found if isinstance(node, LOGIC)]


@pytest.mark.parametrize("path", [*DOORS, *OTHERS])
def test_what_users_type_exists(path: str) -> None:
    assert (ROOT / path).is_file()


def test_these_are_all_doors() -> None:
    folders = ("app", "dashboard", "data", "fl")
    assert sorted(str(p.relative_to(ROOT)) for folder in folders for p in (ROOT / folder).glob("*.py")) == DOORS


@pytest.mark.parametrize("path", DOORS)
def test_a_door_is_short_and_holds_no_logic(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert sum(1 for line in text.splitlines() if line.strip()) <= 10
    assert not logic(ast.parse(text))
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("text", ["def f(): ...", "[x for x in y]", "if a: b()", "x = 1 if a else 2", "while a: b()"])
def test_logic_is_found_where_there_is_some(text: str) -> None:
    assert logic(ast.parse(text))


@pytest.mark.parametrize("path", ANSWER_HELP)
def test_a_door_answers_help_from_anywhere(path: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / path), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("module", ["app.main", "fl.data_utils", "fl.model"])
def test_a_door_can_be_imported(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
