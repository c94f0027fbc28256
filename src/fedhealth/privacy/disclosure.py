"""What taking part in a study would tell of a node, for its owner to read before approving."""

from collections.abc import Iterator

from fedhealth.privacy.exits import EXITS
from fedhealth.privacy.policy import Policy
from fedhealth.study import Study

FEW = 3  # nodes: of a sum over fewer, each may know the other's part


def would_leave(study: Study, node: str, policy: Policy) -> Iterator[str]:
    """What taking part means, line by line: fields, what is told of them, how much, and with how much noise."""
    own = [f.name for f in study.features if f.name in study.node(node).features or f.anchor]
    yield f"Study {study.name} predicts {study.outcome.title}; hash {study.hash}"
    yield f"It reads {len(own)} features here: {', '.join(own)}"
    if alone := alone_with(study, node):
        yield f"Fewer than three nodes observe {', '.join(alone)}: approving is consent to what sums tell of each"
    if policy.withheld:
        yield f"Withheld, but for answers with noise: {', '.join(policy.withheld)}"
    for step, way in EXITS.items():
        if not policy.steps or step in policy.steps:
            yield f"  {step}: {way.tells} ({', '.join(way.arrays[:6])}{', ...' if len(way.arrays) > 6 else ''})"
    limit = f"epsilon {policy.epsilon:g} at delta {policy.delta:g} for all of it, for ever"
    yield f"Noise: {limit if policy.epsilon < float('inf') else 'none is asked for by the owner (set epsilon to ask)'}"


def alone_with(study: Study, node: str) -> list[str]:
    """Features of ``node`` that fewer than three nodes observe: its owner consents to telling of them by approving."""
    holders = {f.name: sum(f.anchor or f.name in other.features for other in study.nodes) for f in study.features}
    return [name for name in study.names if name in study.node(node).features and holders[name] < FEW]
