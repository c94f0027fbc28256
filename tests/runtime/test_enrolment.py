"""Who gets in: certificates, invitations, refusals with a reason at both ends, and what the proxy lets through."""

import base64
import dataclasses
import http.client
import inspect
import json
import os
import re
import shutil
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.runtime.terminals import (
    NODES,
    Tap,
    Terminals,
    free_port,
    listens,
    run_in_process,
    write_planted_world,
    written,
)
from typer.testing import CliRunner

from fedhealth.cli import app
from fedhealth.data.synthetic import write_world
from fedhealth.registry import load_bundle
from fedhealth.runtime.flower.book import Book
from fedhealth.runtime.flower.certificates import ServerFolder, check_in_force, hosts_of, load, prepare
from fedhealth.runtime.flower.enrolment import (
    Enrolment,
    ServerAway,
    check_plain,
    enrolment_file,
    enrolment_of,
    join,
    make_known,
    node_keys,
    public_pem,
    read_enrolment,
    tls_context,
)
from fedhealth.runtime.flower.environment import FlowerError, private_environment
from fedhealth.runtime.flower.listening import listening
from fedhealth.runtime.flower.opening import Register, opened
from fedhealth.runtime.flower.proxy import PASSED, FleetProxy

HOST = "127.0.0.1"


def typed(*words: str, code: int = 0) -> str:
    """What a command prints."""
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture
def folder(tmp_path: Path) -> ServerFolder:
    made = ServerFolder(tmp_path / "server")
    prepare(made, ["server.example"])
    return made


class Door:
    """A server's outside door, without a SuperLink behind it."""

    def __init__(self, folder: ServerFolder, superlink: str = f"{HOST}:1") -> None:
        self.folder, self.book, self.port = folder, Book(folder.book), free_port()
        self.said: list[str] = []
        ca = folder.authority.read_text(encoding="ascii")
        self.changes: list[list[str]] = []
        self.proxy = FleetProxy(self.book, superlink, ca, self._follow, self.said.append)

    def _follow(self) -> None:
        self.changes.append([node.name for node in self.book.nodes() if node.state == "enrolled"])

    @contextmanager
    def open(self) -> Iterator["Door"]:
        with listening(self.proxy, self.folder, HOST, self.port):
            yield self

    def invitation(self, node: str) -> Enrolment:
        ca = self.folder.authority.read_text(encoding="ascii")
        return Enrolment(node, f"{HOST}:{self.port}", ca, self.book.invite(node), "health-risk", "0" * 64)

    def ask(self, path: str, body: bytes = b"", key: str = "", method: str = "POST") -> tuple[int, bytes]:
        context = tls_context(self.folder.authority.read_text(encoding="ascii"))
        connection = http.client.HTTPSConnection(HOST, self.port, context=context, timeout=10)
        connection.request(method, path, body, {"flwr-public-key": base64.b64encode(key.encode()).decode()})
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer


@pytest.fixture
def door(folder: ServerFolder) -> Iterator[Door]:
    with Door(folder).open() as opened:
        yield opened


def heard(lines: list[str], text: str) -> bool:
    """Whether a line with ``text`` comes within a moment."""
    until = time.monotonic() + 5
    while not any(text in line for line in lines) and time.monotonic() < until:
        time.sleep(0.02)
    return any(text in line for line in lines)


