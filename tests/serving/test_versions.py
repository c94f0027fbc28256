"""Versions over HTTP: listing, gates, promoting and rolling back with the same gates and lock as the command line."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fedhealth.keys import issue_key
from fedhealth.registry import Bundle, BundleError, challenge, champion, history, load_bundle, publish
from fedhealth.registry.gates import Line
from fedhealth.serving import create_app, versions
from fedhealth.serving.judging import Judgement, examine

Ask = Callable[..., Any]
LINES = [Line("discrimination", "AUROC 0.8, champion 0.8", "at most 0.005 lower", True)]
REFUSED = [*LINES, Line("calibration: slope", "0.2", "at most 0.1 further from 1", False)]


def says(lines: list[Line]) -> Callable[..., Judgement]:
    """Gates that say this of every bundle, beside the champion of now."""

    def examine(bundle: Bundle, folder: Path, models: Path) -> Judgement:
        return Judgement(lines, bundle.hash, champion(models).version)  # type: ignore[union-attr]

    return examine


@pytest.fixture
def models(tmp_path: Path, small_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The second model served after the first, a challenger none, the gates let all through."""
    monkeypatch.setenv("FEDHEALTH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("FEDHEALTH_KEYS_FILE", str(tmp_path / "keys.jsonl"))
    monkeypatch.setattr(versions, "examine", says(LINES))
    for name in ("first", "second"):
        publish(small_models[name], tmp_path / "models", reason=f"the {name}")
    return tmp_path / "models"


@pytest.fixture
def ask(models: Path) -> Ask:
    api = TestClient(create_app(models))
    keys = {role: issue_key(f"the-{role}", role, None) for role in ("viewer", "analyst", "admin")}

    def asked(method: str, path: str, role: str = "admin", **body: str) -> Any:
        return api.request(method, path, json=body or None, headers={"X-API-Key": keys[role]})

    return asked


def names(small_models: dict[str, Path]) -> tuple[str, str]:
    return load_bundle(small_models["first"]).version, load_bundle(small_models["second"]).version


def test_versions_are_listed_with_what_sets_them_apart(ask: Ask, small_models: dict[str, Path]):
    first, second = names(small_models)
    found = ask("GET", "/models", "viewer").json()
    assert (found["champion"], found["challenger"]) == (second, None)
    assert [(one["version"], one["standing"]) for one in found["versions"]] == [(second, "champion"), (first, "former")]
    assert found["versions"][1]["against_champion"] == {"auroc": 0.0}


def test_a_version_tells_its_lineage_and_gates(ask: Ask, small_models: dict[str, Path]):
    first, _ = names(small_models)
    found = ask("GET", f"/models/{first[:8]}", "viewer").json()
    assert [one["reason"] for one in found["changes"]] == ["the first"]
    assert found["signed_by"]
    assert found["gates"][0]["gate"] == "discrimination"
    assert ask("GET", "/models/0123456789ab", "viewer").status_code == 404


def test_promoting_serves_and_is_in_the_history_with_who_and_why(ask: Ask, models: Path, small_models: dict[str, Path]):
    first, second = names(small_models)
    said = {"version": first, "reason": "steadier in winter", "instead_of": second}
    assert ask("POST", "/models/promote", **said).json() == {"champion": first, "before": second}
    last = history(models)[-1]
    assert (last["action"], last["reason"], last["by"]) == ("promote", "steadier in winter", "the-admin")
    assert last["gates"][0]["gate"] == "discrimination"
    again = ask("POST", "/models/promote", **said)
    assert (again.status_code, "served already" in again.json()["detail"]) == (409, True)
    assert ask("GET", "/promotion", "viewer").json()["history"][0]["by"] == "the-admin"


def test_rolling_back_serves_the_one_before(ask: Ask, models: Path, small_models: dict[str, Path]):
    first, second = names(small_models)
    answer = ask("POST", "/models/rollback", reason="alarms in Lahore", instead_of=second)
    assert answer.json() == {"champion": first, "before": second}
    assert (history(models)[-1]["action"], history(models)[-1]["by"]) == ("rollback", "the-admin")
    again = ask("POST", "/models/rollback", reason="alarms in Lahore", instead_of=first)
    assert again.status_code == 409
    assert "no predecessor" in again.json()["detail"]


def test_what_the_gates_refuse_is_not_served_and_the_refusal_is_kept(
    ask: Ask, models: Path, small_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(versions, "examine", says(REFUSED))
    first, second = names(small_models)
    answer = ask("POST", "/models/promote", version=first, reason="new", instead_of=second)
    assert answer.status_code == 409
    assert "calibration: slope: found 0.2; needed at most 0.1" in answer.json()["detail"]
    assert champion(models).version == second  # type: ignore[union-attr]
    assert (history(models)[-1]["action"], history(models)[-1]["by"]) == ("refuse", "the-admin")


@pytest.mark.parametrize("role", ["viewer", "analyst"])
@pytest.mark.parametrize("path", ["/models/promote", "/models/rollback"])
def test_viewers_and_analysts_change_nothing(
    ask: Ask, models: Path, small_models: dict[str, Path], role: str, path: str
):
    first, second = names(small_models)
    body = {"reason": "because", "instead_of": second} | ({"version": first} if "promote" in path else {})
    assert ask("POST", path, role, **body).status_code == 403
    assert len(history(models)) == 2


@pytest.mark.parametrize("reason", ["", "  ", "x", "   \n "])
def test_a_change_needs_a_reason(ask: Ask, small_models: dict[str, Path], reason: str):
    first, second = names(small_models)
    assert ask("POST", "/models/promote", version=first, reason=reason, instead_of=second).status_code == 422


def test_who_saw_another_version_served_is_told_so(ask: Ask, models: Path, small_models: dict[str, Path]):
    first, second = names(small_models)
    answer = ask("POST", "/models/rollback", reason="late", instead_of=first)
    assert (answer.status_code, "somebody else was quicker" in answer.json()["detail"]) == (409, True)
    assert champion(models).version == second  # type: ignore[union-attr]


def test_of_two_at_once_one_is_told_to_look_again(ask: Ask, models: Path, small_models: dict[str, Path]):
    first, second = names(small_models)
    challenge(small_models["hearts"], models, "another")
    third = load_bundle(small_models["hearts"]).version
    ask("GET", "/models")  # all routes are loaded
    statuses: list[int] = []

    def send(version: str) -> None:
        said = {"version": version, "reason": "at once", "instead_of": second}
        statuses.append(ask("POST", "/models/promote", **said).status_code)

    threads = [threading.Thread(target=send, args=(one,)) for one in (first, third)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 409]
    assert len(history(models)) == 4


def test_beside_a_champion_that_cannot_be_used_nothing_is_listed_or_promoted(
    ask: Ask, models: Path, small_models: dict[str, Path]
):
    first, second = names(small_models)
    (models / ".gates.toml.swp").write_text("")
    listed = ask("GET", "/models")
    promoted = ask("POST", "/models/promote", version=first, reason="new", instead_of=second)
    assert [answer.status_code for answer in (listed, promoted)] == [503, 503]
    assert "fedhealth models list says why" in listed.json()["detail"]
    answer = ask("POST", "/models/rollback", reason="new", instead_of=second)
    assert (answer.status_code, "no part of the signed bundle" in answer.json()["detail"]) == (409, True)
    assert len(history(models)) == 2


def test_a_machine_without_the_signing_key_promotes_nothing(
    ask: Ask, small_models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FEDHEALTH_SIGNING_KEY_FILE", str(tmp_path / "none.key"))
    first, second = names(small_models)
    answer = ask("POST", "/models/promote", version=first, reason="new", instead_of=second)
    assert (answer.status_code, "no key to sign" in answer.json()["detail"]) == (409, True)
    assert not (tmp_path / "none.key").exists()


def test_the_caller_is_told_their_role(ask: Ask):
    assert ask("GET", "/me", "viewer").json() == {"name": "the-viewer", "role": "viewer", "person": None}


def test_without_a_report_the_gates_cannot_be_asked_and_nothing_is_promoted(
    models: Path, small_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.undo()
    monkeypatch.setenv("FEDHEALTH_RUNS", str(models.parent / "runs"))
    api = TestClient(create_app(models))
    first, second = names(small_models)
    key = {"X-API-Key": "a key for tests"}
    said = {"version": first, "reason": "new", "instead_of": second}
    assert api.post("/models/promote", json=said, headers=key).status_code == 409
    assert "report" in json.dumps(api.get(f"/models/{first}", headers=key).json()["no_gates"])


@pytest.mark.parametrize("report", ["{}", "[]", '{"privacy": null, "nodes": []}'])
def test_a_report_that_gates_cannot_use_is_said_to_be_none(tmp_path: Path, small_models: dict[str, Path], report: str):
    (tmp_path / "report.json").write_text(report)
    with pytest.raises(BundleError, match=r"report\.json: not the report of a run"):
        examine(load_bundle(small_models["first"]), tmp_path, tmp_path / "models")
