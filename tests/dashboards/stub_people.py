"""The stub's people: what is kept of one, consent and erasure."""

from typing import Any

from fastapi import FastAPI, HTTPException, Request

PERSON = "p-17"


def add_people(app: FastAPI, kept: dict[str, Any], roles: dict[str, str]) -> None:
    kept[PERSON] = {
        "person": PERSON,
        "retention": "full",
        "readings": 12,
        "outcomes": 1,
        "oldest": "2026-10-02T08:00:00Z",
        "newest": "2026-11-20T08:00:00Z",
    }

    @app.get("/me")
    def me(request: Request) -> dict[str, Any]:
        role = roles[request.headers["X-API-Key"]]
        return {"name": f"the-{role}", "role": role, "person": PERSON if role == "citizen" else None}

    @app.get("/people/{person}")
    def one(person: str) -> dict[str, Any]:
        if person not in kept:
            raise HTTPException(403, "this key is not for that person")
        found: dict[str, Any] = kept[person]
        return found

    @app.put("/people/{person}/consent")
    def consent(person: str, body: dict[str, str]) -> dict[str, Any]:
        kept[person]["retention"] = body["retention"]
        if body["retention"] != "full":
            kept[person] |= {"readings": 0, "outcomes": 0, "oldest": None, "newest": None}
        found: dict[str, Any] = kept[person]
        return found

    @app.delete("/people/{person}")
    def erase(person: str) -> dict[str, Any]:
        erased = kept[person]["readings"]
        kept[person] |= {"retention": "full", "readings": 0, "outcomes": 0, "oldest": None, "newest": None}
        return {"erased": erased}