def test_an_authority_is_kept_and_only_its_certificate_is_open(folder: ServerFolder) -> None:
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    said = prepare(folder, ["server.example"])
    assert all(line.startswith("kept") for line in said)
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before
    for path in (folder.authority_key, folder.key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load(folder.authority).not_valid_after_utc > datetime.now(UTC) + timedelta(days=3600)
    assert hosts_of(load(folder.certificate))[0] == "server.example"


def test_an_expired_certificate_is_renewed_and_a_new_name_added(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path)
    prepare(folder, ["10.1.2.3"], datetime.now(UTC) - timedelta(days=400))
    with pytest.raises(FlowerError, match=r"expired on .*; renew it: fedhealth server init"):
        check_in_force(folder)
    assert prepare(folder, ["other.example"])[1].startswith("renewed")
    check_in_force(folder)
    assert {"10.1.2.3", "other.example"} <= set(hosts_of(load(folder.certificate)))


def test_half_an_authority_is_not_replaced(folder: ServerFolder) -> None:
    folder.authority_key.unlink()
    with pytest.raises(FlowerError, match="only one is there; restore the other"):
        prepare(folder, [])


def test_a_node_enrols_once_and_is_known_again(door: Door, tmp_path: Path) -> None:
    invitation = door.invitation("node_1")
    assert invitation.token.encode() not in door.folder.book.read_bytes()  # only its hash is kept
    join(invitation, tmp_path)
    kept = enrolment_of(tmp_path, "node_1")
    assert kept is not None
    assert kept.token == ""
    for path in (enrolment_file(tmp_path, "node_1"), tmp_path / "node_1.node-key.pem", tmp_path / "node_1.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert abs(make_known(kept, tmp_path).ahead) < 5
    assert door.changes == [["node_1"]]
    assert door.said == ["node_1 enrolled"]
    assert door.book.nodes()[0].state == "enrolled"


def test_a_server_that_is_away_leaves_a_node_ready(folder: ServerFolder, tmp_path: Path) -> None:
    door = Door(folder)
    with pytest.raises(ServerAway, match="no server answers at"):
        join(door.invitation("node_1"), tmp_path)
    ready = enrolment_of(tmp_path, "node_1")
    assert ready is not None
    assert ready.token
    with door.open():
        make_known(ready, tmp_path)  # as at its first connection
    assert door.changes == [["node_1"]]


def test_a_used_token_is_refused(door: Door, tmp_path: Path) -> None:
    invitation = door.invitation("node_1")
    join(invitation, tmp_path / "owner")
    with pytest.raises(FlowerError, match="the invitation of node_1 was used already"):
        join(invitation, tmp_path / "thief")
    assert any("the invitation of node_1 was used already" in line for line in door.said)


def test_a_later_invitation_voids_the_one_before(door: Door, tmp_path: Path) -> None:
    first, second = door.invitation("node_1"), door.invitation("node_1")
    with pytest.raises(FlowerError, match="not of its latest invitation"):
        join(first, tmp_path)
    join(second, tmp_path)
    with pytest.raises(FlowerError, match="first: fedhealth server revoke node_1"):
        door.book.invite("node_1")


def test_a_revoked_node_is_refused_until_it_is_invited_anew(door: Door, tmp_path: Path) -> None:
    join(door.invitation("node_1"), tmp_path)
    key = public_pem(node_keys(tmp_path, "node_1")[1])
    assert door.ask("/v1/fleet/pull-messages", key=key)[0] == 503  # let through; there is no SuperLink here
    door.book.revoke("node_1")
    status, answer = door.ask("/v1/fleet/pull-messages", key=key)
    assert status == 410
    assert b"node_1 was revoked on" in answer
    assert door.changes[-1] == []  # at once, and not only when it would be missed
    kept = enrolment_of(tmp_path, "node_1")
    assert kept is not None
    with pytest.raises(FlowerError, match=r"node_1 was revoked on .*; it needs a new invitation"):
        make_known(kept, tmp_path)
    assert any("node_1 was revoked" in line for line in door.said)
    join(door.invitation("node_1"), tmp_path)
    assert door.ask("/v1/fleet/pull-messages", key=key)[0] == 503


def test_a_node_that_nobody_invited_is_refused(door: Door, tmp_path: Path) -> None:
    forged = dataclasses.replace(door.invitation("node_1"), node="node_7")
    with pytest.raises(FlowerError, match="node_7 is not invited"):
        join(forged, tmp_path)
    stranger = public_pem(node_keys(tmp_path, "node_7")[1])
    status, answer = door.ask("/v1/fleet/activate-node", key=stranger)
    assert status == 410
    assert b"an unregistered node" in answer
    assert any("an unregistered node" in line for line in door.said)


def test_a_node_under_the_name_of_another_is_refused(door: Door, tmp_path: Path) -> None:
    for node in ("node_1", "node_2"):
        join(door.invitation(node), tmp_path / node)
    own = enrolment_of(tmp_path / "node_2", "node_2")
    assert own is not None
    for kind in ("node-key.pem", "key"):
        (tmp_path / "node_2" / f"node_2.{kind}").rename(tmp_path / "node_2" / f"node_1.{kind}")
    with pytest.raises(FlowerError, match="a node came as node_1 with the key of node_2"):
        make_known(dataclasses.replace(own, node="node_1"), tmp_path / "node_2")


def test_another_authority_is_refused_by_the_node_and_told_to_the_server(door: Door, tmp_path: Path) -> None:
    other = ServerFolder(tmp_path / "other")
    prepare(other, [])
    invitation = dataclasses.replace(door.invitation("node_1"), ca=other.authority.read_text(encoding="ascii"))
    with pytest.raises(FlowerError, match="not the server that sent the invitation: another authority signed"):
        join(invitation, tmp_path)
    assert heard(door.said, "it does not know this server's authority")
    assert door.changes == []


def test_a_node_without_tls_is_refused_and_told_how_to_enrol(door: Door) -> None:
    with pytest.raises(FlowerError, match=r"takes enrolled nodes only, over TLS; .* fedhealth node join FILE"):
        check_plain(f"{HOST}:{door.port}")
    assert heard(door.said, "it came without TLS")
    with pytest.raises(FlowerError, match="on another machine, and this node is not enrolled there"):
        check_plain("server.example:9092")


def test_an_expired_certificate_is_named_at_both_ends(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path / "server")
    prepare(folder, [], datetime.now(UTC) - timedelta(days=400))
    with Door(folder).open() as door:
        with pytest.raises(FlowerError, match=r"expired; its operator renews it: fedhealth server init"):
            join(door.invitation("node_1"), tmp_path)
        assert heard(door.said, "finds this server's certificate expired")
    said = typed_server("--folder", str(folder.path))
    assert "renew it: fedhealth server init" in said


def typed_server(*words: str) -> str:
    """What the server's command prints where it refuses to start."""
    import typer

    from fedhealth.cli.flower import server

    single = typer.Typer()
    single.command()(server)
    result = CliRunner().invoke(single, list(words))
    assert result.exit_code == 1, result.output
    return " ".join(result.output.split())


def test_no_server_opens_to_other_machines_without_certificates(tmp_path: Path) -> None:
    said = typed_server("--host", "0.0.0.0", "--folder", str(tmp_path / "none"))
    assert "--host 0.0.0.0 is reached from other machines" in said
    assert "fedhealth server init --host NAME" in said


def test_a_certificate_for_other_names_is_said_to_be(door: Door, tmp_path: Path) -> None:
    invitation = dataclasses.replace(door.invitation("node_1"), server=f"127.0.0.2:{door.port}")
    elsewhere = listening(door.proxy, door.folder, "127.0.0.2", door.port)
    with elsewhere, pytest.raises(FlowerError, match="fedhealth server init --host NAME"):
        join(invitation, tmp_path)


def test_a_clock_that_is_off_is_said_to_be(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedhealth.runtime.flower.enrolment.LARGEST_SKEW", -1.0)
    with pytest.raises(FlowerError, match=r"this machine's clock is [+-]\d+ s off the server's"):
        join(door.invitation("node_1"), tmp_path)


@pytest.fixture
def echo(folder: ServerFolder) -> Iterator[tuple[Door, list[str]]]:
    """A door before something that answers everything, as a SuperLink does, and notes what reached it."""
    reached: list[str] = []

    class Everything:
        tell = staticmethod(print)

        async def __call__(self, scope, receive, send):
            if scope["type"] == "lifespan":
                for kind in ("startup", "shutdown"):
                    await receive()
                    await send({"type": f"lifespan.{kind}.complete"})
                return
            reached.append(scope["path"])
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"a/b")]})
            await send({"type": "http.response.body", "body": b"from inside"})

    inside = free_port()
    with listening(Everything(), folder, HOST, inside), Door(folder, f"{HOST}:{inside}").open() as door:
        yield door, reached


