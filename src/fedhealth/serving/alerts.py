"""The routes over alerts and their rules."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from fedhealth.monitoring import alerts as book
from fedhealth.monitoring import nodes, watch
from fedhealth.monitoring.alerts import State, state_of
from fedhealth.monitoring.cells import DIGITS
from fedhealth.monitoring.rules import CLEARED_BELOW, TITLES, Rule, in_force, rules_for
from fedhealth.monitoring.settings import SettingError
from fedhealth.monitoring.store import Store
from fedhealth.monitoring.tables import Alert
from fedhealth.serving.access import INVALID, Caller, allowed
from fedhealth.serving.errors import MISSING, Message, Responses
from fedhealth.serving.models import Models
from fedhealth.serving.predictor import Predictor

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
OVER_ALL = (*watch.RULES, nodes.RULE)


class Evidence(BaseModel):
    """What an alert was last seen with."""

    readings: int | None
    mean_risk: float | None
    aqi: float | None


class AlertAnswer(BaseModel):
    """An alert."""

    id: int
    city: str = Field(description="Empty where the alert is about all")
    rule: str
    title: str
    about: str | None = Field(description="What of it, in words")
    error: str | None = Field(description="Why the rule could not be checked")
    value: float
    threshold: float
    since: datetime
    last_seen: datetime
    ended: datetime | None
    state: State
    acknowledged_by: str | None = Field(description="Who looks after it, in their own words")
    acknowledged_key: str | None = Field(description="The name of the key that said so")
    acknowledged_at: datetime | None
    note: str | None
    evidence: Evidence

    @classmethod
    def of(cls, alert: Alert, now: datetime | None = None) -> "AlertAnswer":
        """How clients see a stored alert."""
        kept = (
            "id",
            "city",
            "rule",
            "threshold",
            "since",
            "last_seen",
            "ended",
            "acknowledged_by",
            "acknowledged_key",
            "about",
            "error",
        )
        risk = None if alert.mean_risk is None else round(alert.mean_risk, DIGITS)
        evidence = Evidence(readings=alert.readings or None, mean_risk=risk, aqi=alert.aqi)
        return cls(
            **{name: getattr(alert, name) for name in kept},
            value=round(alert.value, DIGITS),
            title=TITLES[alert.rule],
            state=state_of(alert, now),
            acknowledged_at=alert.acknowledged_at,
            note=alert.note,
            evidence=evidence,
        )


class Alerts(BaseModel):
    """Alerts, lasting ones first."""

    alerts: list[AlertAnswer]


class RuleAnswer(BaseModel):
    """A rule of alerts."""

    rule: str
    title: str
    each_city: bool = Field(description="Else it is about all readings together")
    opens: float | None = Field(description="The limit; null where each feature has its own, as /drift tells")
    opens_at_limit: bool = Field(description="It opens at the limit itself, not only above")
    ends: float | None = Field(description=f"It ends at or below; null: at {CLEARED_BELOW:.0%} of all those limits")
    for_minutes: float = Field(description="How long it must be met before it fires, by the times of readings")

    @classmethod
    def of(cls, rule: Rule) -> "RuleAnswer":
        """How clients see a rule."""
        kept = ("rule", "title", "each_city", "opens", "opens_at_limit", "ends")
        return cls(**{name: getattr(rule, name) for name in kept}, for_minutes=rule.wait.total_seconds() / 60)


class AlertRules(BaseModel):
    """The rules in force, set by the environment."""

    rules: list[RuleAnswer]
    problem: str | None = Field(description="Why they cannot be read; then no alert opens or ends")


class Acknowledgement(BaseModel):
    """Who looks after an alert, and what they say."""

    by: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00]*\S[^\x00]*$")
    note: str = Field(default="", max_length=2000, pattern=r"^[^\x00]*$")


def add_alerts(router: APIRouter, models: Models, store: Store, now: Callable[[], datetime]) -> None:
    """Add the routes to ``router``."""

    @router.get("/alerts")
    def alerts(state: State | None = None) -> Alerts:
        """Alerts, lasting ones first, then the newest."""
        moment = now()
        with store.session() as session:
            found = book.list_alerts(session, state, moment)
            return Alerts(alerts=[AlertAnswer.of(alert, moment) for alert in found])

    @router.get("/alerts/rules")
    def alert_rules() -> AlertRules:
        """From which values alerts open, after how long, and when they end."""
        try:
            found = in_force(rules_for(_prevalence(models.predictor())), OVER_ALL)
        except SettingError as error:
            return AlertRules(rules=[], problem=str(error))
        return AlertRules(rules=[RuleAnswer.of(rule) for rule in found], problem=None)

    conflicts: Responses = {
        409: {"model": Message, "description": "The alert is resolved, or somebody else looks after it"},
        **MISSING,
        **INVALID,
    }

    @router.post("/alerts/{number}/acknowledge", responses=conflicts)
    def acknowledge(number: Number, said: Acknowledgement, caller: Annotated[Caller, Depends(allowed)]) -> AlertAnswer:
        """Note who looks after an alert, with the name of the key; only they may change their note."""
        try:
            with store.session() as session:
                return AlertAnswer.of(book.acknowledge(session, number, said.by, caller.name, said.note, now()))
        except book.NoSuchAlert as error:
            raise HTTPException(404, str(error)) from None
        except (book.AlertOver, book.AlertTaken) as error:
            raise HTTPException(409, str(error)) from None


def bring_up_to_date(session: Session, cities: set[str], predictor: Predictor, as_of: datetime) -> None:
    """Bring the alerts of ``cities`` up to date; settings that cannot be read are an alert too, and cost no reading."""
    try:
        limits = rules_for(_prevalence(predictor))
    except SettingError as error:
        book.fail(session, "settings", str(error), as_of)
        return
    book.recovered(session, "settings", as_of)
    book.check_cities(session, cities, limits, as_of)


def _prevalence(predictor: Predictor) -> float | None:
    """The share of people with the outcome in training, if the bundle tells."""
    found: float | None = (predictor.bundle.facts.get("metrics") or {}).get("prevalence")
    return found
