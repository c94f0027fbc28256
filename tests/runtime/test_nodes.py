"""Real servers and nodes over TLS: the same model as in one process, nothing readable, refusals at both ends."""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.runtime.enrolling import Waiting, own_data, typed
from tests.runtime.terminals import (
    NODES,
    Tap,
    Terminals,
    run_in_process,
    write_planted_world,
    written,
)

from fedhealth.privacy import DELTA, Budget, Ledger, ledger_file
from fedhealth.registry import load_bundle
from fedhealth.runtime.flower.book import Book
from fedhealth.runtime.flower.certificates import ServerFolder, prepare
from fedhealth.runtime.flower.enrolment import Enrolment, enrolment_file, join
from fedhealth.runtime.flower.environment import private_environment
from fedhealth.runtime.flower.opening import Register, opened
from fedhealth.runtime.ports import LOOPBACK, free_port


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waiting]:
    opened = Waiting(tmp_path_factory.mktemp("waiting"))
    opened.open()
    yield opened
    for child in opened.children.values():
        child.terminate()
        child.wait(20)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("epsilon", [None, 3.0])
def test_enrolled_nodes_over_tls_train_as_in_one_process_and_nothing_is_readable_on_the_way(
    tmp_path: Path, terminals: Terminals, epsilon: float | None
) -> None:
    """Secure aggregation is on; without noise the bundle is the same, with noise every node has paid the budget."""
    data, told = tmp_path / "data", 6.1234567890123
    write_planted_world(data, told)
    options = ["--model", "logistic", *(["--epsilon", str(epsilon)] if epsilon else [])]
    here = Waiting(terminals.folder, *options)
    terminals.children = here.children  # ended with the test
    tap = Tap(here.port)
    for name in NODES:
        typed("node", "join", str(here.invite(name, tap.port)), "--data", str(data))
    here.open()
    for name in NODES:
        here.node(name, data)
    code, screen = here.end("server", 700)
    tap.close()
    assert code == 0, screen
    for name in NODES:
        assert f"{name} enrolled" in screen
        assert f"{name} is here" in screen
        assert f"{name}: the run is finished" in here.end(name, 20)[1]
    shutil.copytree(data, tmp_path / "again", ignore=shutil.ignore_patterns("*.ledger.sqlite"))
    alone = run_in_process(tmp_path / "again", tmp_path / "alone", *options)
    if epsilon:
        reports = [json.loads((folder / "report.json").read_text()) for folder in (written(screen), alone)]
        assert reports[0]["privacy"] == reports[1]["privacy"]  # what it promises; the models have noise of their own
        for name in NODES:
            (spent,) = Ledger(name, ledger_file(data, name), 8.0, DELTA).studies()
            assert spent.mu == pytest.approx(Budget(epsilon).mu)
            assert spent.unsettled == 0
    else:
        assert load_bundle(written(screen)).hash == load_bundle(alone).hash
    for way in (bytes(tap.sent), bytes(tap.answered)):
        assert len(way) > 20_000
        assert np.float64(told).tobytes() not in way
        assert not re.search(rb"node_\d|health-risk|study_hash|/v1/fleet|BEGIN PUBLIC KEY", way)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_plaintext_node_is_refused(waiting: Waiting, data: Path, tmp_path: Path) -> None:
    waiting.node("node_1", own_data(data, tmp_path))
    said = waiting.refused("node_1")
    assert "takes enrolled nodes only, over TLS" in said
    assert "fedhealth node join FILE" in said
    waiting.wait_for("server", "it came without TLS", 10)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_an_unregistered_node_is_refused(waiting: Waiting, data: Path, tmp_path: Path) -> None:
    data = own_data(data, tmp_path)
    waiting.enrolment("node_3").write(enrolment_file(data, "node_3"))
    waiting.node("node_3", data)
    assert "refused node_3: node_3 is not invited" in waiting.refused("node_3")
    waiting.wait_for("server", "node_3 is not invited", 10)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_stock_supernode_with_an_unregistered_key_is_refused(waiting: Waiting, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    plain = serialization.NoEncryption()
    path = tmp_path / "stranger"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, plain))
    waiting.start(
        "stranger",
        "-c",
        "from flwr.supernode.cli.flower_supernode import flower_supernode as f; f()",
        *("--root-certificates", str(waiting.server.authority)),
        *("--auth-supernode-private-key", str(path)),
        *("--superlink", f"{LOOPBACK}:{waiting.port}"),
        *("--host", LOOPBACK, "--port", str(free_port()), "--isolation", "process"),
    )
    code, screen = waiting.end("stranger", 60)
    assert code != 0
    assert "an unregistered node" in screen, screen
    waiting.wait_for("server", "an unregistered node", 10)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_node_that_is_revoked_in_a_run_is_cut_off_and_refused(waiting: Waiting, data: Path, tmp_path: Path) -> None:
    data = own_data(data, tmp_path)
    typed("node", "join", str(waiting.invite("node_2")), "--data", str(data))
    waiting.node("node_2", data)
    waiting.wait_for("server", "node_2 is here", 60)
    typed("server", "revoke", "node_2", "--folder", str(waiting.server.path))
    assert "node_2 was revoked on" in waiting.refused("node_2")
    waiting.wait_for("server", "node_2 was revoked on", 10)
    waiting.node("node_2", data)
    assert "refused node_2: node_2 was revoked on" in waiting.refused("node_2")


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_node_that_knows_another_authority_is_refused(waiting: Waiting, data: Path, tmp_path: Path) -> None:
    data, other = own_data(data, tmp_path), ServerFolder(tmp_path / "other")
    prepare(other, [])
    ca = other.authority.read_text(encoding="ascii")
    waiting.enrolment("node_3", ca=ca).write(enrolment_file(data, "node_3"))
    waiting.node("node_3", data)
    assert "another authority signed its certificate" in waiting.refused("node_3")
    waiting.wait_for("server", "it does not know this server's authority", 10)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_node_with_a_used_token_is_refused(waiting: Waiting, data: Path, tmp_path: Path) -> None:
    invitation = waiting.invite("node_3")
    typed("node", "join", str(invitation), "--data", str(tmp_path / "owner"))
    said = typed("node", "join", str(invitation), "--data", str(tmp_path / "thief"), code=1)
    assert "the invitation of node_3 was used already" in said
    waiting.wait_for("server", "the invitation of node_3 was used already", 10)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_flowers_own_register_follows_the_book(folder: ServerFolder, tmp_path: Path) -> None:
    from flwr.proto.control_pb2 import ListNodesRequest
    from flwr.supercore.control.control_http_client import ControlHttpClient

    def listed(opened) -> set[str]:
        with closing(opened.link.client(ControlHttpClient, "test")) as control:
            nodes = control.ListNodes(ListNodesRequest()).nodes_info
            return {node.name for node in nodes if node.status != "unregistered"}

    book, port, said = Book(folder.book), free_port(), []
    with private_environment() as home, opened(LOOPBACK, port, folder.path, Path(home), said.append) as here:
        assert listed(here) == set()
        ca = folder.authority.read_text(encoding="ascii")
        for node in NODES:
            join(Enrolment(node, f"{LOOPBACK}:{port}", ca, book.invite(node), "health-risk", ""), tmp_path)
        assert listed(here) == set(NODES)
        book.revoke("node_2")
        join(Enrolment("node_2", f"{LOOPBACK}:{port}", ca, book.invite("node_2"), "health-risk", ""), tmp_path)
        assert listed(here) == set(NODES)
        book.revoke("node_1")
        for _ in range(2):
            Register(here.link, book).bring_in_line()
        assert listed(here) == {"node_2", "node_3"}
    assert said == [f"{node} enrolled" for node in (*NODES, "node_2")]


