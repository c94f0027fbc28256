"""What a server's outside door passes on to Flower, and what ends there."""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runtime.enrolling import Door

from fedhealth.runtime.flower.certificates import ServerFolder
from fedhealth.runtime.flower.enrolment import join, node_keys, public_pem
from fedhealth.runtime.flower.listening import listening
from fedhealth.runtime.flower.proxy import PASSED
from fedhealth.runtime.ports import LOOPBACK, free_port


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
    with listening(Everything(), folder, LOOPBACK, inside), Door(folder, f"{LOOPBACK}:{inside}").open() as door:
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


@pytest.mark.slow
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