def test_only_what_nodes_need_is_passed_on(echo: tuple[Door, list[str]], tmp_path: Path) -> None:
    door, reached = echo
    join(door.invitation("node_1"), tmp_path)
    key = public_pem(node_keys(tmp_path, "node_1")[1])
    for path in sorted(PASSED):
        assert door.ask(path, b"x", key) == (200, b"from inside")
    assert sorted(reached) == sorted(PASSED)
    closed = [
        "/v1/control/start-run",
        "/v1/control/register-node",
        "/v1/control/list-nodes",
        "/v1/runtime/push-messages",
        "/v1/fleet/register-node",
        "/v1/fleet/unregister-node",
        "/v1/fleet/get-fab",
        "/v1/fleet/../control/start-run",
        "/v1/fleet/%2e%2e/control/start-run",
        "/v1/fleet/pull-messages/../../control/start-run",
        "//v1/control/start-run",
        "/v1/fleet",
        "/docs",
        "/openapi.json",
        "/health",
        "/",
    ]
    for path in closed:
        assert door.ask(path, b"x", key)[0] == 404, path
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        assert door.ask("/v1/fleet/pull-messages", b"", key, method)[0] == 404
    assert len(reached) == len(PASSED)
    assert any("POST /v1/control/start-run is not open to nodes" in line for line in door.said)


