"""The fast lane and the ordinary route say the same, byte for byte, and what is no plain request is not its own."""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Receive, Scope, Send

from fedhealth.runtime.ports import free_port
from fedhealth.serving import create_app
from fedhealth.serving.lane import QuickProtocol
from fedhealth.serving.schema import PredictionBody
from fedhealth.study import Feature, Study

KEY = {"X-API-Key": "a key for tests"}
BROKEN = [
    *(b"", b"{}", b"[]", b"null", b'{"age": NaN}', b'{"age": 1e999}', b'{"age": 30', b"\xff", b'{"age": 111}'),
    *(b'{"age": "30"}', b'{"age": true}', b'{"smoker": 2}', b'{"smoker": "1"}', b'{"weight": 70}', b'{"age": [1]}'),
    *(b'{"age": 30, "age": null}', b'{"age": 30, "age": 300}', b'{"age": 300, "age": 30}', b'{"age": 030}'),
    *(b'\xef\xbb\xbf{"age": 30}', b'{"smoker": 0.5}', b'{"age": 30, "x": "\xff"}', b" " * 70_000),
]
ODD = [
    *(b'{"\\u0061ge": 30}', b' {"age" : 3e1 } \n', b'{"age": null, "smoker": 1.0}', b'{"smoker": true, "age": -0.0}'),
    *(b'{"age": 30, "age": 31}', b'{"age": 0.1000000000000000055511151231257827021181583404541015625}'),
    *(b'{"age": 5e-324}', b'{"steps": 59999.99999999999999999}', b'{"age": 109.99999999999999}'),
]


def written(rng: random.Random, feature: Feature) -> object:
    if feature.kind == "flag":
        return rng.choice([0, 1, 0.0, 1.0, False, True, 2, "0"])
    value = rng.uniform(feature.low, feature.high) * rng.choice([1, 1, 1, 1, 1, 1, 1, 3])
    return rng.choice([value, round(value), None, round(value, 2), float(f"{value:.3g}")])


def bodies(study: Study, count: int) -> Iterator[bytes]:
    """Bodies of any features; about half of them have something wrong."""
    rng = random.Random(0)
    for _ in range(count):
        chosen = rng.sample(study.features, rng.randint(1, len(study.features)))
        yield json.dumps({feature.name: written(rng, feature) for feature in chosen}).encode()


@dataclass
class Counted:
    """The app, and the paths that it was asked for: those of the fast lane never get here."""

    app: FastAPI
    asked: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.asked.append(scope["path"])
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def counted(app: FastAPI) -> Counted:
    return Counted(app)


RUNNING: dict[int, uvicorn.Server] = {}


@contextmanager
def serving(app: FastAPI, around: Callable[..., object] | None = None, **told: object) -> Iterator[int]:
    """A real server with the lane before ``app``, or before what is ``around`` it; its port."""
    number, protocol = free_port(), partial(QuickProtocol, lane=app.state.lane)
    usual = {"log_level": "error", "ws": "none", "proxy_headers": False, "server_header": False, "http": protocol}
    server = uvicorn.Server(uvicorn.Config(around or app, port=number, **{**usual, **told}))
    RUNNING[number], thread = server, threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield number
    finally:
        RUNNING.pop(number).should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def port(app: FastAPI, counted: Counted) -> Iterator[int]:
    with serving(app, counted) as number:
        yield number


