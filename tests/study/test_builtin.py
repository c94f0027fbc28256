"""The built-in studies hold what their users were promised."""

import pytest

from fedhealth.study import builtin_studies, load_study

WEARABLES = ["heart_rate", "spo2", "steps", "sleep_hours", "age", "smoker", "chronic", "aqi"]
WEATHER = ["pm25", "pm10", "no2", "o3", "temperature", "humidity", "wind_speed"]
CLINIC = ["heart_rate", "spo2", "steps", "age", "cough_flag", "breathless_flag"]
README_EXAMPLE = [88, 97, 4500, 6, 30, 0, 0, 60]


def test_there_are_three():
    assert builtin_studies() == ["health-risk", "heart-disease", "nhanes"]


def test_health_risk_has_the_named_features():
    study = load_study("health-risk")
    assert list(study.names) == [*WEARABLES, *WEATHER, "cough_flag", "breathless_flag", "sex"]
    assert [f.column for f in study.features] == list(study.names)
    assert {f.name for f in study.features if f.anchor} == {"age", "sex"}
    environment = {f.name for f in study.features if f.modality == "environment"}
    assert environment == {"aqi", *WEATHER}


def test_health_risk_has_the_named_nodes():
    study = load_study("health-risk")
    nodes = {n.title: (n.file, list(n.features), n.person) for n in study.nodes}
    assert nodes == {
        "Hospital A wearables": ("node_1/wearables.csv", WEARABLES, "user_id"),
        "City environment department": ("node_2/env_weather.csv", WEATHER, ""),
        "Clinic C": ("node_3/clinic.csv", CLINIC, "user_id"),
    }
    assert [n.name for n in study.nodes] == ["node_1", "node_2", "node_3"]


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        ("health-risk", {"age": 5, "sex": 2, "smoker": 2, "chronic": 2, "city": 9}),
        ("heart-disease", {"age": 4, "sex": 2}),
        ("nhanes", {"age": 5, "male": 2}),
    ],
)
def test_people_are_told_apart_by_age_sex_and_what_else_the_study_knows(study, expected):
    assert {kind: len(names) for kind, names in load_study(study).groups} == expected


def test_health_risk_predicts_an_event_within_a_week():
    outcome = load_study("health-risk").outcome
    assert (outcome.columns, outcome.window_days) == (("health_risk",), 7)
    assert 0.05 < outcome.threshold < 0.5


def test_the_readme_example_is_the_example_of_the_features():
    study = load_study("health-risk")
    example = [study.features[study.index(name)].example for name in WEARABLES]
    assert example == README_EXAMPLE
    others = [f for f in study.features if f.name not in WEARABLES]
    assert all(f.example is None for f in others)


def test_health_risk_refuses_shares_where_percent_is_meant():
    spo2 = load_study("health-risk").features[1]
    assert (spo2.unit, spo2.loinc) == ("%", "59408-5")
    assert spo2.low > 1


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        ("health-risk", {"steps", "sleep_hours", "smoker"}),
        ("nhanes", {"sleep_hours", "sedentary_minutes", "vigorous_activity", "moderate_activity"}),
    ],
)
def test_only_what_a_person_can_change_is_called_changeable(study, expected):
    changeable = {f.name for f in load_study(study).features if f.changeable}
    assert expected <= changeable
    assert not changeable & {"age", "sex", "male", "chronic", "aqi", "pm25", "heart_attack", "stroke"}


def test_heart_disease_is_four_hospitals_with_all_columns():
    study = load_study("heart-disease")
    assert [n.name for n in study.nodes] == ["cleveland", "hungarian", "switzerland", "va"]
    columns = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope"]
    assert [f.column for f in study.features] == [*columns, "ca", "thal"]
    assert all(n.features == study.names for n in study.nodes)
    assert not study.source.header
    assert list(study.source.columns) == [*columns, "ca", "thal", "num"]
    assert study.outcome.columns == ("num",)


def test_nhanes_nodes_see_their_block_and_the_anchors():
    study = load_study("nhanes")
    assert [o.name for o in study.outcomes] == ["fair-poor-health"]
    assert {f.column for f in study.features if f.anchor} == {"AgeInYearsAtScreening", "Gender"}
    blocks = [set(n.features) - {"age", "male"} for n in study.nodes]
    assert [len(b) for b in blocks] == [8, 5, 15]
    assert all({"age", "male"} <= set(n.features) for n in study.nodes)
    assert set.union(*blocks, {"age", "male"}) == set(study.names)
    logs = {f.column for f in study.features if f.scale == "log"}
    assert logs == {"BloodLeadUgdl", "BloodCadmiumUgl", "BloodMercuryTotalUgl", "BloodManganeseUgl"}
