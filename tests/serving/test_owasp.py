"""One test for each line of the OWASP API Security Top 10 of 2023."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fedhealth.keys import issue_key
from fedhealth.registry import Bundle
from fedhealth.serving import create_app, lane
from fedhealth.serving.access import NEEDS

from .conftest import ROOT

ADMIN = {"X-API-Key": "a key for tests"}


@pytest.fixture
def make(folder: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., TestClient]:
    monkeypatch.setenv("FEDHEALTH_KEYS_FILE", str(tmp_path / "keys.jsonl"))
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    return lambda **options: TestClient(create_app(folder), **options)


@pytest.fixture
def api(make: Callable[..., TestClient]) -> TestClient:
    return make()


def reading(name: str, **changes: Any) -> dict[str, Any]:
    facts = {"person": name, "city": "Lahore", "time": "2026-01-10T12:00:00Z", "features": {"age": 40}}
    return {"readings": [{"id": f"r-{name}", **facts, **changes}]}


def test_api1_nobody_reads_changes_or_erases_another_persons_data(api: TestClient):
    own = {"X-API-Key": issue_key("mine", "citizen", "p-1")}
    assert api.post("/readings", json=reading("p-1"), headers=own).status_code == 201
    assert api.post("/readings", json=reading("p-2"), headers=ADMIN).status_code == 201
    assert api.get("/people/p-1", headers=own).json()["readings"] == 1
    for method, path in (("GET", "/people/p-2"), ("PUT", "/people/p-2/consent"), ("DELETE", "/people/p-2")):
        assert api.request(method, path, json={"retention": "off"}, headers=own).status_code == 403, path
    assert api.post("/readings", json=reading("p-2"), headers=own).status_code == 403
    assert api.post("/readings", json=reading("p-1", person=None), headers=own).status_code == 403
    assert api.get("/people/p-2", headers=ADMIN).json()["readings"] == 1


def test_api2_guessing_keys_is_slow_and_a_stolen_file_opens_nothing(
    make: Callable[..., TestClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    key = issue_key("clinic", "analyst")
    assert len(key) == 64
    stored = (tmp_path / "keys.jsonl").read_text()
    monkeypatch.setenv("FEDHEALTH_RATE", "1")
    api = make()
    hashed = json.loads(stored)["hash"]
    assert api.get("/cities", headers={"X-API-Key": hashed}).status_code == 401
    statuses = [api.get("/cities", headers={"X-API-Key": f"{i:064x}"}).status_code for i in range(12)]
    assert statuses[-1] == 429


def test_api3_properties_that_are_not_described_are_neither_taken_nor_told(api: TestClient):
    for extra in ({"risk": 0.99}, {"high_risk": True}, {"model_version": "mine"}, {"is_admin": True}):
        assert api.post("/readings", json=reading("p-1", **extra), headers=ADMIN).status_code == 422
    api.post("/readings", json=reading("p-1"), headers=ADMIN)
    for path in ("/cities", "/trends", "/alerts"):
        assert "p-1" not in api.get(path, headers=ADMIN).text
    assert set(api.get("/people/p-1", headers=ADMIN).json()) == {
        *("person", "retention", "readings", "outcomes", "oldest", "newest")
    }


def test_api4_bodies_rows_and_rates_have_limits(make: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch):
    api = make()
    assert api.post("/predict", content=b" " * (lane.MAX_PERSON_BODY + 1)).status_code == 413
    many = {"columns": {"age": [40] * 100_001}}
    assert api.post("/predict/batch", json=many, headers=ADMIN).status_code == 422
    assert api.post("/readings", json={"readings": reading("p")["readings"] * 1001}, headers=ADMIN).status_code == 422
    assert api.get("/trends?days=100000", headers=ADMIN).status_code == 422
    monkeypatch.setenv("FEDHEALTH_RATE", "0.1")
    api = make()
    assert [api.get("/health").status_code for _ in range(2)] == [200, 429]
    assert int(api.get("/health").headers["retry-after"]) >= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for (method, path), role in NEEDS.items() if role and method != "GET"],
)
def test_api4_no_more_of_a_body_is_read_than_is_needed(make: Callable[..., TestClient], method: str, path: str):
    path = re.sub(r"\{\w+\}", "1", path)
    most = 64 if path == "/predict/batch" else 4
    status, taken = flood(make().app, method, path, {})
    assert (status, taken) == (401, 0)
    if method != "DELETE":
        status, taken = flood(make().app, method, path, ADMIN)
        assert (status, taken <= most + 1) == (413, True)


def flood(app: Any, method: str, path: str, headers: dict[str, str]) -> tuple[int, int]:
    """Send a body of 200 MiB; the answer's status, and how many MiB were taken."""
    statuses: list[int] = []
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b" " * 2**20, "more_body": taken < 200}

    async def send(message: Any) -> None:
        statuses.append(message.get("status", 0))

    sent = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "client": ("127.0.0.1", 1)}
    sent.append((b"content-type", b"application/json"))
    asyncio.run(app({**scope, "headers": sent, "raw_path": path.encode(), "root_path": ""}, receive, send))
    return statuses[0], taken


