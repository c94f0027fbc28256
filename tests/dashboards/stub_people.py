"""The stub's people: what is kept of one, consent and erasure."""

from typing import Any

from fastapi import FastAPI, HTTPException, Request

PERSON = "p-17"


def people_at_first() -> dict[str, Any]:
    """What is kept of each person."""
    first, last = "2026-10-02T08:00:00Z", "2026-11-20T08:00:00Z"
    return {
        PERSON: {
            "person": PERSON,
            "retention": "full",
            "readings": 12,
            "outcomes": 1,
            "oldest": first,
            "newest": last,
        }
    }


def add_people(app: FastAPI, behaviour: Any, roles: dict[str, str]) -> None:
    @app.get("/me")
    def me(request: Request) -> dict[str, Any]:
        role = roles[request.headers["X-API-Key"]]
        return {"name": f"the-{role}", "role": role, "person": PERSON if role == "citizen" else None}

    @app.get("/people/{person}")
    def one(person: str) -> dict[str, Any]:
        if person not in behaviour.people:
            raise HTTPException(403, "this key is not for that person")
        found: dict[str, Any] = behaviour.people[person]
        return found

    @app.put("/people/{person}/consent")
    def consent(person: str, body: dict[str, str]) -> dict[str, Any]:
        behaviour.people[person]["retention"] = body["retention"]
        if body["retention"] != "full":
            behaviour.people[person] |= {"readings": 0, "outcomes": 0, "oldest": None, "newest": None}
        found: dict[str, Any] = behaviour.people[person]
        return found

    @app.delete("/people/{person}")
    def erase(person: str) -> dict[str, Any]:
        erased = behaviour.people[person]["readings"]
        behaviour.people[person] |= {"retention": "full", "readings": 0, "outcomes": 0, "oldest": None, "newest": None}
        return {"erased": erased}
