"""The routes over what is watched: drift, and how well the served model does, in all and at each node."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from fedhealth.monitoring import watch
from fedhealth.monitoring.cells import is_small
from fedhealth.monitoring.cities import last_hour
from fedhealth.monitoring.drift import NOMINAL_RATE, FeatureDrift, Status
from fedhealth.monitoring.missing import MissingDrift
from fedhealth.monitoring.nodes import Standing as NodeStanding
from fedhealth.monitoring.nodes import kept_looks
from fedhealth.monitoring.performance import Standing
from fedhealth.monitoring.performance import performance as performance_of
from fedhealth.monitoring.store import Store
from fedhealth.monitoring.tables import NodeCheck
from fedhealth.monitoring.watch import Look
from fedhealth.serving.answers import Evaluation, FromRecord
from fedhealth.serving.models import Models

Days = Annotated[int, Query(ge=1, le=366, description="How many days, up to the last whole hour that readings reach")]


class DriftedFeature(FromRecord):
    """A feature's recent values beside those of training."""

    feature: str
    title: str
    n: int | None = Field(description="Null, as all shares here, if of fewer than ten people")
    psi: float | None = Field(description="Population stability index")
    jensen_shannon: float | None = Field(description="Distance, 0 to 1")
    threshold: float | None
    status: Status
    reference: list[float] | None
    current: list[float] | None
    labels: list[str]
    missing_share: float | None


class MissingFeature(FromRecord):
    """A feature's share of missing values now, and before in the same cities."""

    feature: str
    title: str
    n: int | None = Field(description="Null, as both shares, if of fewer than ten people")
    now: float | None
    before: float | None
    threshold: float | None = Field(description="Of the difference, either way")
    status: Status


class Score(FromRecord):
    """By how much risks have moved on the log-odds, against what training lets expect."""

    n: int | None = Field(description="Null if too few")
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
        few = {"n": None} if look.score.status == "too few" else {}
        score = Score.model_validate(asdict(look.score) | few)
        return cls(as_of=look.as_of, days=days, features=features, missing=missing, score=score)

    @classmethod
    def nothing(cls, days: int) -> "Drift":
        """What there is to say of an empty store."""
        return cls(as_of=None, days=days, features=[], missing=[], score=None)


def _unsaid(one: FeatureDrift | MissingDrift) -> dict[str, None]:
    """Count and shares that stay unsaid, because few people are behind them."""
    told = ("n", "reference", "current", "missing_share", "now", "before")
    return dict.fromkeys(told) if is_small(one.n, one.people) else {}


class ExpectedAnswer(FromRecord):
    """What calibrated risks let expect; null with fewer than ten readings."""

    n: int
    outcomes: float | None
    auroc: float | None
    brier: float | None


class PerformanceAnswer(FromRecord):
    """Expected without labels, and realised where enough outcomes are known."""

    expected: ExpectedAnswer
    known: int = Field(description="Readings whose outcome is known")
    happened: int | None = Field(description="Of these, outcomes that happened; null if fewer than ten")
    realised: dict[str, float | None] | None
    status: Standing
    reason: str


class WorseBy(BaseModel):
    """By how much a metric is worse than at training, with its 95 % interval; null where undefined."""

    worse: float | None
    low: float | None
    high: float | None


class NodePerformance(BaseModel):
    """How the served model did at a node when it was last asked, beside what training found."""

    name: str
    title: str
    checked: datetime | None = Field(description="Null: it was not asked about this model")
    status: NodeStanding | None
    reason: str
    noisy: bool = Field(description="Whether the answer came with noise, which the intervals allow for")
    now: dict[str, float | None] | None
    trained: dict[str, float | None] | None
    expected: ExpectedAnswer | None = Field(description="Without labels")
    changes: dict[str, WorseBy] | None = Field(description="Lower AUROC, calibration line further from perfect")

    @classmethod
    def of(cls, name: str, title: str, found: NodeCheck | None) -> "NodePerformance":
        """How clients see what is known of a node, or that nothing is."""
        if found is None:
            return cls(name=name, title=title, checked=None, status=None, reason="", noisy=False, **NO_FIGURES)
        kept = {"checked": found.time, "status": found.status, "reason": found.reason, "noisy": found.noisy}
        return cls.model_validate({"name": name, "title": title, **kept, **found.figures})


NO_FIGURES = dict.fromkeys(("now", "trained", "expected", "changes"))


class NodePerformances(BaseModel):
    """Every node of the study; ``fedhealth monitor nodes`` asks them."""

    nodes: list[NodePerformance]


def add_watched(router: APIRouter, models: Models, store: Store) -> None:
    """Add the routes to ``router``."""

    @router.get("/evaluation")
    def evaluation() -> Evaluation:
        """How well the served model does on held-out rows, in all, node by node, and by city and other subgroups."""
        bundle = models.predictor().bundle
        kept = ("name", "title", "rows", "local", "global", "difference", "better_alone")
        facts = bundle.facts
        return Evaluation(
            model_version=bundle.version,
            metrics=facts.get("metrics") or {},
            nodes=[{key: node.get(key) for key in kept} for node in facts.get("nodes") or []],
            subgroups=facts.get("subgroups") or [],
            threshold=facts["threshold"],
            synthetic=facts.get("synthetic"),
            synthetic_nodes=facts.get("synthetic_nodes") or [],
        )

    @router.get("/drift")
    def drift(days: Days = 30) -> Drift:
        """Whether recent readings lie where training's lay, in the same cities and months; missing values; score."""
        bundle = models.predictor().bundle
        with store.session() as session:
            as_of = last_hour(session)
            return Drift.of(watch.look(session, bundle, as_of, days), days) if as_of else Drift.nothing(days)

    @router.get("/performance")
    def performance(days: Days = 30) -> PerformanceAnswer:
        """How well the served model does: as its risks let expect without labels, and as outcomes tell."""
        bundle = models.predictor().bundle
        with store.session() as session:
            as_of = last_hour(session) or datetime.now(UTC)
            found = performance_of(session, bundle.version, bundle.threshold, as_of, days)
        return PerformanceAnswer.model_validate(found)

    @router.get("/performance/nodes")
    def node_performance() -> NodePerformances:
        """How well the served model does at each node, on its rows of now and at training."""
        bundle = models.predictor().bundle
        with store.session() as session:
            kept = kept_looks(session, bundle.version)
        found = [NodePerformance.of(node.name, node.title, kept.get(node.name)) for node in bundle.study.nodes]
        return NodePerformances(nodes=found)