AS_ANOTHER = """
import sys
from pathlib import Path
from fedhealth.runtime.flower.environment import FlowerError, private_environment
with private_environment():
    from fedhealth.runtime.flower.client import NodeConfig
    from fedhealth.runtime.flower.enrolment import enrolment_of
    from fedhealth.runtime.flower.node import serve_node
    own = enrolment_of(Path(sys.argv[1]), "node_1")
    try:
        serve_node("", NodeConfig("node_3", "health-risk", sys.argv[1], sys.argv[1]), lambda: None, own)
    except FlowerError as error:
        raise SystemExit(f"Error: {error}")
"""


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_node_that_takes_another_name_in_the_run_is_refused(waiting: Waiting, data: Path, tmp_path: Path) -> None:
    data = own_data(data, tmp_path)
    typed("node", "join", str(waiting.invite("node_1")), "--data", str(data))
    waiting.start("liar", "-c", AS_ANOTHER, str(data))
    assert "node_1 came as 'node_3'" in waiting.refused("liar")
    waiting.wait_for("server", "refused: node_1 came as 'node_3'", 10)
    assert "node_3 is here" not in waiting.screen("server")


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_supervised_node_waits_for_its_server_and_comes_back_after_a_kill(
    data: Path, tmp_path: Path, terminals: Terminals
) -> None:
    here, data = Waiting(terminals.folder), own_data(data, tmp_path)
    terminals.children = here.children
    typed("node", "join", str(here.invite("node_1")), "--data", str(data))
    here.start("node_1", "-m", "fedhealth", "node", "run", "node_1", "--data", str(data), "--runs", str(tmp_path))
    here.wait_for("node_1", "no server answers at", 60)
    here.wait_for("node_1", "trying again in 4 s", 60)
    here.open()
    here.wait_for("node_1", "node_1: connected", 60)
    here.wait_for("server", "node_1 is here", 60)
    (child,) = children_of(here.children["node_1"].pid)
    os.kill(child, signal.SIGKILL)
    here.wait_for("node_1", "killed by signal 9", 30)
    here.wait_for("node_1", "an earlier connection of this node holds its place", 60)
    until = time.monotonic() + 120
    while here.screen("node_1").count("node_1: connected") < 2:
        assert time.monotonic() < until, here.screen("node_1")
        time.sleep(0.2)
    (child,) = children_of(here.children["node_1"].pid)
    os.kill(here.children["node_1"].pid, signal.SIGKILL)  # its process must not stay behind and hold the place
    until = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < until:
        time.sleep(0.2)
    assert not Path(f"/proc/{child}").exists()
    assert "Traceback" not in here.screen("node_1")


def children_of(pid: int) -> list[int]:
    """The processes that take part; Python's own helper process is none."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    command = {int(one): Path(f"/proc/{one}/cmdline").read_bytes() for one in found}
    return [one for one, line in command.items() if b"spawn_main" in line]
