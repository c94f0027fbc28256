"""Roles, keys and limits, over HTTP."""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from typer.testing import CliRunner
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from fedhealth.cli import app as cli
from fedhealth.keys import KeyProblem, issue_key, issued_keys, issued_keys_file, revoke_key
from fedhealth.registry import Bundle
from fedhealth.serving import create_app
from fedhealth.serving.access import NEEDS, RANK, Keys
from fedhealth.serving.rate import Rate, usual_rate

from .conftest import ROOT

ROLES = ("citizen", "viewer", "analyst", "admin")


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("FEDHEALTH_KEYS_FILE", str(tmp_path / "keys.jsonl"))
    return {role: issue_key(f"the-{role}", role, "p-1" if role == "citizen" else None) for role in ROLES}


@pytest.fixture
def api(keys: dict[str, str], folder: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    return TestClient(create_app(folder))


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    paths = app.openapi()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def test_every_route_has_its_role_and_the_docs_show_the_same_table(app: FastAPI):
    assert routes_of(app) == set(NEEDS)
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| `(GET|POST|PUT|DELETE) (\S+)` \|.*\| (\w+) \|$", text, re.MULTILINE)
    assert {(method, path): role for method, path, role in shown} == {
        route: role or "anybody" for route, role in NEEDS.items()
    }


def test_a_role_that_is_not_enough_is_refused_and_one_that_is_passes(api: TestClient, keys: dict[str, str]):
    for method, path in NEEDS:
        assert refused(api, keys, method, path) == too_little(NEEDS[method, path], path), path


def refused(api: TestClient, keys: dict[str, str], method: str, path: str) -> set[str | None]:
    """Which roles are refused; None is nobody."""
    for part, value in {"person": "p-1", "number": "1", "name": "latest", "version": "abcdef"}.items():
        path = path.replace(f"{{{part}}}", value)
    headers = {None: {}, **{role: {"X-API-Key": keys[role]} for role in ROLES}}
    body = {"retention": "full"}
    statuses = {role: api.request(method, path, json=body, headers=sent).status_code for role, sent in headers.items()}
    assert (statuses[None] == 401) == (401 in statuses.values())
    return {role for role, status in statuses.items() if status in (401, 403)}


def too_little(needed: str | None, path: str) -> set[str | None]:
    """Roles below the one that is needed; a citizen's data is no viewer's matter."""
    below = {role for role in (None, *ROLES) if RANK[role] < RANK[needed]}
    return below | ({"viewer"} if needed == "citizen" and path != "/me" else set())


def test_a_wrong_key_is_refused_even_where_none_is_needed(api: TestClient):
    answer = api.post("/predict", json={"age": 40}, headers={"X-API-Key": "wrong"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "APIKey")


def test_a_revoked_key_is_out_of_force_within_a_second(keys: dict[str, str]):
    now = [0.0]
    ring = Keys(lambda: now[0])
    assert ring.caller(keys["viewer"].encode()).role == "viewer"  # type: ignore[union-attr]
    revoke_key("the-viewer")
    now[0] = 1.0
    assert ring.caller(keys["viewer"].encode()) is None
    with pytest.raises(KeyProblem, match="has no key in force"):
        revoke_key("the-viewer")


def test_keys_are_hashed_at_rest_and_readable_by_their_owner_only(keys: dict[str, str]):
    stored = issued_keys_file().read_text()
    assert not any(key in stored for key in keys.values())
    assert issued_keys_file().stat().st_mode & 0o077 == 0
    assert [key.role for key in issued_keys()] == list(ROLES)


def test_keys_are_issued_listed_and_revoked_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEDHEALTH_KEYS_FILE", str(tmp_path / "keys.jsonl"))
    run = CliRunner().invoke
    added = run(cli, ["keys", "add", "clinic", "--role", "analyst"])
    assert added.exit_code == 0
    key = added.stdout.strip().splitlines()[-1]
    assert Keys().caller(key.encode()).name == "clinic"  # type: ignore[union-attr]
    again = run(cli, ["keys", "add", "clinic", "--role", "viewer"])
    assert (again.exit_code, "has a key; revoke it first" in again.output) == (1, True)
    assert run(cli, ["keys", "add", "someone", "--role", "citizen"]).exit_code == 1
    assert "analyst" in run(cli, ["keys", "list"]).output
    assert run(cli, ["keys", "revoke", "clinic"]).exit_code == 0
    assert Keys().caller(key.encode()) is None


def test_a_broken_file_of_keys_lets_nobody_in_but_the_installation(keys: dict[str, str]):
    with issued_keys_file().open("a") as file:
        file.write("not a key\n")
    assert Keys().caller(keys["admin"].encode()) is None
    assert Keys().caller(b"a key for tests").role == "admin"  # type: ignore[union-attr]


def test_who_asks_too_often_waits_and_others_do_not(folder: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEDHEALTH_RATE", "0.5")
    api = TestClient(create_app(folder))
    statuses = [api.post("/predict", json={"age": 40}).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    answer = api.get("/health")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert api.get("/health", headers={"X-API-Key": "a key for tests"}).status_code == 200


def test_the_slowest_rate_still_lets_the_first_request_through():
    now = [0.0]
    rate = Rate(0.05, lambda: now[0])
    assert [rate.wait("a"), rate.wait("a")] == [0, 20]
    now[0] += 20
    assert rate.wait("a") == 0


def test_a_forwarded_address_is_believed_only_of_a_proxy_that_was_named(
    folder: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
):
    """uvicorn takes the word of anybody on this machine; a new made-up address would be a new allowance."""
    monkeypatch.setenv("FEDHEALTH_RATE", "0.1")

    def statuses() -> list[int]:
        app, found = ProxyHeadersMiddleware(create_app(folder), "*"), []  # type: ignore[arg-type]
        for i in range(3):
            found.append(TestClient(app).get("/health", headers={"X-Forwarded-For": f"10.0.0.{i}:80"}).status_code)  # type: ignore[arg-type]
        return found

    assert statuses() == [200, 429, 429]
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    assert statuses() == [200, 200, 200]


def test_no_key_may_pass_for_an_address_or_for_the_installation(
    folder: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FEDHEALTH_KEYS_FILE", str(tmp_path / "keys.jsonl"))
    monkeypatch.setenv("FEDHEALTH_RATE", "0.1")
    with pytest.raises(KeyProblem, match="choose another name"):
        issue_key("installation", "viewer")
    own = {"X-API-Key": issue_key("address:testclient", "viewer")}
    api = TestClient(create_app(folder))
    assert [api.get("/health", headers=own).status_code, api.get("/health").status_code] == [200, 200]


def test_a_bucket_fills_at_its_rate_and_memory_has_an_end():
    now = [0.0]
    rate = Rate(10.0, lambda: now[0])
    assert [rate.wait("a") for _ in range(101)] == [0] * 100 + [1]
    now[0] += 0.1
    assert [rate.wait("a"), rate.wait("a")] == [0, 1]
    for i in range(25_000):
        rate.wait(f"caller {i}")
    assert len(rate._buckets) <= 10_000


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fast"])
def test_a_rate_that_is_none_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setenv("FEDHEALTH_RATE", text)
    with pytest.raises(ValueError, match=f"FEDHEALTH_RATE: got '{text}'"):
        usual_rate()


def test_prometheus_gets_figures_by_path_and_status(folder: Path, bundle: Bundle):
    api = TestClient(create_app(folder))
    for body in ({"age": 40}, {"age": 400}):
        api.post("/predict", json=body)
    api.get("/nowhere")
    found: Any = api.get("/metrics", headers={"X-API-Key": "a key for tests"})
    assert found.headers["content-type"].startswith("text/plain")
    for line in (
        'fedhealth_requests_total{path="/predict",status="200"} 1.0',
        'fedhealth_requests_total{path="/predict",status="422"} 1.0',
        'fedhealth_requests_total{path="other",status="404"} 1.0',
        f'fedhealth_model{{version="{bundle.version}"}} 1.0',
        "fedhealth_predictions_shed_total 0.0",
        'fedhealth_request_seconds_count{path="/predict"} 2.0',
    ):
        assert line in found.text
