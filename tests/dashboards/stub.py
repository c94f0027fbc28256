"""A stand-in for the API with plausible answers. ``python -m tests.dashboards.stub PORT``."""

import asyncio
import math
import sys
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from fastapi import FastAPI, HTTPException, Request

from fedhealth.study import load_study

from .stub_groups import DIFFERENCE, NETWORK, champion, subgroups, with_intervals
from .stub_people import add_people, people_at_first
from .stub_versions import add_network, served_at_first

KEY = "stub-key"
OPENED = {"FEDHEALTH_API_KEY": KEY, "FEDHEALTH_ADMIN_OPENED": "1"}  # as ``fedhealth up`` starts the admin's pages
ROLES = {KEY: "admin", "analyst-key": "analyst", "viewer-key": "viewer", "citizen-key": "citizen"}
NEEDED = {"/models/promote": "admin", "/models/rollback": "admin", "/acknowledge": "analyst"}
RANK = ("citizen", "viewer", "analyst", "admin")
TODAY = date(2026, 11, 23)
NOW = "2026-11-23T17:57:00Z"
PLACES = {
    "Karachi": (24.86, 67.01, 142),
    "Lahore": (31.55, 74.34, 268),
    "Islamabad": (33.68, 73.05, 97),
    "Quetta": (30.18, 67.00, 88),
    "Peshawar": (34.01, 71.58, 176),
    "Multan": (30.20, 71.45, 203),
    "Faisalabad": (31.42, 73.08, 231),
    "Rawalpindi": (33.60, 73.04, 104),
    "Hyderabad": (25.37, 68.37, 151),
}
TOPS = {50: "Good", 100: "Moderate", 150: "Unhealthy for Sensitive Groups", 200: "Unhealthy", 300: "Very Unhealthy"}


@dataclass
class Behaviour:
    """How the stub answers; tests turn these. ``asked``: what was asked for, in order."""

    asked: list[str] = field(default_factory=list)
    status: int = 0
    delay: float = 0.0
    broken: set[str] = field(default_factory=set)
    once: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    few: tuple[str, ...] = ("Quetta",)
    no_points: tuple[str, ...] = ()
    quiet: bool = False
    private_runs: bool = True
    interval: list[float] | None = None
    acknowledged: dict[str, dict[str, str]] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    synthetic: str = "all"
    more_alerts: list[dict[str, Any]] = field(default_factory=list)
    rules_problem: str | None = None
    served: dict[str, Any] = field(default_factory=served_at_first)
    people: dict[str, Any] = field(default_factory=people_at_first)
    older: bool = False
    model: dict[str, Any] = field(default_factory=dict)
    air: dict[str, Any] = field(default_factory=dict)


def category(index: float) -> str:
    return next((name for top, name in TOPS.items() if index <= top), "Hazardous")


def risk_of(body: dict[str, float]) -> float:
    score = -2.1 + 0.03 * (body.get("heart_rate", 72) - 72) - 0.2 * (body.get("spo2", 97) - 97)
    score += 0.03 * (body.get("age", 46) - 46) - 0.00008 * (body.get("steps", 7000) - 7000)
    score += 0.003 * (body.get("aqi", 130) - 130) - 0.1 * (body.get("sleep_hours", 7) - 7)
    score += 0.6 * body.get("smoker", 0) + 0.8 * body.get("chronic", 0)
    return 1 / (1 + math.exp(-score))


def interval(risk: float, known: int) -> list[float]:
    """The more is known, the narrower."""
    wide = 1.6 - 0.05 * known
    return [risk / wide, min(risk * wide, 1.0)]


def mean_risk(city: str, day: date) -> float:
    aqi = PLACES[city][2]
    return 0.04 + aqi / 1300 + 0.02 * math.sin(day.toordinal() / 5 + aqi)


def create_stub(behaviour: Behaviour) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def misbehave(request: Request, call_next: Any) -> Any:
        from starlette.responses import JSONResponse

        path = request.url.path
        behaviour.asked.append(f"{path}?{request.url.query}")
        if behaviour.delay and (path in behaviour.slow or not behaviour.slow):
            await asyncio.sleep(behaviour.delay)
        if path in behaviour.once:
            behaviour.once.discard(path)
            return JSONResponse({"detail": "the stub was told to fail once"}, 503)
        if behaviour.status or any(path.startswith(one) for one in behaviour.broken):
            return JSONResponse({"detail": "the stub was told to fail"}, behaviour.status or 500)
        role = ROLES.get(request.headers.get("X-API-Key", ""))
        if path not in ("/predict", "/explain", "/model", "/health", "/air"):
            needed = next((role for end, role in NEEDED.items() if path.endswith(end)), "viewer")
            personal = path == "/me" or path.startswith("/people")
            if role is None:
                return JSONResponse({"detail": "wrong key"}, 401)
            if RANK.index(role) < RANK.index(needed) and not personal:
                return JSONResponse({"detail": f"this needs the role {needed}"}, 403)
        return await call_next(request)

    add_public(app, behaviour)
    add_cities(app, behaviour)
    add_alerts(app, behaviour)
    add_model(app, behaviour)
    add_network(app, behaviour)
    add_people(app, behaviour, ROLES)
    return app


