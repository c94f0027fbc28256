"""The stub's network: nodes, privacy, versions of the model and the changes of which one is served."""

from typing import Any

from fastapi import FastAPI, HTTPException

SERVED, NEXT, BEFORE = "f417211d610a", "0a1b2c3d4e5f", "9c8b7a6d5e4f"
TIME = "2026-11-20T09:30:00Z"
AUROC = {SERVED: 0.771, NEXT: 0.774, BEFORE: 0.765}
TITLES = {"node_1": "Hospital A wearables", "node_2": "City environment department", "node_3": "Clinic C"}


def at_node(name: str, status: str | None) -> dict[str, Any]:
    lower = 0.061 if status == "worse" else 0.002
    then = {"auroc": 0.771, "calibration_slope": 1.02, "ece": 0.011, "n": 4800}
    now = {**then, "auroc": 0.771 - lower, "n": 4900}
    changes = {"auroc": {"worse": lower, "low": lower - 0.03, "high": lower + 0.03}}
    told = {"now": now, "trained": then, "expected": {"n": 4900, "outcomes": 590, "auroc": 0.775, "brier": 0.09}}
    known = {"checked": TIME, **told, "changes": changes} if status else dict.fromkeys(("checked", *told, "changes"))
    return {"name": name, "title": TITLES[name], "status": status, "reason": "", "noisy": status == "worse", **known}


def served_at_first() -> dict[str, Any]:
    """What is served, and how it came to be."""
    return {"champion": SERVED, "history": [change("publish", BEFORE, None), change("promote", SERVED, BEFORE)]}


def add_network(app: FastAPI, behaviour: Any) -> None:
    @app.get("/nodes")
    def nodes() -> dict[str, Any]:
        found = [one_node(name, missed) for name, missed in zip(TITLES, (0, 2, 9), strict=True)]
        return {"nodes": found}

    @app.get("/performance/nodes")
    def node_performance() -> dict[str, Any]:
        standings = ("ok", "worse", None)
        return {"nodes": [at_node(name, status) for name, status in zip(TITLES, standings, strict=True)]}

    @app.get("/privacy")
    def privacy() -> dict[str, Any]:
        run = {"run": "health-risk-0a1b2c3d4e5f", "finished": TIME, "epsilon": 3.0, "delta": 1e-5}
        run["unit"] = "one row of a node's table"
        none = {"name": "node_3", "epsilon": 0, "delta": 0, "exact_runs": 0, "private_runs": []}
        both = [
            {"name": name, "epsilon": 3.0, "delta": 1e-5, "exact_runs": 2, "private_runs": [run]}
            if behaviour.private_runs
            else {**none, "name": name, "exact_runs": 2}
            for name in ("node_1", "node_2")
        ]
        audit = {"membership_auc": 0.507, "rebuilt": 0.0, "epsilon_at_least": 0.4}
        return {"limit": 8.0, "nodes": [*both, none], "audit": audit}

    @app.get("/models")
    def models() -> dict[str, Any]:
        found = sorted(
            (one_version(name, behaviour.served) for name in AUROC), key=lambda one: one["standing"] != "champion"
        )
        return {"champion": behaviour.served["champion"], "challenger": NEXT, "versions": found}

    @app.get("/promotion")
    def promotion() -> dict[str, Any]:
        return {"champion": behaviour.served["champion"], "history": behaviour.served["history"][::-1]}

    add_changes(app, behaviour)

    @app.get("/models/{version}")
    def version(version: str) -> dict[str, Any]:
        if version not in AUROC:
            raise HTTPException(404, "no such version")
        told = [one for one in behaviour.served["history"] if one["version"] == version]
        nodes = [{"name": name, "rows": 24000, "policy": "5f" * 32, "epsilon": None} for name in TITLES]
        signed = "this installation" if told else None
        return {
            "version": version,
            "signed_by": signed,
            "changes": told,
            "nodes": nodes,
            "gates": gates(version),
            "no_gates": None,
        }


def add_changes(app: FastAPI, behaviour: Any) -> None:
    def serve(action: str, version: str, body: dict[str, str]) -> dict[str, str]:
        if body["instead_of"] != behaviour.served["champion"]:
            raise HTTPException(409, "somebody else was quicker; look again")
        behaviour.served["history"].append(
            {**change(action, version, behaviour.served["champion"]), "reason": body["reason"], "by": "me"}
        )
        behaviour.served["champion"] = version
        return {"champion": version, "before": body["instead_of"]}

    @app.post("/models/promote")
    def promote(body: dict[str, str]) -> dict[str, str]:
        if any(one["passed"] is False for one in gates(body["version"])):
            raise HTTPException(409, "the gates refuse it: calibration: slope")
        return serve("promote", body["version"], body)

    @app.post("/models/rollback")
    def rollback(body: dict[str, str]) -> dict[str, str]:
        return serve("rollback", BEFORE, body)


def change(action: str, version: str, before: str | None) -> dict[str, Any]:
    return {"time": TIME, "action": action, "version": version, "before": before, "reason": "newly trained"}


def one_node(name: str, missed: int) -> dict[str, Any]:
    seen = missed < 9
    return {
        "name": name,
        "title": TITLES[name],
        "last_run": "health-risk-f417211d610a" if seen else None,
        "last_seen": TIME if seen else None,
        "rows": 30000 if seen else None,
        "features": ["age"],
        "taken_part": 9 - missed,
        "missed": missed,
        "rounds": 63,
        "rounds_missed": 7 * missed,
        "version": "0.1.0" if seen else None,
        "received": 2_480_000 if missed == 0 else None,
        "sent": 96_400 if missed == 0 else None,
    }


def one_version(name: str, state: dict[str, Any]) -> dict[str, Any]:
    served = state["champion"]
    standing = "champion" if name == served else "challenger" if name == NEXT else "former"
    metrics = {"auroc": AUROC[name], "brier": 0.089, "calibration_slope": 1.05, "n": 18000}
    apart = {} if name == served else {"auroc": AUROC[name] - AUROC[served], "brier": -0.001, "calibration_slope": 0.02}
    return {
        "version": name,
        "standing": standing,
        "study": "health-risk",
        "model": "additive",
        "synthetic": True,
        "synthetic_nodes": ["node_2"] if name == served else [],
        "rows": 72000,
        "metrics": metrics,
        "against_champion": apart,
    }


def gates(version: str) -> list[dict[str, Any]]:
    slope = version != BEFORE
    return [
        {"gate": "hash", "found": version, "needed": "files and report of one model", "passed": True},
        {"gate": "discrimination", "found": "AUROC +0.0031", "needed": "at most 0.01 lower", "passed": True},
        {"gate": "calibration: slope", "found": "all: 1.05", "needed": "at most 0.1 further from 1", "passed": slope},
        {"gate": "budget", "found": "answers without noise", "needed": "epsilon at most 8", "passed": None},
    ]
