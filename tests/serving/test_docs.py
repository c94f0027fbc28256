import re

import jsonschema
import pytest
from fastapi.testclient import TestClient

from fedhealth.study import Study


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict:
    return client.get("/openapi.json").json()


def test_the_request_shows_names_ranges_units_and_the_example(document: dict, study: Study):
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/Features"}
    assert content["example"] == {
        "heart_rate": 88,
        "spo2": 97,
        "steps": 4500,
        "sleep_hours": 6,
        "age": 30,
        "smoker": 0,
        "chronic": 0,
        "aqi": 60,
    }
    schema = document["components"]["schemas"]["Features"]
    assert schema["additionalProperties"] is False
    for feature in study.features:
        shown = schema["properties"][feature.name]
        assert feature.allowed in shown["description"]
        assert (shown["anyOf"][0]["minimum"], shown["anyOf"][0]["maximum"]) == (feature.low, feature.high)
        assert shown.get("x-unit", "1") == feature.unit


def test_the_example_can_be_sent(client: TestClient, document: dict):
    example = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert client.post("/predict", json=example).status_code == 200


@pytest.mark.parametrize(
    ("body", "valid"),
    [
        ({"age": 30}, True),
        ({"age": None, "smoker": True}, True),
        ({"smoker": 1.0}, True),
        ({}, False),
        ({"age": 111}, False),
        ({"age": "30"}, False),
        ({"age": True}, False),
        ({"smoker": 2}, False),
        ({"smoker": "1"}, False),
        ({"weight": 70}, False),
    ],
)
def test_the_schema_and_the_server_agree(client: TestClient, document: dict, body: dict, valid: bool):
    schema = document["components"]["schemas"]["Features"]
    assert jsonschema.Draft202012Validator(schema).is_valid(body) == valid
    assert (client.post("/predict", json=body).status_code == 200) == valid


def test_the_docs_load_only_from_this_server(client: TestClient):
    page = client.get("/docs")
    assert page.status_code == 200
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "style=" not in page.text
    assert "<style" not in page.text
    assert all(not body.strip() for body in re.findall(r"<script[^>]*>(.*?)</script>", page.text, re.S))
    needed = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(needed) == 4
    for path in needed:
        assert "//" not in path
        assert client.get(f"/{path}").status_code == 200


def test_the_docs_start_from_this_servers_description(client: TestClient):
    script = client.get("/docs/start.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert 'url: "openapi.json"' in script.text
    assert "//" not in script.text


def test_the_root_leads_to_the_docs(client: TestClient):
    answer = client.get("/", follow_redirects=True)
    assert answer.url.path == "/docs"
