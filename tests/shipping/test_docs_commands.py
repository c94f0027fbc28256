"""Every command in README.md and docs/ exists with its options, and runs: here, or in the test that is named here."""

import contextlib
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from starlette.testclient import TestClient
from tests.mirrors import without_mlflow
from tests.shipped import shipped_model
from tests.shipping.documented import BLOCK, PAGES, ROOT, Documented, blocks, documented
from tools.reference import commands
from typer.testing import CliRunner
from uvicorn.main import main as uvicorn_command

from fedhealth.cli import app
from fedhealth.data.synthetic import write_world
from fedhealth.registry import load_bundle
from fedhealth.registry.signing import trusted_keys_file
from fedhealth.runtime.ports import free_port
from fedhealth.serving import create_app
from fedhealth.study import load_study

KNOWN = dict(commands())
COMMANDS = documented()
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
# Pages whose blocks are one story, run from top to bottom as they stand.
STORIES = ["docs/tutorial.md", "docs/guides/own-study.md", "docs/operations/backup.md"]
# Commands that do not run here, by how they begin: the tests that run them, or why none can.
ELSEWHERE = {
    "fedhealth serve": "tests/serving/test_run.py",
    "fedhealth feed": "tests/cli/test_feed.py",
    "fedhealth monitor nodes": "tests/cli/test_monitor_nodes.py",
    "fedhealth node run": "tests/runtime/test_nodes.py",
    "fedhealth train --runtime flower": "tests/runtime/test_flower.py",
    "fedhealth train --resume": "tests/runtime/test_journal.py",
    "python fl/": "tests/runtime/test_flower.py",
    "python dashboard/": "tests/dashboards/test_browser.py",
    "streamlit run": "tests/dashboards/test_browser.py",
    "uvicorn": "tests/serving/test_run.py",
    "docker": "tests/shipping/test_compose.py",
    "make": "each target's own command is what tests run",
    "python benchmarks/": "they measure for long",
    "pip install": "it would change where the tests run",
    "python3 -m venv": "it would install anew",
    ".venv/bin/pip": "it would install anew",
    ".venv/bin/jupyter": "it waits for a reader",
    "source": "it would install anew",
    "pg_dump": "a database of others",
    "pg_restore": "a database of others",
    "DATABASE_URL=postgresql": "a database of others",
}
# A process that is killed after it changed the store, and what shows that a restore left nothing of the change.
CRASH = """
import os, sqlite3
store = sqlite3.connect(".fedhealth/fedhealth.db")
store.execute("CREATE TABLE later (x)")
store.commit()
os.kill(os.getpid(), 9)
"""
RESTORED = """
import sqlite3
tables = sqlite3.connect(".fedhealth/fedhealth.db").execute("SELECT name FROM sqlite_master").fetchall()
assert ("readings",) in tables and ("later",) not in tables, tables
"""
LESS = {
    "python data/generate_synthetic_data.py": ["--rows", "300"],
    "fedhealth simulate": ["--rounds", "2"],
    "fedhealth audit privacy": ["--shadows", "8", "--canary-runs", "50"],
}
SLOW = re.compile(
    r"fedhealth (train|simulate|audit privacy|runs (show|logs)|models (diff|promote|rollback)|node audit"
    r"|models show (--lineage|VERSION --lineage))\b"
)


def key(command: Documented) -> str:
    return f"{command.page}: {' '.join(command.text.split())[:80]}"


# Every command is one that exists


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS), ids=key)
def test_a_command_exists_with_its_options(command: Documented) -> None:
    check: Callable[[list[str]], None] = EXISTS.get(command.program, lambda words: None)
    words = command.words
    check(words[words.index(command.program) :])


def parsed(words: list[str]) -> click.Context | None:
    """What the command line makes of the words; None where a sentence names a command without what it needs."""
    name = max((one for one in KNOWN if " ".join(words).startswith(one)), key=len, default=None)
    assert name, f"there is no command {' '.join(words)!r}"
    command, given = KNOWN[name], words[len(name.split()) :]
    try:
        return command.make_context(name, given + answers(command, given))
    except click.MissingParameter:
        return None