@pytest.fixture(scope="module")
def client(port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as found:
        yield found


@pytest.fixture
def slow(app: FastAPI) -> TestClient:
    """The app without its fast lane."""
    return TestClient(app)


@pytest.mark.parametrize("count", [150, pytest.param(600, marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_both_ways_answer_alike(client: httpx.Client, slow: TestClient, study: Study, path: str, count: int):
    answered = 0
    for raw in [*BROKEN, *ODD, *bodies(study, count)]:
        fast, ordinary = client.post(path, content=raw), slow.post(path, content=raw)
        assert (fast.status_code, fast.content) == (ordinary.status_code, ordinary.content), raw
        assert fast.headers["content-type"] == ordinary.headers["content-type"]
        answered += fast.status_code == 200
    assert 0.2 * count < answered < 0.87 * count


BATCHES = [
    *(b"", b"{}", b"[]", b'{"columns": {}}', b'{"columns": {"age": []}}', b'{"columns": {"age": [30], "aqi": [1, 2]}}'),
    *(b'{"rows": [{}]}', b'{"rows": [{"age": 30}, {"age": 300}]}', b'{"columns": {"age": [30, NaN]}}', b'{"columns": '),
    *(b'{"rows": [{"age": 30, "smoker": 2}]}', b'{"columns": {"weight": [1]}}', b'{"rows": [], "columns": {}}'),
    *(b'{"rows": [{"age": 30}, {"smoker": true}]}', b'{"columns": {"age": [30, null], "smoker": [0, 1]}}'),
    *(b'{"columns": {"age": [30, 31.5]}}', b'{"columns": {"age": [' + b"30," * 100_000 + b"30]}}", b" " * 300_000),
    *(b'{"columns": {"\xff": [1]}}', b'{"columns": {"age": ["\xff"]}}', b'{"rows": [{"age": 30, "\xff": 1}]}'),
]


def test_both_ways_answer_alike_for_many_people(client: httpx.Client, slow: TestClient):
    answered = 0
    for raw in BATCHES:
        fast, ordinary = (way.post("/predict/batch", content=raw, headers=KEY) for way in (client, slow))
        assert (fast.status_code, fast.content) == (ordinary.status_code, ordinary.content), raw[:80]
        answered += fast.status_code == 200
    assert answered == 3


def test_the_lane_is_no_way_round_the_roles_or_the_handling_of_large_bodies(client: httpx.Client):
    body = b'{"columns": {"age": [30, 31]}}'
    assert client.post("/predict/batch", content=body).status_code == 401
    spread = client.post("/predict/batch", content=iter([body[:11], b" " * 300_000, body[11:]]), headers=KEY)
    assert spread.content == client.post("/predict/batch", content=body, headers=KEY).content


def test_what_is_well_formed_takes_the_fast_lane_and_the_rest_does_not(study: Study):
    body = PredictionBody(study)
    assert all(body.parse_quickly(raw) is None for raw in BROKEN)
    assert all(body.parse_quickly(raw) == body.parse(raw) for raw in ODD)


def test_a_body_in_pieces_is_answered(client: httpx.Client):
    whole = client.post("/predict", content=b'{"age": 30}')
    assert client.post("/predict", content=iter([b'{"age"', b": 30}"])).content == whole.content


def test_the_lane_is_for_post_alone(client: httpx.Client):
    assert client.get("/explain").status_code == 405
    assert client.options("/predict").status_code == 405


def said(port: int, *parts: bytes, until: bytes = b"", pause: float = 0.0) -> bytes:
    """What the server says to these bytes: all until it closes the connection, or ends with ``until``."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        heard = b""
        while not (until and heard.endswith(until)) and (more := connection.recv(65_536)):
            heard += more
        return heard


def request(body: bytes = b'{"age": 30}', *lines: bytes, head: bytes = b"POST /predict HTTP/1.1") -> bytes:
    length = b"content-length: %d" % len(body)
    return b"\r\n".join([head, b"host: x", length, *lines, b"", body])


def bodies_in(heard: bytes) -> list[bytes]:
    return [part.split(b"\r\n\r\n", 1)[1] for part in heard.split(b"HTTP/1.1 ")[1:]]


LAST = request(b"", b"connection: close", head=b"GET /health HTTP/1.1")  # so that the server closes


def test_the_lane_answers_without_the_app(port: int, counted: Counted, client: httpx.Client):
    """Of uvicorn's inside it uses what the pinned version has; where this fails, look at QuickProtocol."""
    counted.asked.clear()
    for path, body in (
        ("/predict", {"age": 30}),
        ("/explain", {"age": 30}),
        ("/predict/batch", {"rows": [{"age": 3}]}),
    ):
        answer = client.post(path, json=body, headers=KEY)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert "date" in answer.headers
    assert counted.asked == []
    assert client.post("/predict", json={"age": 300}).status_code == 422
    assert client.post("/predict?x=1", json={"age": 30}).status_code == 200
    assert counted.asked == ["/predict", "/predict"]
    metrics = client.get("/metrics", headers=KEY).text
    assert 'fedhealth_requests_total{path="/explain",status="200"}' in metrics


def test_requests_one_behind_the_other_are_answered_in_order(port: int, counted: Counted):
    ages = range(20, 60)
    sent = [request(b'{"age": %d}' % age) for age in ages]
    sent[7] = request(b"", head=b"GET /health HTTP/1.1")  # the app's, and those behind it wait for it
    sent[20] = request(b'{"age": 300}')
    heard = bodies_in(said(port, b"".join(sent), LAST))
    assert len(heard) == len(ages) + 1
    alone = [bodies_in(said(port, request(b'{"age": %d}' % age), LAST))[0] for age in (20, 40, 59)]
    assert [heard[0], heard[39]] == [alone[0], alone[2]]
    assert b"status" in heard[7]
    assert b"300" in heard[20]


def test_a_request_in_pieces_is_answered(port: int, counted: Counted):
    counted.asked.clear()
    raw = request()
    whole = bodies_in(said(port, raw + LAST))[0]
    assert bodies_in(said(port, *(raw[i : i + 1] for i in range(len(raw))), LAST))[0] == whole
    chunked = b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    assert bodies_in(said(port, chunked, b'6\r\n{"age"\r\n', b"5\r\n: 30}\r\n0\r\n\r\n", LAST))[0] == whole
    assert counted.asked == ["/health"] * 3


@pytest.mark.parametrize(
    ("lines", "head", "first"),
    [
        ([b"connection: close"], b"POST /predict HTTP/1.1", b"HTTP/1.1 200"),
        ([], b"POST /predict HTTP/1.0", b"HTTP/1.1 200"),
        ([b"expect: 100-continue", b"connection: close"], b"POST /predict HTTP/1.1", b"HTTP/1.1 100"),
        ([b"connection: close"], b"PUT /predict HTTP/1.1", b"HTTP/1.1 405"),
        ([b"connection: close", b"x-api-key: none"], b"POST /predict HTTP/1.1", b"HTTP/1.1 401"),
        ([b"upgrade: websocket", b"connection: upgrade, close"], b"POST /predict HTTP/1.1", b"HTTP/1.1 422"),
    ],
)
def test_what_is_not_plain_is_the_apps(port: int, counted: Counted, lines: list[bytes], head: bytes, first: bytes):
    counted.asked.clear()
    heard = said(port, request(b'{"age": 30}', *lines, head=head), until=b"}]}")
    assert heard.startswith(first)
    assert counted.asked == ["/predict"]


@pytest.mark.slow
def test_who_does_not_read_the_answers_is_not_read_either(port: int, client: httpx.Client):
    """Answers that nobody takes must not fill the memory."""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection, pytest.raises(TimeoutError):
        connection.sendall(request() * 200_000)  # 15 MB
    assert client.post("/predict", json={"age": 30}).status_code == 200


def test_whom_a_proxy_speaks_for_the_app_finds_out(
    port: int, counted: Counted, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(counted.app.state.lane.access, "behind_proxy", True)
    counted.asked.clear()
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    assert client.post("/predict", json={"age": 30}, headers=forwarded).status_code == 200
    assert counted.asked == ["/predict"]
    assert client.post("/predict", json={"age": 30}, headers={**forwarded, **KEY}).status_code == 200
    assert counted.asked == ["/predict"]


@pytest.mark.slow
def test_a_request_that_comes_with_another_has_its_own_time(app: FastAPI):
    with serving(app, timeout_keep_alive=1) as port:
        for second in (request(), request(head=b"POST /predict?by=the+app HTTP/1.1")):
            heard = said(port, request() + second[:-3], second[-3:] + LAST, pause=1.3)
            assert heard.count(b"HTTP/1.1 200") == 3


@pytest.mark.parametrize("proxied", [False, True])
def test_a_wrong_key_counts_once_and_for_who_sent_it(folder: Path, monkeypatch: pytest.MonkeyPatch, proxied: bool):
    monkeypatch.setenv("FEDHEALTH_RATE", "0.4")  # four at once
    if proxied:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", "127.0.0.1")
    with serving(create_app(folder), proxy_headers=proxied) as port:
        sent = [{"X-Forwarded-For": f"203.0.113.{i // 5}"} for i in range(10)] if proxied else [{}] * 5
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": "wrong"}) as client:
            statuses = [client.post("/predict", json={"age": 30}, headers=one).status_code for one in sent]
        assert statuses == ([401] * 4 + [429]) * (len(sent) // 5)
        own = httpx.post(f"http://127.0.0.1:{port}/predict", json={"age": 30})
        assert own.status_code == (200 if proxied else 429)


def test_a_request_that_is_still_coming_when_the_server_is_told_to_stop_is_answered(app: FastAPI):
    raw = request()
    with serving(app) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(raw[:-4])
        time.sleep(0.2)
        threading.Timer(0.5, connection.sendall, [raw[-4:]]).start()
        RUNNING[port].should_exit = True
        heard = b""
        while more := connection.recv(65_536):
            heard += more
    assert heard.startswith(b"HTTP/1.1 200")


def test_who_goes_away_in_the_middle_harms_nobody(port: int, client: httpx.Client):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(request()[:-4])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(request() * 50)
    assert client.post("/predict", json={"age": 30}).status_code == 200