def test_api5_functions_need_their_role(api: TestClient):
    viewer = {"X-API-Key": issue_key("looks", "viewer")}
    allowed = {route for route, role in NEEDS.items() if role in (None, "viewer")} | {("GET", "/me")}
    for method, path in sorted(set(NEEDS) - allowed):
        path = re.sub(r"\{\w+\}", "1", path)
        assert api.request(method, path, json={"retention": "full"}, headers=viewer).status_code == 403, path


def test_api6_asking_for_very_many_risks_needs_a_key_of_an_analyst(api: TestClient):
    """The flow to guard is copying the model by asking: one by one at the rate's limit, in bulk only by key."""
    citizen = {"X-API-Key": issue_key("mine", "citizen", "p-1")}
    body = {"columns": {"age": [40] * 1000}}
    assert api.post("/predict/batch", json=body).status_code == 401
    assert api.post("/predict/batch", json=body, headers=citizen).status_code == 403
    analyst = {"X-API-Key": issue_key("works", "analyst")}
    assert api.post("/predict/batch", json=body, headers=analyst).status_code == 200


def test_api7_no_request_makes_the_server_ask_elsewhere(api: TestClient):
    described = json.dumps(api.get("/openapi.json").json()["paths"])
    assert not re.search(r'"(url|uri|callback|webhook|host)"', described)
    sources = "\n".join(path.read_text() for path in (ROOT / "src/fedhealth/serving").glob("*.py"))
    assert not re.search(r"^\s*(from|import) (httpx|requests|urllib\.request|aiohttp)\b", sources, re.MULTILINE)


def test_api8_nothing_of_the_inside_is_told_and_browsers_elsewhere_are_shut_out(
    make: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
):
    api = make(raise_server_exceptions=False)

    def broken(*_: object) -> None:
        raise RuntimeError("secret in /srv/fedhealth")

    monkeypatch.setattr("fedhealth.serving.cities.city_days", broken)
    answer = api.get("/cities", headers=ADMIN)
    assert (answer.status_code, answer.json()) == (
        500,
        {"detail": "something went wrong here; the API's log says what"},
    )
    elsewhere = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    for answer in (
        api.options("/predict", headers=elsewhere),
        api.post("/predict", json={"age": 4}, headers=elsewhere),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
    assert api.request("TRACE", "/health").status_code == 405


def test_api9_every_route_is_in_the_inventory(api: TestClient):
    paths = api.get("/openapi.json").json()["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == set(NEEDS)
    hidden = {route.path for route in api.app.routes if not getattr(route, "include_in_schema", True)}  # type: ignore[attr-defined]
    assert hidden <= {"/", "/docs", "/docs/start.js", "/openapi.json"}


def test_api10_what_others_deliver_is_checked_before_it_is_believed(
    tmp_path: Path, folder: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
):
    """What the API takes from others are bundles and runs' reports; broken ones are refused or left out, in words."""
    models = tmp_path / "models"
    models.mkdir()
    for name in ("bundle.json", "model.safetensors", "MODEL_CARD.md"):
        (models / name).write_bytes((folder / name).read_bytes())
    weights = bytearray((models / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (models / "model.safetensors").write_bytes(weights)
    runs = tmp_path / "runs" / "bad"
    runs.mkdir(parents=True)
    (runs / "report.json").write_text('{"study": NaN, "nodes": "all"}')
    monkeypatch.setenv("FEDHEALTH_RUNS", str(tmp_path / "runs"))
    api = TestClient(create_app(models))
    assert api.post("/predict", json={"age": 40}).status_code == 503
    assert api.get("/runs", headers=ADMIN).json() == {"runs": []}
    assert api.get("/nodes", headers=ADMIN).status_code == 200
