"""The routes over people: consent, what is kept, erasure; and the outcomes of what was predicted."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Path
from pydantic import BaseModel, ConfigDict, Field

from fedhealth.keys import Role
from fedhealth.monitoring.outcomes import UnknownReadings, add_outcomes
from fedhealth.monitoring.people import erase, kept_of, set_consent
from fedhealth.monitoring.retention import Retention
from fedhealth.monitoring.store import Store
from fedhealth.serving.access import INVALID, Caller, allowed
from fedhealth.serving.errors import MAX_PROBLEMS, Refused, problem
from fedhealth.serving.readings import MOST, Name

Person = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.:-]{1,64}$", description="The pseudonym")]


class KeptAnswer(BaseModel):
    """What the store holds of a person, and how much may be kept."""

    model_config = ConfigDict(from_attributes=True)

    person: str
    retention: Retention
    readings: int
    outcomes: int
    oldest: datetime | None
    newest: datetime | None


class ConsentBody(BaseModel):
    """What may be kept: everything, readings without the person, or nothing."""

    model_config = ConfigDict(extra="forbid")

    retention: Literal["full", "aggregate", "off"]


class Erased(BaseModel):
    """How many readings are gone for good."""

    erased: int


class OutcomeBody(BaseModel):
    """Whether the outcome came to be after a reading."""

    model_config = ConfigDict(extra="forbid")

    reading: Name = Field(description="The id that the reading was sent with")
    happened: bool


class OutcomesBody(BaseModel):
    """Outcomes, at most a thousand at once."""

    model_config = ConfigDict(extra="forbid")

    outcomes: list[OutcomeBody] = Field(min_length=1, max_length=MOST)


class OutcomesStored(BaseModel):
    """How many outcomes were new; of a reading's two, the later one stands."""

    stored: int


class Me(BaseModel):
    """Whose key is asked with, and what it may do."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    role: Role
    person: str | None = Field(description="Whose data a citizen's key is for")


def add_people(router: APIRouter, store: Store, retention: Retention, now: Callable[[], datetime]) -> None:
    """Add the routes to ``router``; ``retention`` is the installation's."""

    @router.get("/me")
    async def me(caller: Annotated[Caller, Depends(allowed)]) -> Me:
        """Whose key this is, and its role."""
        return Me.model_validate(caller)

    @router.get("/people/{person}")
    def kept(person: Person, caller: Annotated[Caller, Depends(allowed)]) -> KeptAnswer:
        """What is held of a person."""
        _check(caller, person)
        with store.session() as session:
            return KeptAnswer.model_validate(kept_of(session, person, retention))

    @router.put("/people/{person}/consent", responses=INVALID)
    def consent(person: Person, said: ConsentBody, caller: Annotated[Caller, Depends(allowed)]) -> KeptAnswer:
        """Say what may be kept of a person; what is stored already is brought in line before the answer."""
        _check(caller, person)
        with store.session() as session:
            set_consent(session, person, said.retention, now())
            session.flush()
            found = KeptAnswer.model_validate(kept_of(session, person, retention))
        store.forget()
        return found

    @router.delete("/people/{person}")
    def erase_person(person: Person, caller: Annotated[Caller, Depends(allowed)]) -> Erased:
        """Erase a person's readings, outcomes and consent, for good."""
        _check(caller, person)
        with store.session() as session:
            erased = erase(session, person)
        store.forget()
        return Erased(erased=erased)


def add_outcome_routes(router: APIRouter, store: Store, now: Callable[[], datetime]) -> None:
    """Add ``/outcomes`` to ``router``."""

    @router.post("/outcomes", status_code=201, responses=INVALID)
    def outcomes(told: OutcomesBody, caller: Annotated[Caller, Depends(allowed)]) -> OutcomesStored:
        """Say what came of readings; all are stored before the answer, or none."""
        by_reading = {one.reading: one.happened for one in told.outcomes}
        try:
            with store.session() as session:
                return OutcomesStored(stored=add_outcomes(session, by_reading, caller.name, now()))
        except UnknownReadings as error:
            expected = "the id of a reading that was stored with its person's full consent"
            problems = [problem("outcomes", i, "no such reading", expected) for i in error.ids[:MAX_PROBLEMS]]
            raise Refused(problems) from None


def _check(caller: Caller, person: str) -> None:
    if not caller.owns(person):
        raise HTTPException(403, "this key is not for that person")