def add_public(app: FastAPI, behaviour: Behaviour) -> None:
    study = load_study("health-risk")
    names = ("name", "title", "modality", "kind", "unit", "low", "high", "levels", "changeable", "loinc", "example")

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/model")
    def model() -> dict[str, Any]:
        return {
            "model_version": "f417211d610a",
            "study": {"name": study.name, "title": study.title, "hash": study.hash},
            "outcome": {"name": "health_risk", "title": study.outcome.title, "window_days": 7},
            "features": [{name: getattr(feature, name) for name in names} for feature in study.features],
            "threshold": {"value": 0.2, "sensitivity": 0.44, "specificity": 0.9},
            "metrics": {"auroc": 0.771},
            "synthetic": True,
            "synthetic_nodes": [],
            "published": NOW,
            "weaker_groups": ["people in Peshawar, at Clinic C"],
            **behaviour.model,
        }

    @app.post("/predict")
    def predict(body: dict[str, float]) -> dict[str, Any]:
        risk = risk_of(body)
        return {
            "risk_score": risk,
            "high_risk": risk >= 0.2,
            "risk_interval": behaviour.interval or interval(risk, len(body)),
            "missing": [name for name in study.names if name not in body],
            "model_version": "f417211d610a",
            "threshold": 0.2,
        }

    @app.post("/explain")
    def explain(body: dict[str, float]) -> dict[str, Any]:
        parts = [
            {"feature": name, "value": value, "contribution": 0.5 - 0.3 * i}
            for i, (name, value) in enumerate(body.items())
        ]
        return {"risk_score": risk_of(body), "contributions": parts}

    @app.get("/air")
    def air(city: str) -> dict[str, Any]:
        if city not in PLACES:
            raise HTTPException(404, "no such city")
        aqi = PLACES[city][2]
        facts = {"averaging": "24-hour", "dominant": "PM2.5", "source": "synthetic", "synthetic": True, "stale": False}
        return {
            "city": city,
            "time": NOW,
            "aqi": aqi,
            "category": category(aqi),
            "pm25": aqi / 2,
            **facts,
            **behaviour.air,
        }


def add_cities(app: FastAPI, behaviour: Behaviour) -> None:
    @app.get("/cities")
    def cities() -> dict[str, Any]:
        found = [{**one_city(name, name in behaviour.few), "synthetic": behaviour.synthetic} for name in PLACES]
        return {"as_of": NOW, "reporting": 9, "cities": found}

    @app.get("/trends")
    def trends(days: int, city: str | None = None) -> dict[str, Any]:
        points = []
        for name in [one for one in PLACES if city in (None, one) and one not in behaviour.no_points]:
            for back in range(days - 1, -1, -1):
                day = TODAY - timedelta(days=back)
                if (day.toordinal() * 7 + len(name)) % 23 == 0:
                    continue
                aqi = PLACES[name][2] + 25 * math.sin(day.toordinal() / 3 + len(name))
                risk = mean_risk(name, day)
                facts = {"mean_risk": risk, "aqi": round(aqi), "pm25": aqi / 2, "readings": 60}
                facts |= {"mean_risk_interval": [0.8 * risk, 1.25 * risk], "synthetic": behaviour.synthetic}
                points.append({"city": name, "date": day.isoformat(), **facts})
        return {"points": points}

    @app.get("/aqi")
    def aqi(days: int) -> dict[str, Any]:
        rows = []
        for name, (_, _, index) in PLACES.items():
            counts: dict[str, int] = {}
            for back in range(days):
                found = category(max(index + 60 * math.sin(back), 0))
                counts[found] = counts.get(found, 0) + 1
            rows += [{"city": name, "category": found, "days": n} for found, n in counts.items()]
        return {"categories": rows}


