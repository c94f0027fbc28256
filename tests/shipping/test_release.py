"""What is released: a wheel with nothing but the package, which works where there is nothing else."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest
from tests.shipping.ask import example, wait_until_ready

from fedhealth.runtime.ports import free_port

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that ``make release`` fills."""
    folder = tmp_path_factory.mktemp("release") / "dist"
    subprocess.run(["make", "release", f"BIN={Path(sys.prefix) / 'bin'}", f"DIST={folder}"], cwd=ROOT, check=True)
    return folder


def wheel(released: Path) -> Path:
    (found,) = released.glob("*.whl")
    return found


def test_the_wheel_holds_the_package_and_nothing_else(released: Path) -> None:
    names = zipfile.ZipFile(wheel(released)).namelist()
    assert {name.split("/")[0] for name in names} == {
        "fedhealth",
        f"{'-'.join(wheel(released).name.split('-')[:2])}.dist-info",
    }
    package = ROOT / "src" / "fedhealth"
    files = {f"fedhealth/{path.relative_to(package)}" for path in package.rglob("*") if path.is_file()}
    assert {name for name in names if name.startswith("fedhealth/")} == {n for n in files if "__pycache__" not in n}


def test_checksums_fit(released: Path) -> None:
    lines = (released / "SHA256SUMS").read_text().splitlines()
    told = {name: digits for digits, name in (line.split("  ") for line in lines)}
    assert set(told) == {wheel(released).name, "constraints.txt"}
    assert all(hashlib.sha256((released / name).read_bytes()).hexdigest() == digits for name, digits in told.items())


def test_installed_alone_it_trains_and_serves(released: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    programs, work = tmp_path / "venv" / "bin", tmp_path / "work"
    work.mkdir()
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "-q"]
    wanted = [f"{wheel(released)}[api,tables]", "-c", str(released / "constraints.txt")]
    own = {name: value for name, value in os.environ.items() if not name.startswith(("FEDHEALTH", "PYTHON"))}
    subprocess.run([*pip, *wanted], env=own, check=True)
    port = free_port()
    with (
        (tmp_path / "up.log").open("wb") as log,
        subprocess.Popen(
            [programs / "fedhealth", "up", f"--port={port}"], cwd=work, env=own, stdout=log, stderr=log
        ) as up,
    ):
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", 240)
            body, headers = json.dumps(example()).encode(), {"Content-Type": "application/json"}
            question = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, headers)
            with urllib.request.urlopen(question, timeout=10) as response:
                answer = json.load(response)
        finally:
            up.send_signal(signal.SIGINT)
    assert up.returncode == 0, (tmp_path / "up.log").read_text()
    assert 0 < answer["risk_score"] < 1
    (report,) = (work / "runs").glob("*/report.json")
    assert answer["model_version"] == json.loads(report.read_text())["bundle"]["version"]