def answers(command: click.Command, given: list[str]) -> list[str]:
    """What the command would ask for, as options."""
    asks = [one.opts[0] for one in command.params if getattr(one, "prompt", None) and one.opts[0] not in given]
    return [word for option in asks for word in (option, "for a test")]


def exists_in_python(words: list[str]) -> None:
    script = next((word for word in words[1:] if word.endswith(".py")), None)
    if script is None:
        assert words[1] in ("-c", "-", "-m")
    elif " ".join(words[:2]) in KNOWN:
        parsed(words)
    else:
        text = (ROOT / script).read_text(encoding="utf-8")
        assert all(f'"{word}"' in text for word in words[2:] if word.startswith("--"))


def exists_in_make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{word}:", makefile, re.MULTILINE) for word in words[1:])


def exists_in_uvicorn(words: list[str]) -> None:
    module, name = words[1].split(":")
    assert hasattr(importlib.import_module(module), name)
    uvicorn_command.make_context("uvicorn", words[1:])


def exists_as_file(words: list[str]) -> None:
    named = [word for word in words if re.search(r"\.(py|txt|api|dashboard|node)$", word)]
    assert all((ROOT / word).is_file() for word in named)


def exists_in_compose(words: list[str]) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    assert words[1] == "up" or (words[1] in ("run", "exec") and set(words) & set(services))


def answered(words: list[str]) -> None:
    """The request gets a risk from the published model."""
    path = re.fullmatch(r"http://127\.0\.0\.1:8000(/\S*)", words[words.index("-s") + 1])
    body = json.loads(words[words.index("-d") + 1])
    assert path
    answer = TestClient(create_app(ROOT / "models")).post(path[1], json=body)
    assert 0 < answer.json()["risk_score"] < 1


EXISTS: dict[str, Callable[[list[str]], Any]] = {
    "fedhealth": parsed,
    "python": exists_in_python,
    "make": exists_in_make,
    "uvicorn": exists_in_uvicorn,
    "curl": answered,
    "docker": lambda words: exists_in_compose(words[1:]) if words[1] == "compose" else exists_as_file(words),
    **dict.fromkeys(("streamlit", "pip", ".venv/bin/pip"), exists_as_file),
}


# Every command runs


def is_elsewhere(command: Documented) -> bool:
    return any(begins(command, beginning) for beginning in ELSEWHERE)


def begins(command: Documented, beginning: str) -> bool:
    """Whether a command begins so, its last word being a whole one unless it ends in a sign."""
    return bool(re.match(re.escape(beginning) + (r"\b" if beginning[-1].isalpha() else ""), command.text))


def is_mention(command: Documented) -> bool:
    """Whether a sentence only names the command."""
    return not command.block and command.program == "fedhealth" and parsed(command.words) is None


def is_told(command: Documented) -> bool:
    """Whether the command is part of a story."""
    return command.page in STORIES and command.block


def runs_here(command: Documented) -> bool:
    ours = command.text.startswith(("fedhealth", "python data/"))
    return ours and not (is_told(command) or is_elsewhere(command) or is_mention(command))


def test_every_command_runs_somewhere() -> None:
    ways = (runs_here, is_told, is_elsewhere, is_mention, lambda command: command.program == "curl")
    assert not [key(command) for command in COMMANDS if not any(way(command) for way in ways)]
    assert all((ROOT / test).is_file() for test in ELSEWHERE.values() if test.startswith("tests/"))
    assert all(any(begins(one, beginning) for one in COMMANDS) for beginning in ELSEWHERE)


