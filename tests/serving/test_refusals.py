import json
import math

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from fedhealth.serving.errors import MAX_PROBLEMS, MAX_SHOWN
from fedhealth.serving.routes import MAX_PERSON_BODY

AGE = "a number from 0 to 110"
FLAG = "0 or 1"
ANY = "heart_rate, spo2"  # the start of the list of all features


def refused(client: TestClient, raw: bytes, status: int = 422) -> dict:
    """The first problem of a body that is refused, in JSON that is valid to the letter."""
    answer = client.post("/predict", content=raw)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    content = json.loads(answer.content, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert set(content["detail"][0]) == {"field", "value", "message", "expected"}
    return content["detail"][0]


@pytest.mark.parametrize(
    ("raw", "field", "value", "expected"),
    [
        (b'{"age": 111}', "age", 111, AGE),
        (b'{"age": -1}', "age", -1, AGE),
        (b'{"age": 110.0001}', "age", 110.0001, AGE),
        (b'{"age": "30"}', "age", "30", AGE),
        (b'{"age": ""}', "age", "", AGE),
        (b'{"age": true}', "age", True, AGE),
        (b'{"age": [30]}', "age", "a list", AGE),
        (b'{"age": {"value": 30}}', "age", "an object", AGE),
        (b'{"age": NaN}', "age", "NaN", AGE),
        (b'{"age": Infinity}', "age", "Infinity", AGE),
        (b'{"age": -Infinity}', "age", "-Infinity", AGE),
        (b'{"age": 1e999}', "age", "Infinity", AGE),
        (b'{"age": -1e999}', "age", "-Infinity", AGE),
        (b'{"age": 9007199254740993}', "age", "9007199254740993", AGE),
        (b'{"age": %s}' % (b"9" * 400), "age", "9" * (MAX_SHOWN - 1) + "…", AGE),
        (b'{"age": 30, "age": 300}', "age", 300, AGE),
        (b'{"smoker": 2}', "smoker", 2, FLAG),
        (b'{"smoker": 0.5}', "smoker", 0.5, FLAG),
        (b'{"smoker": 1e-45}', "smoker", 1e-45, FLAG),
        (b'{"smoker": 0.9999999999}', "smoker", 0.9999999999, FLAG),
        (b'{"smoker": Infinity}', "smoker", "Infinity", FLAG),
        (b'{"smoker": "1"}', "smoker", "1", FLAG),
        (b'{"smoker": "true"}', "smoker", "true", FLAG),
        (b'{"smoker": NaN}', "smoker", "NaN", FLAG),
        (b'{"smoker": %s}' % (b"9" * 400), "smoker", "9" * (MAX_SHOWN - 1) + "…", FLAG),
        (b'{"weight": 70}', "weight", 70, ANY),
        (b'{"age": 30, "weight": NaN}', "weight", "NaN", ANY),
        (b'{"Age": 30}', "Age", 30, ANY),
        (b'{"": 1}', "", 1, ANY),
        (b'{"field_0": 88}', "field_0", 88, ANY),
        (b'{"health_risk": 1}', "health_risk", 1, ANY),
        ('{"âge": "é"}'.encode(), "âge", "é", ANY),
    ],
)
def test_a_bad_field_is_named_with_what_is_allowed(client: TestClient, raw, field, value, expected):
    problem = refused(client, raw)
    assert problem["field"] == field
    assert problem["value"] == value
    assert type(problem["value"]) is type(value)
    assert expected in problem["expected"]
    assert problem["expected"] in problem["message"]
    assert problem["message"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"{}", "no feature has a value"),
        (b'{"age": null, "spo2": null}', "no feature has a value"),
        (b"[]", "got a list"),
        (b'[{"age": 30}]', "got a list"),
        (b"null", "got null"),
        (b"true", "got true"),
        (b"30", "got 30"),
        (b"NaN", "got NaN"),
        (b'"age"', 'got "age"'),
        (b'{"age": 30', "not valid JSON"),
        (b'{"age": 30}}', "not valid JSON"),
        (b"{'age': 30}", "not valid JSON"),
        (b'{"age": 030}', "not valid JSON"),
        (b'{"age": 30,}', "not valid JSON"),
        (b"age=30", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b'{"age": "\xff"}', "not valid JSON"),
        (b'{"\\ud800": 1}', "not valid JSON"),
        ('{"age": 30}'.encode("utf-16"), "not valid JSON"),
        (b'\xef\xbb\xbf{"age": 30}', "not valid JSON"),
        (b"\x00" * 10, "not valid JSON"),
        (b'{"age": %s}' % (b"9" * 5_000), "not valid JSON"),
        (b'{"age": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "not valid JSON"),
        (b"[" * 60_000, "not valid JSON"),
        (b'{"x":' * 12_000, "not valid JSON"),
    ],
)
def test_a_bad_body_is_refused_in_words(client: TestClient, raw, says):
    problem = refused(client, raw)
    assert problem["field"] is None
    assert says in problem["message"]
    assert ANY in problem["expected"]


def test_every_bad_field_is_named_once(client: TestClient):
    body = {"age": 300, "smoker": "no", "spo2": 97, "weight": 70, "aqi": -1}
    problems = client.post("/predict", json=body).json()["detail"]
    assert sorted(problem["field"] for problem in problems) == ["age", "aqi", "smoker", "weight"]


def test_a_flood_of_problems_is_cut_short(client: TestClient):
    raw = json.dumps({f"{i}" + "x" * 100: "y" * 100 for i in range(200)}).encode()
    answer = client.post("/predict", content=raw)
    assert answer.status_code == 422
    assert len(answer.json()["detail"]) == MAX_PROBLEMS
    assert all(len(p["field"]) <= MAX_SHOWN and len(p["value"]) <= MAX_SHOWN for p in answer.json()["detail"])


def test_a_body_may_not_be_over_the_limit(client: TestClient):
    fits = b'{"age": 30}'.ljust(MAX_PERSON_BODY)
    assert client.post("/predict", content=fits).status_code == 200
    assert "65536 bytes" in refused(client, fits + b" ", status=413)["expected"]


def test_a_body_without_a_length_may_not_be_over_the_limit(client: TestClient):
    answer = client.post("/predict", content=(b" " * 1_000 for _ in range(1_000)))
    assert answer.status_code == 413


@pytest.mark.slow
@given(
    st.dictionaries(
        st.sampled_from(["age", "smoker", "spo2", "weight"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=5,
        ),
    )
)
@settings(max_examples=150, deadline=None)
def test_nothing_that_json_can_say_breaks_the_server(client: TestClient, body):
    raw = json.dumps(body).encode()  # writes NaN and Infinity, as Python clients do
    if client.post("/predict", content=raw).status_code != 200:
        refused(client, raw)
    else:
        assert all(value is None or math.isfinite(value) for value in body.values())


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_bytes_break_the_server(client: TestClient, raw):
    refused(client, raw)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_predict_takes_only_post(client: TestClient, method):
    assert client.request(method, "/predict").status_code == 405