def one_city(name: str, few: bool = False) -> dict[str, Any]:
    latitude, longitude, aqi = PLACES[name]
    readings = 240
    high = round(readings * mean_risk(name, TODAY) / 2)
    return {
        "city": name,
        "latitude": latitude,
        "longitude": longitude,
        "time": NOW,
        "readings": None if few else readings,
        "people": None if few else 80,
        "mean_risk": None if few else mean_risk(name, TODAY),
        "high_risk_share": None if few or high < 10 else high / readings,
        "high_risk_readings": None if few or high < 10 else high,
        "unstable": not few and 10 <= high <= 20,
        "aqi": aqi,
        "aqi_category": category(aqi),
        "pm25": aqi / 2,
        "stale": False,
        **({"suppressed": True} if few else {}),
    }


def add_alerts(app: FastAPI, behaviour: Behaviour) -> None:
    @app.get("/alerts")
    def alerts(state: str | None = None) -> dict[str, Any]:
        if behaviour.quiet:
            return {"alerts": behaviour.more_alerts}
        found = [one_alert(name, behaviour) for name in ("Lahore", "Faisalabad", "Multan")]
        over = {"state": "resolved", "ended": NOW, "acknowledged_by": "Dr B", "acknowledged_at": NOW, "note": "seen"}
        found += [{**one_alert("Peshawar", behaviour), "state": "pending"}, {**one_alert("Karachi", behaviour), **over}]
        found += behaviour.more_alerts
        return {"alerts": [alert for alert in found if state in (None, alert["state"])]}

    @app.get("/alerts/rules")
    def alert_rules() -> dict[str, Any]:
        none = {"each_city": False, "opens": None, "opens_at_limit": False, "ends": None, "for_minutes": 0}
        risk = {"each_city": True, "opens": 0.2, "opens_at_limit": True, "ends": 0.19, "for_minutes": 30}
        rules = [
            {"rule": "mean-risk", "title": "High mean risk", **risk},
            {"rule": "aqi", "title": "Very unhealthy air", **risk, "opens": 200, "opens_at_limit": False, "ends": 190},
            {"rule": "drift", "title": "Readings are not as in training", **none},
        ]
        return {"rules": [] if behaviour.rules_problem else rules, "problem": behaviour.rules_problem}

    @app.post("/alerts/{alert}/acknowledge")
    def acknowledge(alert: str, body: dict[str, str]) -> dict[str, Any]:
        if alert in behaviour.taken:
            raise HTTPException(409, f"{behaviour.taken[alert]} looks after alert {alert} already")
        behaviour.acknowledged[alert] = body
        return one_alert(alert, behaviour)


def one_alert(name: str, behaviour: Behaviour) -> dict[str, Any]:
    done = behaviour.acknowledged.get(name)
    return {
        "id": name,
        "city": name,
        "rule": "mean-risk",
        "title": "Mean risk is high",
        "value": mean_risk(name, TODAY),
        "threshold": 0.2,
        "since": "2026-11-23T06:00:00Z",
        "last_seen": NOW,
        "ended": None,
        "state": "acknowledged" if done else behaviour.states.get(name, "firing"),
        "acknowledged_by": done["by"] if done else None,
        "acknowledged_key": "the-admin" if done else None,
        "note": done["note"] if done else None,
        "evidence": {"readings": 240, "mean_risk": mean_risk(name, TODAY), "aqi": PLACES[name][2]},
    }


NODES = {"node_1": "Hospital A wearables", "node_2": "City environment department", "node_3": "Clinic C"}
METRICS = {
    "auroc": 0.771,
    "auroc_bound": 0.006,
    "auprc": 0.406,
    "brier": 0.089,
    "log_loss": 0.308,
    "ece": 0.0096,
    "calibration_slope": 1.05,
    "calibration_intercept": 0.15,
    "accuracy": 0.889,
    "sensitivity": 0.437,
    "specificity": 0.899,
    "n": 18000,
    "prevalence": 0.121,
}


def node_results() -> list[dict[str, Any]]:
    local = {"node_1": 0.795, "node_2": 0.61, "node_3": 0.802}
    joint = {"node_1": 0.794, "node_2": 0.66, "node_3": 0.806}
    return [
        {
            "name": name,
            "title": title,
            "rows": 30000,
            "features": ["age", "spo2"],
            "local": with_intervals({**METRICS, "auroc": local[name]}),
            "global": with_intervals({**METRICS, "auroc": joint[name]}),
            "difference": DIFFERENCE,
            "better_alone": False,
        }
        for name, title in NODES.items()
    ]


def one_round(number: int) -> dict[str, Any]:
    fall = 0.06 * math.exp(-number)
    return {
        "round": number,
        "train_loss": 0.306 + fall,
        "global": {"loss": 0.308 + fall, "accuracy": 0.889 - fall / 6, "auroc": 0.771 - 4.5 * fall * math.exp(-number)},
        "nodes": [{"name": name, "loss": 0.28 + 0.03 * i + fall} for i, name in enumerate(NODES)],
    }