def test_the_tutorial_installs_what_it_uses() -> None:
    page = ROOT / "docs/tutorial.md"
    installed = re.search(r"pip install .*\.\[([\w,]+)\]", blocks(page))
    needed = {"fedhealth data": "tables", "fedhealth train": "tables", "fedhealth serve": "api"}
    used = [one for one in COMMANDS if one.page == "docs/tutorial.md" and one.block]
    assert installed
    assert {needed[name] for name in needed if any(begins(one, name) for one in used)} == {*installed[1].split(",")}


@pytest.fixture(scope="module", autouse=True)
def unmirrored() -> Iterator[None]:
    with without_mlflow():
        yield


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the published model, nodes' tables, exports and a study, as readers might have them."""
    folder = tmp_path_factory.mktemp("untrained")
    shipped_model(folder / "models")
    write_world(folder / "data", rows=1500, seed=7)
    (folder / "my-study.toml").write_text(study_on(ROOT / "docs/studies.md"), encoding="utf-8")
    table = (folder / "data/node_1/wearables.csv").read_text(encoding="utf-8").splitlines()
    rows = [row for row in table[1:] if re.search("Lahore|Karachi", row)]
    write(folder / "my-data/node_1/wearables.csv", [table[0].replace("health_risk", "attack")], rows)
    days = [f"2026-01-{day:02}" for day in range(1, 29)]
    rows = [f"1,{day},Lahore,70,40,0" for day in days]
    write(folder / "exports/days.csv", ["user_id,date,city,heart_rate,age,health_risk"], rows)
    rows = [f"7,1/{day}/2026,9000" for day in range(1, 29)]
    write(folder / "fitbit/dailyActivity.csv", ["Id,ActivityDate,TotalSteps"], rows)
    write(folder / "outcomes.csv", ["user_id,date,health_risk"], [f"7,{d},0" for d in days])
    return folder


def study_on(page: Path) -> str:
    """The study that a page shows."""
    return next(text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == "toml")