def test_no_control_request_of_flowers_is_passed_on(echo: tuple[Door, list[str]], tmp_path: Path) -> None:
    """Every method that Flower's own control client has, so that a new one does not go unnoticed."""
    from flwr.supercore.control.control_http_client import ControlHttpClient
    from flwr.supercore.protobuf.client import ProtobufClient

    door, reached = echo
    join(door.invitation("node_1"), tmp_path)
    key = public_pem(node_keys(tmp_path, "node_1")[1])
    asked: list[str] = []

    class Noting(ControlHttpClient):
        def __init__(self) -> None:
            pass

        def _unary_unary(self, *, path, **_):
            asked.append(path)

        _unary_stream = _unary_unary

    for name in set(dir(ControlHttpClient)) - set(dir(ProtobufClient)):
        getattr(Noting(), name)(None)
    assert len(asked) > 20
    assert {door.ask(path, b"", key)[0] for path in asked} == {404}
    assert reached == []


def test_flowers_fleet_requests_are_the_known_ones() -> None:
    """What a node may ask is a list here; a new request of Flower's must be looked at before it is passed on."""
    from flwr.supernode.fleet_http_client import FleetHttpClient

    asked = set(re.findall(r"/v1/fleet/[a-z-]+", inspect.getsource(FleetHttpClient)))
    kept_out = {"register-node", "unregister-node", "get-run", "get-fab"}
    assert asked - PASSED == {f"/v1/fleet/{name}" for name in kept_out}
    assert asked >= PASSED


@pytest.mark.parametrize(("field", "value"), [("node", "../../etc/x"), ("node", ""), ("server", "a.example")])
def test_an_invitation_that_would_write_elsewhere_is_refused(
    folder: ServerFolder, tmp_path: Path, field: str, value: str
) -> None:
    file = tmp_path / "invitation.json"
    dataclasses.replace(Door(folder).invitation("node_1"), **{field: value}).write(file)
    assert "not an enrolment file" in typed("node", "join", str(file), "--data", str(tmp_path / "data"), code=1)
    assert not (tmp_path / "data").exists()


