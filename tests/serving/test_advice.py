"""Advice: safety first, whatever the model says, and comparisons that promise nothing."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.dashboards.test_rules import BANNED

from fedhealth.serving import create_app

EXAMPLE = {"heart_rate": 88, "spo2": 97, "steps": 4500, "sleep_hours": 6, "age": 30, "smoker": 0, "aqi": 160}


def test_low_oxygen_comes_first_with_what_to_do(client: TestClient):
    answer = client.post("/advice", json={"spo2": 91, "aqi": 40}).json()
    assert next(iter(answer)) == "safety"
    (warned,) = answer["safety"]
    assert (warned["rule"], warned["reading"], warned["limit"]) == ("low_oxygen", 91, 92)
    assert "seek care now: call 1122" in warned["advice"]
    assert "clinician's approval" in answer["safety_note"]


def test_the_air_has_public_guidance_in_words_number_and_symbol(client: TestClient):
    air = client.post("/advice", json=EXAMPLE).json()["air"]
    assert (air["aqi"], air["category"], air["symbol"]) == (160, "Unhealthy", "■")
    assert "avoid long or hard activity outdoors" in air["sensitive"]
    assert "not from the model" in air["source"]
    assert client.post("/advice", json={"age": 40}).json()["air"] is None


def test_other_groups_are_compared_in_what_can_be_changed_and_was_given(client: TestClient):
    answer = client.post("/advice", json=EXAMPLE).json()
    assert {one["feature"] for one in answer["comparisons"]} == {"steps", "sleep_hours", "smoker"}
    assert answer["risk"].startswith("Of 100 people like you, about ")
    assert "does not show your risk would change" in answer["note"]
    for one in answer["comparisons"]:
        asked = client.post("/predict", json={**EXAMPLE, one["feature"]: one["value"]}).json()
        assert (one["risk_score"], one["risk_interval"]) == (asked["risk_score"], asked["risk_interval"])
        assert one["words"].startswith("People with ")
        assert one["clear"] == ("no clear difference" not in one["words"])
    words = " ".join([answer["risk"], *(one["words"] for one in answer["comparisons"])])
    assert not re.findall(BANNED, words, re.IGNORECASE)
    assert "**" not in words


def test_without_a_model_safety_and_air_still_answer(tmp_path: Path):
    api = TestClient(create_app(tmp_path))
    answer = api.post("/advice", json={"heart_rate": 140, "aqi": 301})
    assert answer.status_code == 200
    found = answer.json()
    assert [one["rule"] for one in found["safety"]] == ["fast_heart"]
    assert found["air"]["category"] == "Hazardous"
    assert (found["risk"], found["comparisons"]) == (None, [])


@pytest.mark.parametrize("body", [{}, {"spo2": 900}, {"mood": 1}])
def test_what_predict_refuses_advice_refuses_too(client: TestClient, body: dict[str, float]):
    assert client.post("/advice", json=body).json() == client.post("/predict", json=body).json()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file"),
        ("rule = [", "FEDHEALTH_SAFETY: "),
        ('[[rule]]\nname = "x"\nfeature = "spo2"\nat_mots = 88\n', "unexpected keyword argument 'at_mots'"),
        ('approved_by = "Dr A"\n', "'rule' is missing"),
    ],
)
def test_safety_rules_that_cannot_be_used_keep_the_api_from_starting(
    text: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        (tmp_path / "own.toml").write_text(text)
    monkeypatch.setenv("FEDHEALTH_SAFETY", str(tmp_path / "own.toml"))
    with pytest.raises(ValueError, match=why):
        create_app(tmp_path)


def test_a_language_without_texts_keeps_the_api_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDHEALTH_LANGUAGE", "fr")
    with pytest.raises(ValueError, match="FEDHEALTH_LANGUAGE: got 'fr'; expected en"):
        create_app(tmp_path)