def write(file: Path, head: list[str], rows: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(head + rows) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def trained(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with two runs; the first one's model is served, and gates let nearly everything through."""
    folder = tmp_path_factory.mktemp("trained") / "folder"
    shutil.copytree(untrained, folder)
    shutil.rmtree(folder / "models")
    (folder / "models").mkdir()
    limits = "auroc = 0.9\nlog_loss = 9.0\nslope = 9.0\nbias = 0.9\n"
    (folder / "models/gates.toml").write_text(f"[champion]\n{limits}[local]\nauroc = 0.9\nlog_loss = 9.0\n", "utf-8")
    with contextlib.chdir(folder):
        run(["fedhealth", "train"])
        run(["fedhealth", "models", "promote", f"runs/{newest(folder)}", "--reason", "first", "--yes"])
        run(["fedhealth", "train", "--model", "logistic"])
    return folder


def newest(folder: Path) -> str:
    """The run that left a bundle last; where there is none, what one of the published model would be called."""
    bundles = sorted((folder / "runs").glob("health-risk-*/bundle.json"), key=lambda one: one.stat().st_mtime)
    return bundles[-1].parent.name if bundles else f"health-risk-{load_bundle(folder / 'models').version}"


def run(words: list[str]) -> None:
    """Run a command of ours in this process, in the folder that is the current one."""
    context = parsed(words)
    assert context
    result = CliRunner().invoke(app, words[1:] + answers(context.command, words), input="y\n")
    may_end_with = {0, 1} if words[1] == "doctor" else {0}  # 1: something is to be done
    assert result.exit_code in may_end_with, f"{' '.join(words)}\n{result.output}"


def in_place(command: Documented, folder: Path) -> list[str]:
    """The words with what stands for something else filled in."""
    meant = {
        "VERSION": newest(folder).rsplit("-", 1)[1],
        "HASH": load_study("health-risk").hash[:12],
        "DATA": "data",
        "DIR": "my-data",
        "FILE": "my-study.toml",
        "/var/www/air.csv": "air.csv",
        "https://city.example/air.csv": "air.csv",
        "fl.example.org": "localhost",
    }
    text = " ".join(shlex.quote(word) for word in command.words)
    for name, filled in meant.items():
        text = re.sub(rf"(?<![A-Za-z]){re.escape(name)}(?![A-Za-z])", filled, text)
    return shlex.split(text)


def those_that_run(slow: bool) -> list[Documented]:
    """The quick ones of every page; of the slow ones each once, where it first stands."""
    here = [one for one in COMMANDS if runs_here(one) and bool(SLOW.match(one.text)) == slow]
    return [one for place, one in enumerate(here) if not slow or one.text not in {b.text for b in here[:place]}]


def run_those_of(page: str, prepared: Path, folder: Path, slow: bool) -> None:
    shutil.copytree(prepared, folder, dirs_exist_ok=True)
    with contextlib.chdir(folder):
        for command in those_that_run(slow):
            if command.page != page:
                continue
            words = in_place(command, folder) + less(command)
            if words[0] == "python":
                subprocess.run([sys.executable, str(ROOT / words[1]), *words[2:]], check=True)
            else:
                run(words)


def less(command: Documented) -> list[str]:
    """Options that make a command do less of the same."""
    return next((options for beginning, options in LESS.items() if begins(command, beginning)), [])


def pages_with(slow: bool) -> list[str]:
    return sorted({one.page for one in those_that_run(slow)})


@pytest.mark.parametrize("page", pages_with(slow=False))
def test_the_quick_commands_of_a_page_run(page: str, untrained: Path, tmp_path: Path) -> None:
    run_those_of(page, untrained, tmp_path, slow=False)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", pages_with(slow=True))
def test_the_slow_commands_of_a_page_run(page: str, trained: Path, tmp_path: Path) -> None:
    run_those_of(page, trained, tmp_path, slow=True)


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", STORIES)
def test_a_story_runs_from_top_to_bottom(page: str, trained: Path, tmp_path: Path) -> None:
    """All its blocks as one script; a server is waited for and ended with it. Nothing is installed or built."""
    if page == "docs/operations/backup.md":
        shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
        (tmp_path / ".fedhealth").mkdir(exist_ok=True)
        shutil.copy(trusted_keys_file(), tmp_path / ".fedhealth/trusted_keys.toml")
    if page == "docs/guides/own-study.md":
        (tmp_path / "asthma.toml").write_text(study_on(ROOT / page), encoding="utf-8")
    programs = tmp_path / "bin"
    for name, call in {"fedhealth": f"{sys.executable} -m fedhealth", "python": sys.executable}.items():
        write(programs / name, ["#!/bin/sh"], [f'exec {call} "$@"'])
        (programs / name).chmod(0o755)
    port = str(free_port())
    settings = {
        "FEDHEALTH_PORT": port,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "FEDHEALTH_TRUSTED_KEYS_FILE": ".fedhealth/trusted_keys.toml",
        "FEDHEALTH_SIGNING_KEY_FILE": ".fedhealth/signing.key",
    }
    script = "\n".join(["set -eu", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", *story(ROOT / page, port)])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env={**os.environ, **settings}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def story(page: Path, port: str) -> Iterator[str]:
    wait = f"until python -c 'import urllib.request as r; r.urlopen(\"http://127.0.0.1:{port}/ready\")' 2>/dev/null"
    yield "python -c 'from fedhealth.monitoring.store import Store; Store().session().__enter__()'"
    for line in blocks(page).splitlines():
        if line.startswith("fedhealth serve"):
            yield f"{line} & {wait}; do sleep 0.2; done"
        elif not line.startswith(("curl", "docker", "python3 -m venv", ".venv/bin/pip", "source")):
            if line.startswith("tar -xzf"):
                yield "rm -rf models runs .fedhealth"  # as on another machine
            if line.startswith("rm -f .fedhealth/fedhealth.db-wal"):
                yield f"python -c '{CRASH}' || test -s .fedhealth/fedhealth.db-wal"
            yield line
            if line.startswith("cp store-backup.db"):
                yield f"python -c '{RESTORED}'"
