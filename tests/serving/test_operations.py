import json
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from fedhealth.data.shard import Shard
from fedhealth.data.synthetic.replay import replay
from fedhealth.federation import metrics, score_histogram
from fedhealth.keys import issue_key
from fedhealth.monitoring.nodes import NodeLook, keep_looks, look_at_node
from fedhealth.monitoring.store import Store
from fedhealth.registry import Bundle, publish, sign_bundle, without_form, write_bundle
from fedhealth.serving import create_app, serve

KEY = {"X-API-Key": "a key for tests"}
NOW = datetime.now(UTC).replace(microsecond=0)
KEYED = ["/cities", "/trends", "/aqi", "/alerts", "/runs", "/runs/latest", "/evaluation", "/drift"]
KEYED += ["/alerts/rules", "/performance", "/performance/nodes", "/nodes", "/privacy", "/promotion"]


@pytest.fixture
def api(tmp_path: Path, folder: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("FEDHEALTH_RUNS", str(tmp_path / "runs"))
    return TestClient(create_app(folder))


def reading(**changes: Any) -> dict[str, Any]:
    features = {"heart_rate": 80, "aqi": 180, "pm25": 60}
    return {"city": "Lahore", "time": NOW.isoformat(), "features": features, "source": "synthetic", **changes}


def send(api: TestClient, readings: list[dict[str, Any]]) -> Any:
    return api.post("/readings", json={"readings": readings}, headers=KEY)


@pytest.mark.parametrize("path", KEYED)
@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"X-API-Key": "ü".encode()}])
def test_what_is_stored_needs_the_key(client: TestClient, path: str, headers: dict[str, Any]):
    answer = client.get(path, headers=headers)
    assert answer.status_code == 401
    assert "X-API-Key" in answer.json()["detail"]
    assert client.post("/readings", json={}, headers=headers).status_code == 401


def test_with_nothing_stored_every_page_still_gets_its_answer(api: TestClient):
    answers = {path: api.get(path, headers=KEY) for path in KEYED}
    assert {path: answer.status_code for path, answer in answers.items() if answer.status_code != 200} == {
        "/runs/latest": 404
    }
    assert len(answers["/cities"].json()["cities"]) == 9
    assert answers["/cities"].json()["reporting"] == 0
    assert answers["/drift"].json()["features"] == []
    assert api.get("/air?city=Lahore").json()["aqi"] is None


def test_a_reading_gets_the_risk_that_predict_gives(api: TestClient, tmp_path: Path):
    assert send(api, [reading(id="a"), reading(id="b", person="p-1")]).json() == {"stored": 2, "scored": 2}
    assert send(api, [reading(id="a")]).json() == {"stored": 0, "scored": 1}
    asked = api.post("/predict", json=reading()["features"]).json()
    rows = sqlite3.connect(tmp_path / "store.db").execute("SELECT id, risk, model_version FROM readings").fetchall()
    assert rows == [(i, pytest.approx(asked["risk_score"]), asked["model_version"]) for i in ("a", "b")]
    air = api.get("/air?city=Lahore").json()
    assert (air["aqi"], air["category"], air["dominant"], air["synthetic"]) == (180, "Unhealthy", "pm25", True)
    assert air["time"] == NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert api.get("/air?city=Atlantis").status_code == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"city": "Atlantis"}, "readings[1].city"),
        ({"time": "yesterday"}, "readings[1].time"),
        ({"time": "2026-01-01T00:00:00"}, "readings[1].time"),
        ({"features": {"spo2": 900}}, "readings[1].features.spo2"),
        ({"features": {"mood": 1}}, "readings[1].features.mood"),
        ({"features": {}}, "readings[1].features"),
        ({"features": {"age": float("nan")}}, "readings[1].features.age"),
        ({"person": "Ayesha Khan"}, "readings[1].person"),
        ({"name": "Ayesha"}, "readings[1].name"),
    ],
)
def test_one_wrong_reading_and_none_is_stored(api: TestClient, changes: dict[str, Any], field: str):
    body = json.dumps({"readings": [reading(id="good"), reading(**changes)]})
    answer = api.post("/readings", content=body, headers=KEY)
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["detail"]] == [field]
    assert send(api, [reading(id="good")]).json()["stored"] == 1


