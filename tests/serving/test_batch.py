"""Many people in one request get what each would get alone."""

import json
import random
import tracemalloc
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fedhealth.registry import Bundle
from fedhealth.serving.batch import MOST_ROWS, BatchBody
from fedhealth.serving.errors import Refused
from fedhealth.serving.predictor import Predictor
from fedhealth.serving.schema import PredictionBody
from fedhealth.study import Study

KEY = {"X-API-Key": "a key for tests"}
PEOPLE: list[dict[str, Any]] = [
    {"age": 30, "smoker": 0, "aqi": 60, "heart_rate": 88.5},
    {"age": 71, "smoker": True, "spo2": 93},
    {"age": 50, "smoker": None, "steps": 4500},
    {"aqi": 300, "smoker": 1.0},
]


def columns(people: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = sorted({name for person in people for name in person})
    return {name: [person.get(name) for person in people] for name in names}


def ask(client: TestClient, body: object) -> Any:
    return client.post("/predict/batch", content=json.dumps(body), headers=KEY)


@pytest.mark.parametrize("form", ["rows", "columns"])
def test_each_person_gets_the_risk_that_predict_gives(client: TestClient, form: str):
    body = {"rows": PEOPLE} if form == "rows" else {"columns": columns(PEOPLE)}
    answer = ask(client, body).json()
    alone = [client.post("/predict", json=person).json() for person in PEOPLE]
    assert answer["risk_score"] == pytest.approx([one["risk_score"] for one in alone], abs=1e-12)
    assert answer["high_risk"] == [one["high_risk"] for one in alone]
    assert (answer["model_version"], answer["threshold"]) == (alone[0]["model_version"], alone[0]["threshold"])


def test_five_thousand_rows_keep_their_order(client: TestClient):
    ages = [20 + i % 60 for i in range(5_000)]
    risks = ask(client, {"columns": {"age": ages}}).json()["risk_score"]
    assert len(risks) == 5_000
    by_age = dict(zip(ages, risks, strict=True))
    assert risks == [by_age[age] for age in ages]
    assert by_age[79] > by_age[20]


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ({"columns": {"age": [30, 111]}}, "columns.age[1]", 111),
        ({"columns": {"age": ["30"]}}, "columns.age[0]", "30"),
        ({"columns": {"smoker": [0, 1, 2]}}, "columns.smoker[2]", 2),
        ({"columns": {"weight": [70]}}, "columns", "an object"),
        ({"columns": {"age": 30}}, "columns.age", 30),
        ({"columns": {"age": [30], "aqi": [60, 61]}}, "columns", "age: 1, aqi: 2"),
        ({"columns": {"age": [30, None]}}, "columns[1]", None),
        ({"columns": {}}, "columns", "no values"),
        ({"columns": {"age": []}}, "columns", "age: 0"),
        ({"rows": [{"age": 30}, {"spo2": 900}]}, "rows[1].spo2", 900),
        ({"rows": [{"age": 30}, {}]}, "rows[1]", None),
        ({"columns": {"age": [30, None, 10**400]}}, "columns.age[2]", "1" + 78 * "0" + "…"),
        ({"columns": {"steps": [0.5, -1]}}, "columns.steps[1]", -1),
        ({"columns": {"age": [30, True]}}, "columns.age[1]", True),
        ({"columns": {"smoker": [True, None, -1]}}, "columns.smoker[2]", -1),
        ({"rows": []}, "rows", "no values"),
        ({"rows": [{"smoker": 0.5}]}, "rows[0].smoker", 0.5),
        ({"rows": [{"age": 30}], "columns": {"age": [30]}}, None, None),
        ({}, None, None),
        ([], None, "a list"),
        ({"columns": {"age": [float("nan")]}}, None, None),
    ],
)
def test_what_is_wrong_is_named_with_its_row(client: TestClient, body: Any, field: str | None, value: Any):
    answer = ask(client, body)
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert (problem["field"], problem["value"]) == (field, value)
    assert problem["expected"]


def test_rows_have_a_limit(client: TestClient):
    assert ask(client, {"columns": {"age": [30] * (MOST_ROWS + 1)}}).status_code == 422
    assert len(ask(client, {"columns": {"age": [30] * MOST_ROWS}}).json()["risk_score"]) == MOST_ROWS


@pytest.mark.parametrize("row", [b"{}", b"[]", b"1", b'{"age": 30}'])
@pytest.mark.parametrize("start", [b'{"rows": [', b'{"columns": {"age": ['])
def test_very_many_rows_are_refused_before_they_take_memory(study: Study, start: bytes, row: bytes):
    body, raw = BatchBody(PredictionBody(study)), start + b",".join([row] * (5 * 2**20 // (len(row) + 1))) + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises(Refused):
            body.parse(raw)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_deep_nesting_is_refused_in_words(client: TestClient):
    raw = b'{"rows":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = client.post("/predict/batch", content=raw, headers=KEY)
    assert (answer.status_code, list(answer.json())) == (422, ["detail"])


def test_people_of_whom_different_things_are_known_hold_nobody_up(app: FastAPI, study: Study, bundle: Bundle):
    """They get the same risks, but not from the thread that answers everybody."""
    rng = random.Random(0)
    numbers = [feature for feature in study.features if feature.kind == "number"]
    known = [rng.sample(numbers, rng.randint(1, len(numbers))) for _ in range(40)]
    people = [{f.name: (f.low + f.high) / 2 for f in numbers if f in some} for some in known]
    predictor, raw = Predictor.from_bundle(bundle), json.dumps({"rows": people}).encode()
    assert predictor.answer_batch_at_once(raw) is None
    found = ask(TestClient(app), {"rows": people}).json()["risk_score"]
    assert found == pytest.approx([predictor.predict(person)["risk_score"] for person in people], abs=1e-12)
    alike = json.dumps({"rows": people[:1] * 1_000}).encode()
    assert predictor.answer_batch_at_once(alike) == predictor.answer_batch(alike)


def test_the_description_fits_and_its_example_can_be_sent(client: TestClient, study: Study):
    described = client.get("/openapi.json").json()["paths"]["/predict/batch"]["post"]["requestBody"]
    content = described["content"]["application/json"]
    assert set(content["schema"]["oneOf"][0]["properties"]["columns"]["properties"]) == set(study.names)
    assert ask(client, content["example"]).status_code == 200
