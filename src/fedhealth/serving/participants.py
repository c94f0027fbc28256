"""The routes over the network of nodes: who takes part, what privacy was spent, which models were served."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from fedhealth.registry import BundleError, history
from fedhealth.registry.limits import read_limits
from fedhealth.serving.errors import Unavailable
from fedhealth.serving.judging import models_or_unavailable
from fedhealth.serving.models import Models
from fedhealth.serving.reports import read_reports, runs_folder


class NodeHealth(BaseModel):
    """What runs tell of a node."""

    name: str
    title: str
    last_run: str | None = Field(description="The newest run that it took part in")
    last_seen: datetime | None = Field(description="When that run was finished")
    rows: int | None
    features: list[str]
    taken_part: int = Field(description="Of all runs of this study that are kept here")
    missed: int
    rounds: int = Field(description="Of all runs of this study that are kept here; private runs tell of none")
    rounds_missed: int = Field(description="Rounds in which it gave no answer")
    version: str | None = Field(description="Of its program in its newest run; null: not told")
    received: int | None = Field(description="Bytes sent to it in its newest run; null: not measured")
    sent: int | None = Field(description="Bytes that it answered with in its newest run; null: not measured")


class Nodes(BaseModel):
    """The nodes of the study in force."""

    nodes: list[NodeHealth]


class PrivateRun(BaseModel):
    """What a run under differential privacy promised."""

    run: str
    finished: datetime
    epsilon: float
    delta: float
    unit: str


class NodePrivacy(BaseModel):
    """What runs took of a node's privacy budget. Its own ledger decides, and refuses beyond its owner's limit."""

    name: str
    epsilon: float = Field(description="Sum over private runs: no less than what all of them tell together")
    delta: float
    exact_runs: int = Field(description="Runs that answered without noise")
    private_runs: list[PrivateRun]


class Audit(BaseModel):
    """What attacks on the served model found. They are evidence, no proof."""

    membership_auc: float = Field(description="0.5: members cannot be told from others")
    rebuilt: float = Field(description="Share of people that two answers, one taken from the other, rebuilt")
    epsilon_at_least: float | None = Field(description="What was surely spent; null: no planted rows were tried")


class Privacy(BaseModel):
    """The privacy budget, node by node."""

    limit: float = Field(description="Epsilon of one run beyond which the gates refuse its model")
    nodes: list[NodePrivacy]
    audit: Audit | None = Field(description="Of the served model; null: nobody has audited it")


class Change(BaseModel):
    """A change of the served model."""

    time: datetime
    action: str
    version: str
    before: str | None
    reason: str
    by: str | None = Field(default=None, description="The key that asked for it; null from the command line")


class Promotion(BaseModel):
    """Which model is served, and every change, newest first."""

    champion: str
    history: list[Change]


def add_participants(router: APIRouter, models: Models) -> None:
    """Add the routes to ``router``."""

    @router.get("/nodes")
    def nodes() -> Nodes:
        """Each node of the study: when it was last seen, its program's version, how often it was missing."""
        study = models.body().study
        reports = [one for one in read_reports(runs_folder()) if one[2].get("study") == study.name]
        return Nodes(nodes=[_health(node.name, node.title, reports) for node in study.nodes])

    @router.get("/privacy")
    def privacy() -> Privacy:
        """What the runs that are kept here took of each node's privacy."""
        study = models.body().study
        reports = [one for one in read_reports(runs_folder()) if one[2].get("study") == study.name]
        try:
            limit = read_limits(models.folder)["budget"]["epsilon"]
        except BundleError:
            raise Unavailable("the gates' limits cannot be read; fedhealth models promote names the line") from None
        predictor = models.state().predictor
        found = _audit(predictor.bundle.facts) if predictor else None
        return Privacy(limit=limit, nodes=[_privacy(node.name, reports) for node in study.nodes], audit=found)

    @router.get("/promotion")
    def promotion() -> Promotion:
        """The model in force and how it came to be."""
        served = models.predictor().bundle.version
        entries = models_or_unavailable(lambda: history(models.folder))
        known = [{name: entry.get(name) for name in Change.model_fields} for entry in reversed(entries)]
        return Promotion(champion=served, history=[Change.model_validate(one) for one in known])


Report = tuple[str, float, dict[str, Any]]


def _took_part(content: dict[str, Any]) -> list[str]:
    return content.get("took_part") or [node["name"] for node in content.get("nodes", [])]


def _health(name: str, title: str, reports: list[Report]) -> NodeHealth:
    """``reports`` are newest first."""
    own = [one for one in reports if name in _took_part(one[2])]
    run, time, content = own[0] if own else (None, None, {})
    told: dict[str, Any] = next((node for node in content.get("nodes", []) if node["name"] == name), {})
    network: dict[str, Any] = content.get("network", {}).get(name, {})
    rounds = [one for _, _, report in reports for one in report["rounds"] if "nodes" in one]
    return NodeHealth(
        name=name,
        title=title,
        last_run=run,
        last_seen=None if time is None else _moment(time),
        rows=told.get("rows"),
        features=told.get("features") or [],
        taken_part=len(own),
        missed=len(reports) - len(own),
        rounds=len(rounds),
        rounds_missed=sum(name not in [node["name"] for node in one["nodes"]] for one in rounds),
        **{fact: network.get(fact) for fact in ("version", "received", "sent")},
    )


def _privacy(name: str, reports: list[Report]) -> NodePrivacy:
    own = [one for one in reports if name in _took_part(one[2])]
    private = [_private_run(run, time, content["privacy"]) for run, time, content in own if content.get("privacy")]
    return NodePrivacy(
        name=name,
        epsilon=sum(one.epsilon for one in private),
        delta=sum(one.delta for one in private),
        exact_runs=len(own) - len(private),
        private_runs=private,
    )


def _audit(facts: Mapping[str, Any]) -> Audit | None:
    told = facts.get("leakage")
    if not told:
        return None
    spent = (told["canaries"] or {}).get("epsilon_low")
    rebuilt = told["rebuilt_by_differencing"]
    return Audit(membership_auc=told["membership"]["auc"], rebuilt=rebuilt, epsilon_at_least=spent)


def _private_run(run: str, time: float, promise: dict[str, Any]) -> PrivateRun:
    kept = {name: promise[name] for name in ("epsilon", "delta", "unit")}
    return PrivateRun(run=run, finished=_moment(time), **kept)


def _moment(time: float) -> datetime:
    return datetime.fromtimestamp(int(time), UTC)
