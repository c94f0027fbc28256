"""The answers of the routes over the store, as clients see them."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fedhealth.monitoring.alerts import CLEARED_BELOW, TITLES, Rule, State, state_of
from fedhealth.monitoring.cells import DIGITS, is_small
from fedhealth.monitoring.drift import NOMINAL_RATE, FeatureDrift, Status
from fedhealth.monitoring.missing import MissingDrift
from fedhealth.monitoring.origin import Synthetic
from fedhealth.monitoring.performance import Standing
from fedhealth.monitoring.tables import Alert
from fedhealth.monitoring.watch import Look


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Air(BaseModel):
    """A city's newest air; null where nothing is known."""

    city: str
    time: datetime | None
    aqi: float | None = Field(description="US EPA index")
    category: str | None
    dominant: str | None = Field(description="The pollutant that decides the index")
    averaging: str
    pm25: float | None
    source: str | None
    synthetic: bool
    stale: bool


class Stored(BaseModel):
    """How many readings were stored (those of known ids were before) and how many scored."""

    stored: int
    scored: int


class City(_Answer):
    """A city's last 24 hours; figures about fewer than ten are null."""

    city: str
    latitude: float | None
    longitude: float | None
    time: datetime | None
    readings: int | None
    people: int | None
    mean_risk: float | None
    high_risk_share: float | None = Field(description="Null too where it would tell a count from 1 to 9")
    high_risk_readings: int | None = Field(description="The events that the share rests on")
    unstable: bool = Field(description="The share rests on 20 events or fewer")
    suppressed: bool
    aqi: float | None
    aqi_category: str | None
    pm25: float | None
    stale: bool
    synthetic: Synthetic | None = Field(description="Whether its readings were made by a computer; null without any")


class Cities(BaseModel):
    """All cities of the study."""

    as_of: datetime | None
    reporting: int
    cities: list[City]


class Point(_Answer):
    """A city on a day."""

    city: str
    date: date
    mean_risk: float | None
    mean_risk_interval: tuple[float, float] | None = Field(description="95 %, from how people differ that day")
    aqi: float | None
    pm25: float | None
    readings: int | None
    synthetic: Synthetic = Field(description="Whether its readings were made by a computer")


class Trends(BaseModel):
    """Days that have readings, oldest first."""

    points: list[Point]


class DaysInCategory(_Answer):
    """On how many days a city's air was in a category."""

    city: str
    category: str
    days: int


class Categories(BaseModel):
    """Days by city and category."""

    categories: list[DaysInCategory]


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
    acknowledged_by: str | None
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


class RunSummary(BaseModel):
    """A finished training run."""

    id: str
    study: str
    seed: int
    model: str
    runtime: str
    finished: datetime
    nodes: list[str]
    rounds: int
    global_auroc: float | None


class Runs(BaseModel):
    """Runs, newest first."""

    runs: list[RunSummary]


class Evaluation(BaseModel):
    """How well the served model does on held-out rows."""

    model_version: str
    metrics: dict[str, Any]
    nodes: list[dict[str, Any]]
    subgroups: list[dict[str, Any]] = Field(description="By city and by what else the study tells people apart")
    threshold: dict[str, Any]
    synthetic: bool | None
    synthetic_nodes: list[str] = Field(description="Nodes with generated rows, where others have real ones")


class DriftedFeature(_Answer):
    """A feature's recent values beside those of training."""

    feature: str
    title: str
    n: int
    psi: float | None = Field(description="Population stability index")
    jensen_shannon: float | None = Field(description="Distance, 0 to 1")
    threshold: float | None
    status: Status
    reference: list[float] | None = Field(description="Null, as all shares here, if of fewer than ten people")
    current: list[float] | None
    labels: list[str]
    missing_share: float | None


class MissingFeature(_Answer):
    """A feature's share of missing values now, and before in the same cities."""

    feature: str
    title: str
    n: int
    now: float | None
    before: float | None
    threshold: float | None = Field(description="Of the difference, either way")
    status: Status


class Score(_Answer):
    """By how much risks have moved on the log-odds, against what training lets expect."""

    n: int
    shift: float | None
    threshold: float | None
    status: Status


class Drift(BaseModel):
    """Every feature of which training left a reference by city and month; missing values; the score."""

    as_of: datetime | None
    days: int
    nominal_rate: float = Field(default=NOMINAL_RATE, description="Of alarms without drift, for each feature")
    features: list[DriftedFeature]
    missing: list[MissingFeature]
    score: Score | None

    @classmethod
    def of(cls, look: Look, days: int) -> "Drift":
        """How clients see a look."""
        features = [DriftedFeature.model_validate(asdict(one) | _unsaid(one)) for one in look.features]
        missing = [MissingFeature.model_validate(asdict(one) | _unsaid(one)) for one in look.missing]
        score = Score.model_validate(look.score)
        return cls(as_of=look.as_of, days=days, features=features, missing=missing, score=score)

    @classmethod
    def nothing(cls, days: int) -> "Drift":
        """What there is to say of an empty store."""
        return cls(as_of=None, days=days, features=[], missing=[], score=None)


def _unsaid(one: FeatureDrift | MissingDrift) -> dict[str, None]:
    """The shares that stay unsaid, because few people are behind them."""
    shares = ("reference", "current", "missing_share", "now", "before")
    return dict.fromkeys(shares) if is_small(one.n, one.people) else {}


class ExpectedAnswer(_Answer):
    """What calibrated risks let expect; null with fewer than ten readings."""

    n: int
    outcomes: float | None
    auroc: float | None
    brier: float | None


class PerformanceAnswer(_Answer):
    """Expected without labels, and realised where enough outcomes are known."""

    expected: ExpectedAnswer
    known: int = Field(description="Readings whose outcome is known")
    happened: int | None = Field(description="Of these, outcomes that happened; null if fewer than ten")
    realised: dict[str, float | None] | None
    status: Standing
    reason: str
