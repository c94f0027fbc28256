"""A node's owner approves a study, by hash, before the node takes part: a changed study has another hash."""

from collections.abc import Iterator
from pathlib import Path

from fedhealth.privacy.exits import EXITS
from fedhealth.privacy.policy import Policy
from fedhealth.study import Study


def approvals_file(data: Path, node: str) -> Path:
    """Where the approved hashes of ``node`` stand, one a line."""
    return data / f"{node}.approved"


def is_approved(study: Study, node: str, data: Path) -> bool:
    """Whether the owner approved just this study."""
    path = approvals_file(data, node)
    return path.is_file() and study.hash in path.read_text(encoding="utf-8").split()


def approve(study: Study, node: str, data: Path) -> None:
    """Note the owner's approval; once is enough."""
    if not is_approved(study, node, data):
        with approvals_file(data, node).open("a", encoding="utf-8") as file:
            file.write(study.hash + "\n")


def would_leave(study: Study, node: str, policy: Policy) -> Iterator[str]:
    """What taking part means, line by line: fields, what is told of them, how much, and with how much noise."""
    own = [f.name for f in study.features if f.name in study.node(node).features or f.anchor]
    yield f"Study {study.name} predicts {study.outcome.title}; hash {study.hash}"
    yield f"It reads {len(own)} features here: {', '.join(own)}"
    if alone := alone_with(study, node):
        yield f"Fewer than three nodes observe {', '.join(alone)}: what is told of them comes from few"
    for step, way in EXITS.items():
        if not policy.steps or step in policy.steps:
            yield f"  {step}: {way.tells} ({', '.join(way.arrays[:6])}{', ...' if len(way.arrays) > 6 else ''})"
    limit = f"epsilon {policy.epsilon:g} at delta {policy.delta:g} for all of it, for ever"
    yield f"Noise: {limit if policy.epsilon < float('inf') else 'none is asked for by the owner (set epsilon to ask)'}"


def alone_with(study: Study, node: str) -> list[str]:
    """Features of ``node`` that fewer than three nodes observe: its owner consents to telling of them by approving."""
    holders = {f.name: sum(f.anchor or f.name in other.features for other in study.nodes) for f in study.features}
    return [name for name in study.names if name in study.node(node).features and holders[name] < 3]
