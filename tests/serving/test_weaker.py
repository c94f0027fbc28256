"""GET /model tells people for whom the model does worse, and since when it is served."""

import datetime as dt

import pytest
from fastapi.testclient import TestClient

from fedhealth.registry import publish
from fedhealth.registry.history import FILE
from fedhealth.serving import create_app
from fedhealth.serving.weaker import weaker_groups
from fedhealth.study import load_study
from fedhealth.study.advice.groups import people_of

STUDY = load_study("health-risk")
NODES = [{"name": "node_3", "title": "Clinic C", "better_alone": False}]


def group(name, *better_alone):
    return {"name": name, "better_alone": list(better_alone)}


def test_every_group_of_a_study_has_words():
    people = people_of(STUDY)
    assert people["age < 30"] == "people whose age is under 30 years"
    assert people["30 ≤ age < 45"] == "people whose age is 30 to under 45 years"
    assert people["age ≥ 75"] == "people whose age is 75 years or more"
    assert people["smoker = 1"] == "people who smoke"
    assert people["sex = 0"] == "women"
    assert people["city = Peshawar"] == "people in Peshawar"
    for name in ("heart-disease", "nhanes"):
        study = load_study(name)
        assert list(people_of(study)) == [one for _, names in study.groups for one in names]


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"nodes": NODES, "subgroups": [group("city = Peshawar", "node_3")]}, ["people in Peshawar, at Clinic C"]),
        ({"nodes": [{**NODES[0], "better_alone": True}], "subgroups": []}, ["all people at Clinic C"]),
        ({"nodes": NODES, "subgroups": [group("sex = 0"), group("sex = 1")]}, []),
        ({"nodes": NODES, "subgroups": []}, None),
        ({}, None),
    ],
)
def test_weaker_groups_are_told_in_words_and_unknown_is_not_none_found(facts, told):
    assert weaker_groups(STUDY, facts) == told


def test_the_model_that_is_served_tells_since_when(tmp_path, small_models):
    publish(small_models["first"], tmp_path)
    told = TestClient(create_app(tmp_path)).get("/model").json()
    assert dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(told["published"]) < dt.timedelta(hours=1)
    assert told["weaker_groups"] is None


def test_a_broken_history_tells_no_date_and_the_model_is_served(tmp_path, small_models):
    publish(small_models["first"], tmp_path)
    (tmp_path / FILE).write_text("{}\n")
    assert TestClient(create_app(tmp_path)).get("/model").json()["published"] is None