def test_a_huge_request_and_a_senseless_enrolment_are_refused(
    echo: tuple[Door, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, reached = echo
    monkeypatch.setattr("fedhealth.runtime.flower.proxy.LARGEST", 1000)
    join(door.invitation("node_1"), tmp_path)
    key = public_pem(node_keys(tmp_path, "node_1")[1])
    assert door.ask("/v1/fleet/push-object", bytes(1001), key)[0] == 413
    assert door.ask("/v1/fleet/push-object", b"x", "no key")[0] == 410
    assert reached == []
    told = {"node": "node_2", "node_key": key, "signing_key": "ab", "token": ""}
    for body in (b"", b"{}", b"[" * 5000, json.dumps(told).encode(), json.dumps({**told, "node_key": "x"}).encode()):
        status, answer = door.ask("/v1/enrol", body)
        assert status == 400
        assert b"Traceback" not in answer


def test_commands_from_init_to_revoke(tmp_path: Path) -> None:
    folder, file, data = str(tmp_path / "server"), str(tmp_path / "node_1.json"), str(tmp_path / "data")
    said = typed("server", "invite", "node_1", "--folder", folder, code=1)
    assert "fedhealth server init --host NAME" in said
    assert "Made an authority" in typed("server", "init", "--host", "localhost", "--folder", folder)
    assert "has no node 'nobody'" in typed("server", "invite", "nobody", "--folder", folder, code=1)
    said = typed("server", "invite", "node_1", "--to", file, "--port", str(free_port()), "--folder", folder)
    assert "It works once" in said or "it works once" in said
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
    said = typed("node", "join", file, "--data", data)
    assert "it enrols when it first connects" in said
    assert "signing key:" in said
    assert "invited" in typed("server", "nodes", "--folder", folder)
    assert "node_1 is revoked" in typed("server", "revoke", "node_1", "--folder", folder)
    assert "revoked" in typed("server", "nodes", "--folder", folder)
    assert "never invited" in typed("server", "revoke", "node_3", "--folder", folder, code=1)
    Path(file).write_text("{}", encoding="utf-8")
    assert "not an enrolment file" in typed("node", "join", file, "--data", data, code=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_world(folder, 1500, 7)
    return folder


class Waiting(Terminals):
    """A server that takes enrolled nodes, and waits for them."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self.server, self.port = ServerFolder(folder / "server"), free_port()
        prepare(self.server, [HOST])
        self.options = ["--runs", str(folder / "runs"), "--port", str(self.port), *options]

    def open(self) -> None:
        self.start("server", "fl/server.py", "--host", "0.0.0.0", *self.options)
        until = time.monotonic() + 60
        while not listens(self.port):
            assert time.monotonic() < until, self.screen("server")
            time.sleep(0.2)

    def invite(self, node: str, port: int = 0) -> Path:
        """An invitation of a node, through another port where a tap listens there."""
        file = self.folder / f"{node}.invitation.json"
        typed("server", "invite", node, "--to", str(file), "--folder", str(self.server.path), "--port", str(self.port))
        if port:
            dataclasses.replace(read_enrolment(file), server=f"{HOST}:{port}").write(file)
        return file

    def enrolment(self, node: str, **changes: str) -> Enrolment:
        ca = self.server.authority.read_text(encoding="ascii")
        made = Enrolment(node, f"{HOST}:{self.port}", ca, "", "health-risk", "0" * 64)
        return dataclasses.replace(made, **changes)

    def node(self, name: str, data: Path) -> None:
        options = ["--data", str(data), "--runs", str(self.folder / "runs"), "--port", str(self.port)]
        self.start(name, f"fl/client_{name.replace('_', '')}.py", *options)

    def refused(self, name: str) -> str:
        """What a node prints that ends because it is refused, in one line, without a traceback."""
        code, screen = self.end(name, 60)
        assert code == 1, screen
        assert "Traceback" not in screen
        assert "Error: " in screen
        return " ".join(screen.split())


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waiting]:
    opened = Waiting(tmp_path_factory.mktemp("waiting"))
    opened.open()
    yield opened
    for child in opened.children.values():
        child.terminate()
        child.wait(20)


def own_data(data: Path, folder: Path) -> Path:
    """The tables, in a folder whose keys and enrolments no other test touches."""
    return Path(shutil.copytree(data, folder / "data"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_enrolled_nodes_over_tls_give_the_same_bundle_and_nothing_is_readable_on_the_way(
    tmp_path: Path, terminals: Terminals
) -> None:
    data, told = tmp_path / "data", 6.1234567890123
    write_planted_world(data, told)
    here = Waiting(terminals.folder, "--model", "logistic")
    terminals.children = here.children  # ended with the test
    tap = Tap(here.port)
    for name in NODES:
        typed("node", "join", str(here.invite(name, tap.port)), "--data", str(data))
    here.open()
    for name in NODES:
        here.node(name, data)
    code, screen = here.end("server", 540)
    tap.close()
    assert code == 0, screen
    for name in NODES:
        assert f"{name} enrolled" in screen
        assert f"{name} is here" in screen
        assert f"{name}: the run is finished" in here.end(name, 20)[1]
    alone = run_in_process(data, tmp_path / "alone", "--model", "logistic")
    assert load_bundle(written(screen)).hash == load_bundle(alone).hash
    for way in (bytes(tap.sent), bytes(tap.answered)):
        assert len(way) > 20_000
        assert np.float64(told).tobytes() not in way
        assert not re.search(rb"node_\d|health-risk|study_hash|/v1/fleet|BEGIN PUBLIC KEY", way)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_plaintext_node_is_refused(waiting: Waiting, data: Path, tmp_path: Path) -> None:
    waiting.node("node_1", own_data(data, tmp_path))
    said = waiting.refused("node_1")
    assert "takes enrolled nodes only, over TLS" in said
    assert "fedhealth node join FILE" in said
    waiting.wait_for("server", "it came without TLS", 10)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_unregistered_node_is_refused(waiting: Waiting, data: Path, tmp_path: Path) -> None:
    data = own_data(data, tmp_path)
    waiting.enrolment("node_3").write(enrolment_file(data, "node_3"))
    waiting.node("node_3", data)
    assert "refused node_3: node_3 is not invited" in waiting.refused("node_3")
    waiting.wait_for("server", "node_3 is not invited", 10)


@pytest.mark.slow
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
        *("--superlink", f"{HOST}:{waiting.port}"),
        *("--host", HOST, "--port", str(free_port()), "--isolation", "process"),
    )
    code, screen = waiting.end("stranger", 60)
    assert code != 0
    assert "an unregistered node" in screen, screen
    waiting.wait_for("server", "an unregistered node", 10)


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_node_that_knows_another_authority_is_refused(waiting: Waiting, data: Path, tmp_path: Path) -> None:
    data, other = own_data(data, tmp_path), ServerFolder(tmp_path / "other")
    prepare(other, [])
    ca = other.authority.read_text(encoding="ascii")
    waiting.enrolment("node_3", ca=ca).write(enrolment_file(data, "node_3"))
    waiting.node("node_3", data)
    assert "another authority signed its certificate" in waiting.refused("node_3")
    waiting.wait_for("server", "it does not know this server's authority", 10)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_node_with_a_used_token_is_refused(waiting: Waiting, data: Path, tmp_path: Path) -> None:
    invitation = waiting.invite("node_3")
    typed("node", "join", str(invitation), "--data", str(tmp_path / "owner"))
    said = typed("node", "join", str(invitation), "--data", str(tmp_path / "thief"), code=1)
    assert "the invitation of node_3 was used already" in said
    waiting.wait_for("server", "the invitation of node_3 was used already", 10)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_flowers_own_register_follows_the_book(folder: ServerFolder, tmp_path: Path) -> None:
    from flwr.proto.control_pb2 import ListNodesRequest
    from flwr.supercore.control.control_http_client import ControlHttpClient

    def listed(opened) -> set[str]:
        with closing(opened.link.client(ControlHttpClient, "test")) as control:
            nodes = control.ListNodes(ListNodesRequest()).nodes_info
            return {node.name for node in nodes if node.status != "unregistered"}

    book, port, said = Book(folder.book), free_port(), []
    with private_environment() as home, opened(HOST, port, folder.path, Path(home), said.append) as here:
        assert listed(here) == set()
        ca = folder.authority.read_text(encoding="ascii")
        for node in NODES:
            join(Enrolment(node, f"{HOST}:{port}", ca, book.invite(node), "health-risk", ""), tmp_path)
        assert listed(here) == set(NODES)
        book.revoke("node_2")
        join(Enrolment("node_2", f"{HOST}:{port}", ca, book.invite("node_2"), "health-risk", ""), tmp_path)
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


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_node_that_takes_another_name_in_the_run_is_refused(waiting: Waiting, data: Path, tmp_path: Path) -> None:
    data = own_data(data, tmp_path)
    typed("node", "join", str(waiting.invite("node_1")), "--data", str(data))
    waiting.start("liar", "-c", AS_ANOTHER, str(data))
    assert "node_1 came as 'node_3'" in waiting.refused("liar")
    waiting.wait_for("server", "refused: node_1 came as 'node_3'", 10)
    assert "node_3 is here" not in waiting.screen("server")


@pytest.mark.slow
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


def findings(*words: str, code: int) -> dict[str, str]:
    """The lines of the doctor's table, by check."""
    result = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["doctor", *words])
    assert result.exit_code == code, result.output
    rows = [re.split(r"\s{2,}", line.strip(), maxsplit=2) for line in result.output.splitlines()[1:] if line.strip()]
    return {row[1]: " ".join(row) for row in rows}


def test_doctor_finds_a_server_well_and_says_what_is_not(door: Door) -> None:
    folder = ["--server", str(door.folder.path)]
    found = findings(*folder, "--port", str(door.port), code=1)
    assert "fedhealth server invite NODE" in found["book of nodes"]
    door.book.invite("node_1")
    found = findings(*folder, "--port", str(door.port), code=0)
    assert "this server listens" in found[f"port {door.port}"]
    assert "free; no server runs" in findings(*folder, "--port", str(free_port()), code=0).popitem()[1]
    door.folder.certificate.unlink()
    prepare(door.folder, [], datetime.now(UTC) - timedelta(days=340))
    door.folder.key.chmod(0o644)
    found = findings(*folder, "--port", str(free_port()), code=1)
    assert "chmod 600" in found["server's keys"]
    assert "run: fedhealth server init" in found["certificate server.crt"]


def test_doctor_names_a_port_that_something_else_has(folder: ServerFolder) -> None:
    with socket.create_server((HOST, 0)) as other:
        other.listen()
        port = other.getsockname()[1]
        threading.Thread(target=lambda: other.accept()[0].close(), daemon=True).start()
        found = findings("--server", str(folder.path), "--port", str(port), code=1)
    assert "taken by something else" in found[f"port {port}"]


def test_doctor_finds_a_node_well_and_says_what_is_not(door: Door, data: Path, tmp_path: Path) -> None:
    data = own_data(data, tmp_path)
    words = ["--node", "node_1", "--data", str(data)]
    found = findings(*words, code=1)
    assert "fedhealth node join FILE" in found["enrolment"]
    join(door.invitation("node_1"), data)
    found = findings(*words, code=0)
    for check in ("table", "policy", "approval", "ledger", "node's keys", "server", "certificate", "clock", "versions"):
        assert found[check].startswith("ok"), found[check]
    (data / "node_1.policy.toml").write_text("minimum_rows = -1\n", encoding="utf-8")
    (data / "node_1.ledger.sqlite").write_bytes(b"not a ledger" * 100)
    next((data / "node_1").iterdir()).write_bytes(b"?")
    door.book.revoke("node_1")
    found = findings(*words, code=1)
    for check in ("table", "policy", "ledger", "server"):
        assert found[check].startswith("!"), found[check]
    assert "node_1 was revoked" in found["server"]
