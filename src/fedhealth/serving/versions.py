"""The routes over versions of the model: which there are, where they came from, which one is to be served."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path
from pydantic import BaseModel, ConfigDict, Field

from fedhealth.registry import Bundle, BundleError, Version, challenger, champion, find_version, note_refusal, versions
from fedhealth.registry import rollback as go_back
from fedhealth.registry.gates import Line
from fedhealth.registry.lineage import lineage
from fedhealth.registry.publish import check_served
from fedhealth.registry.signing import signing_key_file
from fedhealth.serving.access import INVALID, Caller, allowed
from fedhealth.serving.errors import Message, Responses
from fedhealth.serving.judging import evidence, examine, models_or_unavailable, publish_judged
from fedhealth.serving.models import Models
from fedhealth.serving.reports import runs_folder

FIGURES = ("auroc", "auroc_low", "auroc_high", "auprc", "brier", "log_loss", "ece", "calibration_slope", "n")
VersionName = Annotated[str, Path(pattern=r"^[0-9a-f]{6,64}$", description="First digits of the version's hash")]


class VersionAnswer(BaseModel):
    """A version and its standing: champion (served), challenger, former, or trained by a run."""

    version: str
    standing: str
    study: str
    model: str | None
    synthetic: bool | None
    synthetic_nodes: list[str] = Field(description="Nodes with generated rows, where others have real ones")
    rows: int | None = Field(description="Of all nodes that took part; null where only they have counted them")
    metrics: dict[str, float | None] = Field(description="On held-out rows of its own run")
    against_champion: dict[str, float | None] = Field(description="Its figures minus the champion's, unpaired")


class VersionsAnswer(BaseModel):
    """All versions that are kept here, the champion first."""

    champion: str | None
    challenger: str | None
    versions: list[VersionAnswer]


class Gate(BaseModel):
    """What a gate found and needs; null where there was nothing to compare."""

    gate: str
    found: str
    needed: str
    passed: bool | None


class VersionChange(BaseModel):
    """A line of the history about this version."""

    time: datetime
    action: str
    before: str | None
    reason: str
    by: str | None = None
    override: str | None = None


class NodeShare(BaseModel):
    """What a node put into a version."""

    name: str
    rows: int | None
    policy: str | None = Field(description="Hash of the policy that it had")
    epsilon: float | None = Field(description="Spent in the run; null: answers without noise")


class LineageAnswer(BaseModel):
    """Where a version came from, and what the gates say of it."""

    version: str
    signed_by: str | None
    changes: list[VersionChange]
    nodes: list[NodeShare]
    gates: list[Gate] = Field(description="As judged when it was promoted; for one never promoted, as judged now")
    no_gates: str | None = Field(description="Why no gate could be asked")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(
        min_length=3, max_length=500, pattern=r"^[^\x00]*\S[^\x00]*$", description="Kept in the history"
    )
    instead_of: str = Field(pattern=r"^[0-9a-f]{6,64}$", description="The version that you saw served")


class PromoteBody(_Body):
    """Which version is to be served instead of which, and why."""

    version: str = Field(pattern=r"^[0-9a-f]{6,64}$")


class RollbackBody(_Body):
    """Instead of which version its predecessor is to be served again, and why."""


class Served(BaseModel):
    """The version that is served from now on, and the one before."""

    champion: str
    before: str


def add_versions(router: APIRouter, models: Models) -> None:
    """Add the routes to ``router``."""
    missing: Responses = {404: {"model": Message, "description": "There is no such version"}}
    stays: Responses = {
        409: {"model": Message, "description": "Refused, and why; the version before is still served"},
        **INVALID,
    }

    @router.get("/models")
    def list_versions() -> VersionsAnswer:
        """The champion, the challenger, former versions, and those that runs trained."""
        now = models_or_unavailable(lambda: champion(models.folder))
        known = sorted(_known(models), key=lambda one: ORDER.index(one.standing))
        answers = [_version(one, now) for one in known]
        next_one = models_or_unavailable(lambda: challenger(models.folder))
        return VersionsAnswer(champion=now.version if now else None, challenger=next_one, versions=answers)

    @router.get("/models/{version}", responses=missing)
    def one_version(version: VersionName) -> LineageAnswer:
        """A version's lineage, every link checked, and what the gates say of it."""
        chosen = _find(models, version)
        found = models_or_unavailable(lambda: lineage(chosen.bundle, models.folder))
        judged = (found.promotion or {}).get("gates")
        lines, why = (judged, None) if judged else _judge(chosen, models)
        fields = VersionChange.model_fields
        changes = [{name: one[name] for name in fields if name in one} for one in found.changes]
        told = {"changes": changes, "nodes": found.nodes, "gates": lines, "no_gates": why}
        return LineageAnswer.model_validate({"version": chosen.bundle.version, "signed_by": found.signed_by, **told})

    @router.post("/models/promote", responses={**missing, **stays})
    def promote(asked: PromoteBody, caller: Annotated[Caller, Depends(allowed)]) -> Served:
        """Serve another version if it passes the gates; who asked and why is in the history."""
        chosen = _find(models, asked.version)
        return _changed(asked, lambda: _promoted(chosen, models, asked, caller.name))

    @router.post("/models/rollback", responses=stays)
    def rollback(asked: RollbackBody, caller: Annotated[Caller, Depends(allowed)]) -> Served:
        """Serve the champion's predecessor again; who asked and why is in the history."""
        return _changed(asked, lambda: go_back(models.folder, asked.reason, caller.name, asked.instead_of))


