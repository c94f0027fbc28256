import os
import re
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tests.runtime.terminals import (
    NODES,
    TOP,
    Tap,
    Terminals,
    listens,
    run_in_process,
    write_planted_world,
    written,
)
from typer.testing import CliRunner

from fedhealth import __version__
from fedhealth.cli import app
from fedhealth.cli.flower import train_with_flower
from fedhealth.cli.training import Model, Training
from fedhealth.data.synthetic import write_world
from fedhealth.monitoring.nodes import kept_looks
from fedhealth.monitoring.store import Store
from fedhealth.registry import load_bundle, publish
from fedhealth.runtime.flower.enrolment import Enrolment, enrolment_file


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_world(folder, 2000, 7)
    return folder


def train_as_typed(terminals: Terminals, data: Path, port: int, *options: str, study: str = "health-risk") -> str:
    """Four terminals, two nodes before the server; everything must end by itself."""
    runs, common = str(terminals.folder / "runs"), ["--port", str(port), "--study", study]
    node = ["--data", str(data), "--runs", runs, *common]
    terminals.start("node_2", "fl/client_node2.py", *node)
    terminals.start("node_3", "-m", "fl.client_node3", *node)
    terminals.start("server", "fl/server.py", "--runs", runs, *common, *options)
    terminals.start("node_1", "fl/client_node1.py", *node)
    code, screen = terminals.end("server", 270)
    assert code == 0, screen
    for name in NODES:
        code, ending = terminals.end(name, 20)
        assert code == 0, ending
        assert f"{name}: the run is finished" in ending
    return screen


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_four_processes_give_the_same_parameters_as_one(data: Path, port: int, terminals: Terminals) -> None:
    screen = train_as_typed(terminals, data, port)
    over_flower = load_bundle(written(screen))
    in_process = load_bundle(run_in_process(data, terminals.folder / "alone"))
    for name, array in in_process.model.arrays().items():
        np.testing.assert_array_equal(array, over_flower.model.arrays()[name])
    assert over_flower.hash == in_process.hash
    lines = [line for line in screen.splitlines() if line.startswith("round=")]
    assert len(lines) >= 3
    for key in ("loss=", "accuracy=", "auroc=", *(f"loss.{name}=" for name in NODES)):
        assert key in lines[-1]
    audits = [terminals.folder / "runs" / "audit" / f"{name}.jsonl" for name in NODES]
    assert all(path.is_file() for path in audits)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_nodes_say_over_the_network_how_the_model_does_as_they_do_here(
    data: Path, port: int, terminals: Terminals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{terminals.folder / 'store.db'}")
    runs, models = terminals.folder / "runs", terminals.folder / "models"
    version = publish(run_in_process(data, runs, "--model", "logistic"), models, "promote", "first").version
    asked = ["--models", str(models), "--runs", str(runs)]
    for name in NODES:
        node = ["--data", str(data), "--runs", str(runs), "--port", str(port)]
        terminals.start(name, f"fl/client_{name.replace('_', '')}.py", *node)
    over_network = ["-m", "fedhealth", "monitor", "nodes", *asked, "--host", "127.0.0.1", "--port", str(port)]
    terminals.start("server", *over_network)
    code, screen = terminals.end("server", 270)
    assert code == 0, screen
    found = figures_kept(version)
    assert CliRunner().invoke(app, ["monitor", "nodes", *asked, "--data", str(data)]).exit_code == 0
    assert found == figures_kept(version)
    assert list(found) == list(NODES)


def figures_kept(version: str) -> dict[str, Any]:
    with Store().session() as session:
        return {node: one.figures for node, one in sorted(kept_looks(session, version).items())}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("options", [(), ("--epsilon", "3")])
def test_no_value_and_no_identity_of_a_person_is_in_the_bytes_that_nodes_send(
    options: tuple[str, ...], tmp_path: Path, port: int, terminals: Terminals
) -> None:
    data, told = tmp_path / "data", 6.1234567890123
    write_planted_world(data, told)
    runs, tap = terminals.folder / "runs", Tap(port)
    terminals.start("server", "fl/server.py", "--runs", str(runs), "--port", str(port), "--model", "logistic", *options)
    terminals.wait_for("server", "Server on")
    until = time.monotonic() + 60
    while not listens(port) and time.monotonic() < until:
        time.sleep(0.2)
    for name in NODES:
        node = ["--data", str(data), "--runs", str(runs), "--port", str(tap.port)]
        terminals.start(name, f"fl/client_{name.replace('_', '')}.py", *node)
    code, screen = terminals.end("server", 270)
    tap.close()
    assert code == 0, screen
    assert len(tap.sent) > 20_000
    assert b"node_1" in tap.sent  # a control: names of nodes do travel, and are found
    assert np.float64(told).tobytes() not in tap.sent
    assert not re.search(rb"node_\d-\d{7}", bytes(tap.sent))  # as people are called in the tables


@pytest.mark.full
@pytest.mark.timeout(300)
def test_the_network_too_is_the_same_over_flower(data: Path, port: int, terminals: Terminals) -> None:
    models, study = terminals.folder / "models", terminals.folder / "open.toml"
    text = (TOP / "src/fedhealth/study/builtin/health-risk.toml").read_text(encoding="utf-8")
    study.write_text('policy = "research"\n' + text, encoding="utf-8")  # so that answers come node by node
    settings = ("--model", "mlp", "--models")
    screen = train_as_typed(terminals, data, port, *settings, str(models), study=str(study))
    alone = terminals.folder / "alone"
    alone = run_in_process(data, alone, "--study", str(study), *settings, str(models / "alone"))
    assert written(screen).name == alone.name  # the name holds a hash over all weights
    assert (models / "global_model.pth").read_bytes() == (models / "alone" / "global_model.pth").read_bytes()


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:GitWildMatchPattern")  # flwr packs its app with an old name of pathspec's
def test_one_command_starts_the_nodes_itself_and_none_goes_to_another_server(
    data: Path, port: int, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(data, tmp_path / "data"))
    Enrolment("node_1", "127.0.0.1:1", "", "", "health-risk", "0" * 64).write(enrolment_file(own, "node_1"))
    bundle, report, folder = train_with_flower(
        "health-risk", own, None, Training(Model.logistic, runs=tmp_path / "runs"), port
    )
    assert bundle is not None
    assert report["took_part"] == list(NODES)
    assert report["synthetic"]
    assert load_bundle(folder).hash == bundle.hash
    assert list(report["network"]) == list(NODES)
    for told in report["network"].values():
        assert told["version"] == __version__
        assert told["received"] > 10_000
        assert told["sent"] > 10_000


@pytest.mark.slow
def test_a_node_with_another_study_is_refused_by_name(data: Path, port: int, terminals: Terminals) -> None:
    text = (TOP / "src/fedhealth/study/builtin/health-risk.toml").read_text(encoding="utf-8")
    other = terminals.folder / "other.toml"
    other.write_text(text.replace("threshold = 0.2", "threshold = 0.3"), encoding="utf-8")
    common = ["--port", str(port), "--runs", str(terminals.folder)]
    terminals.start("server", "fl/server.py", "--wait", "15", *common)
    terminals.start("node_2", "fl/client_node2.py", "--data", str(data), "--study", str(other), *common)
    code, screen = terminals.end("node_2", 60)
    assert code == 1
    assert "the server refused: node_2 refused: it takes part in study 'health-risk'" in " ".join(screen.split())
    assert "Traceback" not in screen
    code, screen = terminals.end("server", 60)  # the others, or a node_2 with the right study, could still have come
    assert code == 1
    assert "did not come: node_1, node_2, node_3; turned away: node_2 refused" in screen
    assert "start both with the same --study" in screen
    assert "Traceback" not in screen


@pytest.mark.slow
def test_missing_data_and_a_taken_port_are_said_plainly(port: int, terminals: Terminals) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        terminals.start("server", "fl/server.py", "--port", str(port))
        terminals.start("node_1", "fl/client_node1.py", "--data", str(terminals.folder))
        code, screen = terminals.end("server", 60)
        assert code == 1
        assert f"port {port} is taken; choose another with --port" in screen
        code, screen = terminals.end("node_1", 60)
        assert code == 1
        assert "python data/generate_synthetic_data.py" in screen


@pytest.mark.full
def test_a_killed_server_leaves_no_superlink_behind(port: int, terminals: Terminals) -> None:
    terminals.start("server", "fl/server.py", "--port", str(port))
    until = time.monotonic() + 60
    while not listens(port):
        assert time.monotonic() < until, terminals.screen("server")
        time.sleep(0.2)
    os.kill(terminals.children["server"].pid, signal.SIGKILL)
    until = time.monotonic() + 20
    while listens(port) and time.monotonic() < until:
        time.sleep(0.1)
    assert not listens(port)


@pytest.mark.slow
def test_ctrl_c_ends_the_server_and_its_superlink(port: int, terminals: Terminals) -> None:
    terminals.start("server", "fl/server.py", "--port", str(port))
    until = time.monotonic() + 60
    while not listens(port):
        assert time.monotonic() < until, terminals.screen("server")
        time.sleep(0.2)
    os.kill(terminals.children["server"].pid, signal.SIGINT)
    code, screen = terminals.end("server", 30)
    assert code == 130
    assert "Stopped." in screen
    assert "Traceback" not in screen
    assert not listens(port)


@pytest.mark.slow
def test_a_superlink_that_is_killed_ends_the_run_and_the_server_says_how_to_go_on(
    port: int, terminals: Terminals
) -> None:
    terminals.start("server", "fl/server.py", "--port", str(port))
    until = time.monotonic() + 60
    while not listens(port):
        assert time.monotonic() < until, terminals.screen("server")
        time.sleep(0.2)
    children = psutil.Process(terminals.children["server"].pid).children()
    next(child for child in children if "superlink" in " ".join(child.cmdline())).kill()
    code, screen = terminals.end("server", 30)
    assert code == 1, screen
    assert "Flower's SuperLink ended (exit code -9) and the run with it; to go on, add --resume" in screen
    assert "Traceback" not in screen
