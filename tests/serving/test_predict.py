from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from fedhealth.data.shard import Shard
from fedhealth.registry import Bundle, load_bundle
from fedhealth.serving import create_app
from fedhealth.study import Feature, Study, load_study

from .conftest import THRESHOLD

EXAMPLE = {
    "heart_rate": 88,
    "spo2": 97,
    "steps": 4500,
    "sleep_hours": 6,
    "age": 30,
    "smoker": 0,
    "chronic": 0,
    "aqi": 60,
}
STUDY = load_study("health-risk")


def values_of(feature: Feature) -> st.SearchStrategy:
    if feature.kind == "flag":
        return st.sampled_from([0, 1, 1.0, False, True])
    if feature.kind == "category":
        return st.sampled_from(feature.levels)
    return st.floats(feature.low, feature.high) | st.integers(int(feature.low), int(feature.high))


def test_example_of_the_readme(client: TestClient, bundle: Bundle):
    answer = client.post("/predict", json=EXAMPLE)
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == ["risk_score", "high_risk", "risk_interval", "missing", "model_version", "threshold"]
    assert 0 < body["risk_score"] < 0.2
    assert body["high_risk"] is False
    assert body["missing"] == [name for name in STUDY.names if name not in EXAMPLE]
    assert body["model_version"] == bundle.version
    assert body["threshold"] == THRESHOLD["value"]


def test_a_sick_old_smoker_is_at_more_risk(client: TestClient):
    sick = EXAMPLE | {"spo2": 84, "chronic": 1, "smoker": 1, "age": 78, "aqi": 320}
    answer = client.post("/predict", json=sick).json()
    assert answer["risk_score"] > 4 * client.post("/predict", json=EXAMPLE).json()["risk_score"]
    assert answer["high_risk"] is True


def test_held_out_rows_get_the_trainers_scores(client: TestClient, bundle: Bundle, study: Study, shards: list[Shard]):
    for shard in shards:
        rows = shard.held_out.rows(np.arange(len(shard.held_out)) < 60)
        expected = bundle.model.risk(rows.x, rows.observed)
        for x, observed, risk in zip(rows.x, rows.observed, expected, strict=True):
            body = {name: x[i] if observed[i] else None for i, name in enumerate(study.names)}
            assert client.post("/predict", json=body).json()["risk_score"] == pytest.approx(risk, rel=0, abs=1e-9)


@given(
    given_=st.fixed_dictionaries({}, optional={f.name: st.none() | values_of(f) for f in STUDY.features}).filter(
        lambda body: any(value is not None for value in body.values())
    )
)
@settings(max_examples=200, deadline=None)
def test_any_subset_of_features_is_answered(client: TestClient, bundle: Bundle, given_: dict):
    answer = client.post("/predict", json=given_)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    low, high = body["risk_interval"]
    assert 0 <= low <= body["risk_score"] <= high <= 1
    assert body["high_risk"] == (body["risk_score"] >= body["threshold"])
    assert body["missing"] == [name for name in STUDY.names if given_.get(name) is None]


def test_null_is_the_same_as_absent(client: TestClient):
    absent = client.post("/predict", json={"age": 50})
    assert client.post("/predict", json={"age": 50, "spo2": None}).content == absent.content


def test_flags_may_be_written_as_true_and_false(client: TestClient):
    one = client.post("/predict", json={"smoker": 1}).content
    assert client.post("/predict", json={"smoker": True}).content == one
    assert client.post("/predict", content=b'{"smoker": 1.0}').content == one


def test_categories_go_by_the_name_of_their_level(small_models: dict[str, Path]):
    bundle, client = load_bundle(small_models["hearts"]), TestClient(create_app(small_models["hearts"]))
    hearts = bundle.study
    column = hearts.index("chest_pain")
    for level, name in enumerate(hearts.features[column].levels):
        x, observed = np.zeros((1, len(hearts.names))), np.zeros((1, len(hearts.names)), dtype=bool)
        x[0, column], observed[0, column] = level, True
        answer = client.post("/predict", json={"chest_pain": name}).json()
        assert answer["risk_score"] == pytest.approx(bundle.model.risk(x, observed)[0], abs=1e-12)
    refused = client.post("/predict", json={"chest_pain": "mild"})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["expected"] == "one of " + ", ".join(hearts.features[column].levels)


def test_model_is_described(client: TestClient, bundle: Bundle, study: Study):
    body = client.get("/model").json()
    assert body["model_version"] == bundle.version
    assert body["study"]["hash"] == study.hash
    assert body["outcome"] == {"name": "health_risk", "title": study.outcome.title, "window_days": 7}
    assert [feature["name"] for feature in body["features"]] == list(study.names)
    assert body["features"][0]["allowed"] == study.features[0].allowed
    assert body["features"][0]["example"] == 88
    assert body["threshold"] == THRESHOLD
    assert body["metrics"] == {"auroc": 0.8, "ece": None}
    assert body["synthetic"] is True