def test_nobody_but_an_administrator_sends_readings_from_the_future(
    api: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FEDHEALTH_KEYS_FILE", str(tmp_path / "keys.jsonl"))
    clinic, phone = {"X-API-Key": issue_key("clinic", "analyst")}, {"X-API-Key": issue_key("phone", "citizen", "p-1")}
    ahead = {"readings": [reading(time="2199-01-01T00:00:00Z", person="p-1")]}
    for headers in (clinic, phone):
        answer = api.post("/readings", json=ahead, headers=headers)
        assert (answer.status_code, answer.json()["detail"][0]["field"]) == (422, "readings[0].time")
    soon = {"readings": [reading(time=(NOW + timedelta(minutes=2)).isoformat(), person="p-1")]}
    assert api.post("/readings", json=soon, headers=phone).status_code == 201


def test_no_citizens_word_makes_a_citys_air(api: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEDHEALTH_KEYS_FILE", str(tmp_path / "keys.jsonl"))
    phone = {"X-API-Key": issue_key("phone", "citizen", "p-1")}
    said = {"readings": [reading(person="p-1", features={"aqi": 500, "pm25": 400})]}
    assert api.post("/readings", json=said, headers=phone).status_code == 201
    assert api.get("/air?city=Lahore").json()["aqi"] is None
    assert api.get("/alerts", headers=KEY).json()["alerts"] == []


def test_few_people_are_not_told_by_drift(api: TestClient):
    send(api, [reading(id="later"), *(reading(person="p", time=hours_ago(i)) for i in range(2, 14))])
    drift = api.get("/drift?days=2", headers=KEY).json()
    names = ("n", "reference", "current", "missing_share")
    told = [one[name] for one in drift["features"] for name in names if one["n"] != 0]
    told += [one[name] for one in drift["missing"] for name in ("n", "now", "before") if one["n"] != 0]
    told += [drift["score"]["n"]]
    assert set(told) == {None}


def test_asking_before_and_after_a_reading_does_not_tell_its_risk(api: TestClient):
    send(api, [reading(person=f"p{i}", time=hours_ago(2)) for i in range(12)])
    send(api, [reading(id="hour", person="p0", time=hours_ago(0))])
    asked = ("/cities", "/trends", "/performance", "/drift?days=1")

    def figures() -> list[Any]:
        found = [api.get(path, headers=KEY).json() for path in asked]
        for city in found[0]["cities"]:
            del city["time"]
        return found

    before = figures()
    risk = before[0]["cities"][0]["mean_risk"] or next(c["mean_risk"] for c in before[0]["cities"] if c["mean_risk"])
    assert risk == round(risk, 3)
    send(api, [reading(person="p-new", features={"age": 80, "spo2": 80})])
    assert figures() == before


def hours_ago(hours: int) -> str:
    return (NOW.replace(minute=0, second=0) - timedelta(hours=hours)).isoformat()


def test_an_alert_without_news_for_a_day_has_no_data(api: TestClient):
    features = {"aqi": 350, "heart_rate": 80}
    send(api, [reading(features=features, time=(NOW - timedelta(hours=30)).isoformat())])
    assert [one["state"] for one in api.get("/alerts", headers=KEY).json()["alerts"]] == ["no_data"]


@pytest.mark.parametrize("body", [b'{"by": "\\ud800"}', b'{"\\ud800": 1}', b'{"by": 1, "note": "\\udfff"}'])
def test_half_a_surrogate_pair_is_refused_in_words(api: TestClient, body: bytes):
    for method, path in (("POST", "/alerts/1/acknowledge"), ("PUT", "/people/p/consent"), ("POST", "/outcomes")):
        headers = {**KEY, "content-type": "application/json"}
        assert api.request(method, path, content=body, headers=headers).status_code == 422


@pytest.mark.parametrize("content", ["", '{"study": "s"', "[]", '{"a": NaN}'])
def test_a_report_that_cannot_be_read_is_not_there(api: TestClient, tmp_path: Path, content: str):
    (tmp_path / "runs" / "half").mkdir(parents=True)
    (tmp_path / "runs" / "half" / "report.json").write_text(content)
    assert api.get("/runs/half", headers=KEY).status_code == 404
    assert api.get("/runs", headers=KEY).json() == {"runs": []}


def test_a_database_of_another_kind_is_refused_at_the_start(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", "mysql://someone:secret@host/db")
    with pytest.raises(SystemExit, match=r"DATABASE_URL: got 'mysql'; expected postgresql://… or sqlite:///…"):
        serve("127.0.0.1", 0, folder)


def test_too_many_or_too_large_is_refused(api: TestClient):
    assert send(api, []).status_code == 422
    assert send(api, [reading()] * 1001).status_code == 422
    assert api.post("/readings", content=b" " * (5 * 2**20), headers=KEY).status_code == 413


def test_an_alert_is_acknowledged_over_http(api: TestClient):
    features = {"aqi": 350, "heart_rate": 80}
    send(api, [reading(person=f"p{i}", features=features) for i in range(12)])
    alert = next(a for a in api.get("/alerts?state=firing", headers=KEY).json()["alerts"] if a["rule"] == "aqi")
    assert (alert["city"], alert["value"], alert["evidence"]["readings"]) == ("Lahore", 350, 12)
    path = f"/alerts/{alert['id']}/acknowledge"
    assert api.post(path, json={"by": " ", "note": ""}, headers=KEY).status_code == 422
    answer = api.post(path, json={"by": "Dr Khan", "note": "schools told"}, headers=KEY).json()
    assert (answer["state"], answer["acknowledged_by"], answer["note"]) == ("acknowledged", "Dr Khan", "schools told")
    assert alert["id"] in [a["id"] for a in api.get("/alerts?state=acknowledged", headers=KEY).json()["alerts"]]
    assert answer["acknowledged_key"] == "installation"
    assert api.post("/alerts/999/acknowledge", json={"by": "x"}, headers=KEY).status_code == 404
    taken = api.post(path, json={"by": "Dr Noor", "note": "mine"}, headers=KEY)
    said = f"Dr Khan, with the key of installation looks after alert {alert['id']} already"
    assert (taken.status_code, taken.json()["detail"]) == (409, said)
    again = api.post(path, json={"by": "Dr Khan", "note": "schools closed"}, headers=KEY).json()
    assert (again["acknowledged_by"], again["note"]) == ("Dr Khan", "schools closed")


def test_the_rules_of_alerts_are_told(api: TestClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEDHEALTH_ALERT_RISK", "0.3")
    monkeypatch.setenv("FEDHEALTH_ALERT_FOR", "90")
    told = api.get("/alerts/rules", headers=KEY).json()
    rules = {one["rule"]: one for one in told["rules"]}
    assert (rules["mean-risk"]["opens"], rules["mean-risk"]["for_minutes"]) == (0.3, 90)
    assert rules["mean-risk"]["ends"] == pytest.approx(0.285)
    assert (rules["aqi"]["opens"], rules["aqi"]["opens_at_limit"], rules["aqi"]["ends"]) == (200, False, 190)
    assert (rules["drift"]["opens"], rules["drift"]["each_city"], rules["drift"]["for_minutes"]) == (None, False, 90)
    monkeypatch.setenv("FEDHEALTH_ALERT_FOR", "soon")
    told = api.get("/alerts/rules", headers=KEY).json()
    assert (told["rules"], "FEDHEALTH_ALERT_FOR: got 'soon'" in told["problem"]) == ([], True)


def test_intervals_events_and_origin_are_told_over_http(api: TestClient):
    told = [{"heart_rate": 60 + i, "aqi": 100} for i in range(40)]
    send(api, [reading(person=f"p{i}", features=one, time=hours_ago(2)) for i, one in enumerate(told)])
    send(api, [reading(person="p0", time=hours_ago(0))])
    (point,) = api.get("/trends", headers=KEY).json()["points"]
    low, high = point["mean_risk_interval"]
    assert low < point["mean_risk"] < high
    lahore = next(c for c in api.get("/cities", headers=KEY).json()["cities"] if c["city"] == "Lahore")
    assert (point["synthetic"], lahore["synthetic"]) == ("all", "all")
    assert lahore["unstable"] == (lahore["high_risk_readings"] is not None and lahore["high_risk_readings"] <= 20)
    send(api, [reading(person="p99", source="clinic", time=hours_ago(2))])
    cities = api.get("/cities", headers=KEY).json()["cities"]
    assert {c["city"]: c["synthetic"] for c in cities if c["synthetic"]} == {"Lahore": "some"}


def test_runs_are_read_from_their_folder(api: TestClient, tmp_path: Path):
    report = {"study": "s", "seed": 0, "model": "additive", "nodes": [{"name": "n"}], "global": {"auroc": 0.7}}
    for name, content in [
        ("old", {**report, "runtime": "flower", "rounds": [{"round": 0}, {"round": 5}]}),
        ("broken", {}),
    ]:
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "report.json").write_text(json.dumps(content))
    (run,) = api.get("/runs", headers=KEY).json()["runs"]
    assert (run["id"], run["rounds"], run["nodes"], run["global_auroc"]) == ("old", 5, ["n"], 0.7)
    assert api.get("/runs/old", headers=KEY).json()["rounds"][1]["round"] == 5
    assert api.get("/runs/..%2F..%2Fetc", headers=KEY).status_code == 404


def test_nodes_and_their_privacy_are_read_from_runs(api: TestClient, tmp_path: Path):
    def node(name: str) -> dict[str, Any]:
        return {"name": name, "rows": 100, "features": ["age"]}

    common = {"study": "health-risk", "seed": 0, "model": "additive", "runtime": "local", "rounds": []}
    common |= {"global": {"auroc": 0.7}}
    promise = {"epsilon": 1.5, "delta": 1e-5, "unit": "one row of a node's table", "steps": []}
    reports = {
        "one": {**common, "nodes": [node("node_1"), node("node_3")], "took_part": ["node_1", "node_3"]},
        "two": {**common, "nodes": [node("node_1")], "took_part": ["node_1"], "privacy": promise},
        "other": {**common, "study": "nhanes", "nodes": [node("node_1")]},
    }
    for name, content in reports.items():
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "report.json").write_text(json.dumps(content))
    nodes = {one["name"]: one for one in api.get("/nodes", headers=KEY).json()["nodes"]}
    assert [(nodes[n]["taken_part"], nodes[n]["missed"]) for n in ("node_1", "node_2", "node_3")] == [
        (2, 0),
        (0, 2),
        (1, 1),
    ]
    assert (nodes["node_2"]["last_seen"], nodes["node_3"]["last_run"]) == (None, "one")
    untold = ("rounds", "rounds_missed", "version", "received", "sent")
    assert [nodes["node_1"][name] for name in untold] == [0, 0, None, None, None]
    told = api.get("/privacy", headers=KEY).json()
    assert (told["limit"], told["audit"]) == (8.0, None)
    spent = {one["name"]: one for one in told["nodes"]}
    assert (spent["node_1"]["epsilon"], spent["node_1"]["exact_runs"]) == (1.5, 1)
    assert spent["node_1"]["private_runs"][0]["unit"] == promise["unit"]
    assert spent["node_2"] == {"name": "node_2", "epsilon": 0, "delta": 0, "exact_runs": 0, "private_runs": []}


def test_a_nodes_version_bytes_and_missed_rounds_are_read_from_its_newest_run(api: TestClient, tmp_path: Path):
    def round_of(number: int, *names: str) -> dict[str, Any]:
        return {"round": number, "nodes": [{"name": name, "loss": 0.3} for name in names]}

    both, names = [{"name": "node_1"}, {"name": "node_2"}], ["node_1", "node_2"]
    common = {"study": "health-risk", "seed": 0, "model": "additive", "runtime": "flower", "global": {"auroc": 0.7}}
    common |= {"nodes": both, "took_part": names}
    told = {"version": "0.1.0", "received": 4000, "sent": 900}
    reports = {
        "older": {**common, "rounds": [round_of(0, *names), round_of(1, *names)]},
        "newer": {**common, "rounds": [round_of(0, *names), round_of(1, "node_1")], "network": {"node_1": told}},
    }
    for age, (name, content) in enumerate(reports.items()):
        (tmp_path / "runs" / name).mkdir(parents=True)
        path = tmp_path / "runs" / name / "report.json"
        path.write_text(json.dumps(content))
        os.utime(path, (age + 1, age + 1))
    nodes = {one["name"]: one for one in api.get("/nodes", headers=KEY).json()["nodes"]}
    facts = ("version", "received", "sent", "rounds", "rounds_missed")
    assert [nodes["node_1"][fact] for fact in facts] == ["0.1.0", 4000, 900, 4, 0]
    assert [nodes["node_2"][fact] for fact in facts] == [None, None, None, 4, 1]


def test_the_demo_model_is_evaluated_by_city_with_intervals_and_tells_of_its_data(tmp_path: Path):
    demo = TestClient(create_app(Path(__file__).parents[2] / "models"))
    found = demo.get("/evaluation", headers=KEY).json()
    cities = {one["name"]: one["global"] for one in found["subgroups"] if one["by"] == "city"}
    assert len(cities) == 9
    for one in cities.values():
        assert one is None or one["auroc_low"] < one["auroc"] < one["auroc_high"]
    assert found["nodes"][0]["difference"]["log_loss_low"] < found["nodes"][0]["difference"]["log_loss_high"]
    assert (found["synthetic"], found["synthetic_nodes"]) == (True, [])


def test_a_model_on_partly_synthetic_rows_names_the_nodes_that_have_them(tmp_path: Path, bundle: Bundle):
    facts = {**without_form(bundle.facts), "synthetic_nodes": ["node_2"]}
    write_bundle(tmp_path / "models", bundle.study, bundle.model, bundle.reference, facts, "# Model card\n")
    sign_bundle(tmp_path / "models")
    partly = TestClient(create_app(tmp_path / "models"))
    for path in ("/model", "/evaluation"):
        assert partly.get(path, headers=KEY).json()["synthetic_nodes"] == ["node_2"]
    (version,) = partly.get("/models", headers=KEY).json()["versions"]
    assert version["synthetic_nodes"] == ["node_2"]


def test_an_older_bundle_that_tells_nothing_of_nodes_is_still_shown(api: TestClient):
    found = api.get("/evaluation", headers=KEY).json()
    assert (found["nodes"], found["subgroups"], found["synthetic_nodes"]) == ([], [], [])
    assert api.get("/model").json()["synthetic_nodes"] == []


def test_the_history_of_models_is_told(tmp_path: Path, small_models: dict[str, Path]):
    for name in ("first", "second"):
        publish(small_models[name], tmp_path / "models", reason=f"the {name}")
    found = TestClient(create_app(tmp_path / "models")).get("/promotion", headers=KEY).json()
    assert [one["reason"] for one in found["history"]] == ["the second", "the first"]
    assert found["champion"] == found["history"][0]["version"]
    assert found["history"][0]["before"] == found["history"][1]["version"]


def test_the_model_at_each_node_is_told_once_it_was_asked(api: TestClient, bundle: Bundle, shards: list[Shard]):
    first = api.get("/performance/nodes", headers=KEY).json()["nodes"]
    assert [(one["name"], one["status"], one["checked"]) for one in first] == [
        (node.name, None, None) for node in bundle.study.nodes
    ]
    risk = bundle.model.risk(shards[0].x, shards[0].observed, shards[0].site)
    answer = score_histogram(risk, shards[0].y, 0.2)
    look = look_at_node("node_1", metrics(answer).as_dict(), answer, 0.2, np.random.default_rng(0))
    with Store().session() as session:
        keep_looks(session, [look, NodeLook("node_2")], bundle.version, NOW)
    node, silent, unasked = api.get("/performance/nodes", headers=KEY).json()["nodes"]
    assert [one["status"] for one in (node, silent, unasked)] == ["ok", "no answer", None]
    assert node["now"]["auroc"] == node["trained"]["auroc"] == pytest.approx(metrics(answer).auroc)
    assert node["changes"]["auroc"]["low"] < 0 == node["changes"]["auroc"]["worse"] < node["changes"]["auroc"]["high"]
    assert node["expected"]["n"] == len(shards[0])
    assert (silent["now"], silent["checked"]) == (None, NOW.strftime("%Y-%m-%dT%H:%M:%SZ"))


def test_outcomes_and_people_over_http(api: TestClient):
    send(api, [reading(id=f"r{i}", person=f"p{i}", time=hours_ago(1)) for i in range(3)] + [reading(id="later")])
    told = {"outcomes": [{"reading": "r0", "happened": True}, {"reading": "r1", "happened": False}]}
    assert api.post("/outcomes", json=told, headers=KEY).json() == {"stored": 2}
    unknown = api.post("/outcomes", json={"outcomes": [{"reading": "r9", "happened": True}]}, headers=KEY)
    assert (unknown.status_code, unknown.json()["detail"][0]["value"]) == (422, "r9")
    assert api.get("/performance", headers=KEY).json()["known"] == 2
    kept = api.get("/people/p0", headers=KEY).json()
    assert (kept["retention"], kept["readings"], kept["outcomes"]) == ("full", 1, 1)
    asked = api.put("/people/p1/consent", json={"retention": "off"}, headers=KEY).json()
    assert (asked["retention"], asked["readings"]) == ("off", 0)
    assert send(api, [reading(id="r5", person="p1")]).json() == {"stored": 0, "scored": 1}
    assert api.delete("/people/p0", headers=KEY).json() == {"erased": 1}
    assert api.get("/people/p0", headers=KEY).json()["readings"] == 0


def test_settings_that_cannot_be_read_are_an_alert_and_cost_no_reading(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FEDHEALTH_ALERT_RISK", "high")
    assert send(api, [reading(id="a")]).status_code == 201
    (alert,) = api.get("/alerts?state=error", headers=KEY).json()["alerts"]
    assert "FEDHEALTH_ALERT_RISK: got 'high'" in alert["error"]
    monkeypatch.delenv("FEDHEALTH_ALERT_RISK")
    send(api, [reading(id="b")])
    assert api.get("/alerts?state=error", headers=KEY).json()["alerts"] == []


def test_a_store_that_is_away_stops_no_prediction(
    tmp_path: Path, folder: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'file' / 'store.db'}")
    with TestClient(create_app(folder)) as api:
        assert api.post("/predict", json={"age": 40}).status_code == 200
        answer = api.get("/cities", headers=KEY)
    assert (answer.status_code, list(answer.json())) == (503, ["detail"])


@pytest.mark.slow
def test_ninety_days_are_answered(api: TestClient):
    readings = list(replay(5, NOW - timedelta(days=90), NOW, 30))
    for start in range(0, len(readings), 1000):
        assert send(api, readings[start : start + 1000]).status_code == 201
    for path in [*(p for p in KEYED if p != "/runs/latest"), "/trends?days=90", "/drift?days=90", "/aqi?days=90"]:
        assert api.get(path, headers=KEY).status_code == 200, path
    cities = api.get("/cities", headers=KEY).json()
    assert cities["reporting"] == 9
    assert all(city["mean_risk"] for city in cities["cities"])
    assert {f["status"] for f in api.get("/drift?days=30", headers=KEY).json()["features"]} <= {"ok", "drift"}