ORDER = ("champion", "challenger", "former", "trained")


def _known(models: Models) -> list[Version]:
    return models_or_unavailable(lambda: versions(models.folder, runs_folder()))


def _find(models: Models, name: str) -> Version:
    try:
        return find_version(name, _known(models))
    except BundleError:
        raise HTTPException(404, f"there is no one version {name!r}; GET /models lists them") from None


def _version(one: Version, now: Bundle | None) -> VersionAnswer:
    facts, served = one.bundle.facts, (now.facts.get("metrics") or {}) if now else {}
    own = {name: (facts.get("metrics") or {}).get(name) for name in FIGURES}
    apart = {
        name: value - served[name]
        for name, value in own.items()
        if name != "n" and value is not None and served.get(name) is not None
    }
    return VersionAnswer(
        version=one.bundle.version,
        standing=one.standing,
        study=one.bundle.study.name,
        model=facts.get("model"),
        synthetic=facts.get("synthetic"),
        synthetic_nodes=facts.get("synthetic_nodes") or [],
        rows=one.bundle.rows,
        metrics=own,
        against_champion={} if one.standing == "champion" else apart,
    )


def _judge(chosen: Version, models: Models) -> tuple[list[dict[str, Any]], str | None]:
    try:
        return [asdict(line) for line in examine(chosen.bundle, chosen.folder, models.folder).lines], None
    except BundleError:
        return [], "the run's report is not here, or the champion or the gates' limits cannot be read"


def _promoted(chosen: Version, models: Models, asked: PromoteBody, by: str) -> Bundle:
    if chosen.standing == "champion":
        raise BundleError(f"version {chosen.bundle.version} is served already")
    judgement = examine(chosen.bundle, chosen.folder, models.folder)
    check_served(judgement.champion, asked.instead_of)
    if judgement.refused:
        note_refusal(chosen.folder, models.folder, asked.reason, evidence(judgement, chosen.folder, by))
        refused = "; ".join(map(_said, judgement.refused))
        raise BundleError(f"the gates refuse version {chosen.bundle.version}: {refused}")
    return publish_judged(chosen.folder, models.folder, "promote", asked.reason, judgement, by=by)


def _said(line: Line) -> str:
    return f"{line.gate}: found {line.found}; needed {line.needed}"


def _changed(asked: _Body, change: Callable[[], Bundle]) -> Served:
    if not signing_key_file().is_file():
        raise HTTPException(409, "this machine holds no key to sign models with; promote where that key is")
    try:
        return Served(champion=change().version, before=asked.instead_of)
    except BundleError as error:
        raise HTTPException(409, str(error)) from None
