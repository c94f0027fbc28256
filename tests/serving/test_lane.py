"""The fast lane and the ordinary route say the same, byte for byte."""

import json
import random
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from fedhealth.serving.app import Api
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


@pytest.fixture
def slow(app: Api) -> TestClient:
    """The app without its fast lane."""
    return TestClient(app.framework)


@pytest.mark.parametrize("count", [150, pytest.param(600, marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_both_ways_answer_alike(client: TestClient, slow: TestClient, study: Study, path: str, count: int):
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
]


def test_both_ways_answer_alike_for_many_people(client: TestClient, slow: TestClient):
    answered = 0
    for raw in BATCHES:
        fast, ordinary = (way.post("/predict/batch", content=raw, headers=KEY) for way in (client, slow))
        assert (fast.status_code, fast.content) == (ordinary.status_code, ordinary.content), raw[:80]
        answered += fast.status_code == 200
    assert answered == 3


def test_the_lane_is_no_way_round_the_roles_or_the_handling_of_large_bodies(client: TestClient):
    body = b'{"columns": {"age": [30, 31]}}'
    assert client.post("/predict/batch", content=body).status_code == 401
    spread = client.post("/predict/batch", content=iter([body[:11], b" " * 300_000, body[11:]]), headers=KEY)
    assert spread.content == client.post("/predict/batch", content=body, headers=KEY).content


def test_what_is_well_formed_takes_the_fast_lane_and_the_rest_does_not(study: Study):
    body = PredictionBody(study)
    assert all(body.parse_quickly(raw) is None for raw in BROKEN)
    assert all(body.parse_quickly(raw) == body.parse(raw) for raw in ODD)


def test_a_body_in_pieces_is_answered(client: TestClient):
    whole = client.post("/predict", content=b'{"age": 30}')
    assert client.post("/predict", content=iter([b'{"age"', b": 30}"])).content == whole.content


def test_the_lane_is_for_post_alone(client: TestClient):
    assert client.get("/explain").status_code == 405
    assert client.options("/predict").status_code == 405