PRIVATE = "health-risk-0a1b2c3d4e5f"


def add_model(app: FastAPI, behaviour: Behaviour) -> None:
    listed = {"study": "health-risk", "seed": 0, "model": "additive", "runtime": "local", "finished": NOW}
    run = {"id": "health-risk-f417211d610a", **listed, "nodes": list(NODES), "rounds": 7, "global_auroc": 0.771}

    @app.get("/runs")
    def runs() -> dict[str, Any]:
        return {"runs": [run, {**run, "id": PRIVATE, "global_auroc": 0.755}]}

    @app.get("/runs/{run_id}")
    def one_run(run_id: str) -> dict[str, Any]:
        common = {"study": "health-risk", "model": "additive", "seed": 0, "synthetic": True, "took_part": list(NODES)}
        if run_id == PRIVATE:
            nothing = dict.fromkeys(METRICS)
            nodes = [{**one, "local": nothing, "difference": None} for one in node_results()]
            promise = {"epsilon": 3.0, "delta": 1e-5, "unit": "one row of a node's table"}
            steps = [{"step": "private_gradient", "times": 16, "mu": 0.14, "epsilon": 0.49}]
            noisy = {"rounds": [], "nodes": nodes, "privacy": {**promise, "steps": steps}}
            return {**common, **noisy, "global": METRICS, "bundle": {"version": run_id}}
        rounds = [one_round(number) for number in range(7)]
        if behaviour.older:
            plain = [{**one, "local": METRICS, "global": METRICS} for one in node_results()]
            return {**common, "rounds": rounds, "nodes": plain, "global": METRICS, "bundle": {"version": run_id}}
        rounds[3]["nodes"].pop()
        whole = {"rounds": rounds, "nodes": node_results(), "global": with_intervals(METRICS), "network": NETWORK}
        whole |= {"subgroups": subgroups(METRICS), "champion": champion(METRICS), "pooled_rows": METRICS}
        whole |= {"synthetic_nodes": ["node_2"], "best": {"subsets": {"all": {"auroc": 0.851, "brier": 0.079}}}}
        return {**common, **whole, "bundle": {"version": run_id}}

    @app.get("/evaluation")
    def evaluation() -> dict[str, Any]:
        threshold = {"value": 0.2, "sensitivity": 0.437, "specificity": 0.899}
        version = {"model_version": "f417211d610a", "synthetic": True, "threshold": threshold}
        groups = [{name: one[name] for name in one if name != "nodes"} for one in subgroups(METRICS)]
        found = {"metrics": with_intervals(METRICS), "nodes": node_results(), "subgroups": groups}
        return {**version, **found, "synthetic_nodes": ["node_2"]}

    @app.get("/drift")
    def drift(days: int = 30) -> dict[str, Any]:
        found = [one_drift(i, f) for i, f in enumerate(FEATURES)]
        missing = [{**one, "before": 0.1, "now": 0.1 + one["missing_share"], "threshold": 0.05} for one in found]
        score = {"n": 4000, "shift": -0.41, "threshold": 0.3, "status": "drift"}
        return {"as_of": NOW, "days": days, "features": found, "missing": missing, "score": score}

    @app.get("/performance")
    def performance() -> dict[str, Any]:
        expected = {"n": 4000, "outcomes": 480, "auroc": 0.775, "brier": 0.09}
        realised = with_intervals({**METRICS, "auroc": 0.701})
        reason = "AUROC 0.701 where the risks let expect 0.775"
        return {
            "expected": expected,
            "known": 900,
            "happened": 108,
            "realised": realised,
            "status": "worse",
            "reason": reason,
        }


FEATURES = ("heart_rate", "spo2", "steps", "aqi", "cough_flag")


def one_drift(number: int, feature: str) -> dict[str, Any]:
    few = number == 4
    now = [0.1 + 0.04 * number * math.sin(i) / 3 for i in range(10)]
    return {
        "feature": feature,
        "title": feature.replace("_", " ").capitalize(),
        "n": None if few else 4000,
        "psi": None if few else 0.02 + 0.09 * number,
        "threshold": 0.2,
        "status": "too few" if few else "drift" if number >= 3 else "ok",
        "reference": [0.1] * 10,
        "current": None if few else [one / sum(now) for one in now],
        "labels": [f"{10 * i} to {10 * i + 10}" for i in range(10)],
        "missing_share": 0.02 * number,
    }


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(create_stub(Behaviour()), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
