from math import exp

import pytest
from fastapi.testclient import TestClient

from fedhealth.registry import Bundle

from .test_predict import EXAMPLE


def explain(client: TestClient, body: dict) -> dict:
    answer = client.post("/explain", json=body)
    assert answer.status_code == 200
    return answer.json()


@pytest.mark.parametrize("body", [EXAMPLE, {"age": 80}, {"spo2": 84, "chronic": 1, "smoker": True}])
def test_contributions_add_up_to_the_difference_in_logit(client: TestClient, body: dict):
    said = explain(client, body)
    assert {part["feature"] for part in said["contributions"]} == set(body)
    added = sum(part["contribution"] for part in said["contributions"])
    assert said["base_logit"] + added == pytest.approx(said["logit"], abs=1e-12)
    assert said["risk_score"] == pytest.approx(1 / (1 + exp(-said["logit"])))
    assert said["base_risk"] == pytest.approx(1 / (1 + exp(-said["base_logit"])))


def test_the_risk_is_that_of_predict(client: TestClient, bundle: Bundle):
    predicted, explained = client.post("/predict", json=EXAMPLE).json(), explain(client, EXAMPLE)
    assert explained["risk_score"] == predicted["risk_score"]
    assert (explained["missing"], explained["model_version"]) == (predicted["missing"], bundle.version)


def test_the_largest_comes_first_and_low_oxygen_raises_the_risk(client: TestClient):
    parts = explain(client, EXAMPLE | {"spo2": 82})["contributions"]
    sizes = [abs(part["contribution"]) for part in parts]
    assert sizes == sorted(sizes, reverse=True)
    assert next(part for part in parts if part["feature"] == "spo2")["contribution"] > 0.5


@pytest.mark.slow
def test_an_answer_remembers_only_the_last_sets_of_features(client: TestClient, bundle: Bundle):
    """What strangers may ask for must not fill the memory."""
    names = bundle.study.names
    before = len(bundle.model.design._fills)
    for number in range(1, 400):
        body = {name: 1 for place, name in enumerate(names) if number >> place & 1 and name != "spo2"}
        assert client.post("/predict", json=body or {"age": 1}).status_code in (200, 422)
    assert len(bundle.model.design._fills) == before
