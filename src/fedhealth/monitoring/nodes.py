"""The served model at each node, on its rows of now: is it still as good there as the bundle says it was at training?

A node answers through its door, with the score histogram that training evaluates by. The metrics of two answers differ
by ``d`` with variance ``v1 + v2``, as if they were of different people: of rows that are in both, the 95 % interval is
wider than need be. Where answers have noise, the variance that it adds to each is found by adding as much again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Literal

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from fedhealth.federation import Contribution, Metrics, metrics, private_scores
from fedhealth.federation.intervals import Z
from fedhealth.monitoring import alerts
from fedhealth.monitoring.performance import SLACK, Expected, expected_of
from fedhealth.monitoring.rules import Compared, Finding, usual_wait, worst
from fedhealth.monitoring.tables import NodeCheck

RULE, ASKING = "nodes", "asking"  # the second where they could not be asked
AUROC_MARGIN = 0.02
DRAWS = 100  # of noise
PERFECT = {"calibration_slope": 1.0, "calibration_intercept": 0.0}
Standing = Literal["ok", "worse", "new", "no answer"]
Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class Change:
    """By how much a metric is worse now than at training, with the ends of the 95 % interval; None: undefined."""

    worse: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class NodeLook:
    """A node's metrics ``now`` and as ``trained``, what its risks let expect, and the changes, by name of the metric.

    All empty where it gave no answer; no ``trained`` and no changes where the bundle tells nothing of it.
    """

    node: str
    noisy: bool = False
    now: Figures | None = None
    trained: Figures | None = None
    expected: Expected | None = None
    changes: Mapping[str, Change] | None = None

    @property
    def compared(self) -> list[Compared]:
        """Each change's low end beside what is no alarm; None where a change is not known."""
        margins, changes = {"auroc": AUROC_MARGIN, **dict.fromkeys(PERFECT, SLACK)}, self.changes or {}
        return [
            Compared(
                f"{self.node}/{name}",
                changes[name].low if name in changes else None,
                margin,
                f"{self.node} ({_words(name, self.trained, self.now)})",
            )
            for name, margin in margins.items()
        ]

    @property
    def reason(self) -> str:
        """What is worse, in words; empty if nothing is, beyond margin and chance."""
        return _about([self])

    @property
    def status(self) -> Standing:
        """Where the node stands."""
        if self.now is None:
            return "no answer"
        return "new" if self.changes is None else "worse" if self.reason else "ok"


def look_at_node(
    node: str, trained: Figures | None, answer: Contribution, threshold: float, rng: np.random.Generator
) -> NodeLook:
    """Compare a node's ``answer`` with its metrics at training (None: there are none).

    ``answer`` is to ``evaluate``, or to ``private_scores`` where it has noise, of which ``rng`` draws more.
    """
    noisy = answer.noise > 0
    scores = private_scores(answer, threshold) if noisy else answer
    now = metrics(scores).as_dict()
    count = scores["positives"] + scores["negatives"]
    used = count > 0
    expected = expected_of(scores["risks"][used] / count[used], count[used])
    if trained is None:
        return NodeLook(node, noisy, now, None, expected)
    noise = _noise(answer, threshold, rng) if noisy else {}
    changes = {name: _change(name, trained, now, 2 * noise.get(name, 0.0)) for name in ("auroc", *PERFECT)}
    return NodeLook(node, noisy, now, trained, expected, changes)


def _change(name: str, trained: Figures, now: Figures, noise: float) -> Change:
    """``noise`` is the variance that noise adds to the difference."""
    before, after, half_before, half_after = trained.get(name), now.get(name), _half(name, trained), _half(name, now)
    if before is None or after is None or half_before is None or half_after is None:
        return Change(None, None, None)
    half = float(np.sqrt(half_before**2 + half_after**2 + Z**2 * noise))
    worse = before - after if name == "auroc" else abs(after - PERFECT[name]) - abs(before - PERFECT[name])
    return Change(worse, worse - half, worse + half)


def _half(name: str, figures: Figures) -> float | None:
    """Half the width of a metric's interval, None where it has none."""
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    return None if low is None or high is None else (high - low) / 2


def _noise(answer: Contribution, threshold: float, rng: np.random.Generator) -> dict[str, float]:
    """The variance of each compared metric under as much noise as ``answer`` has; 0 where it is never defined."""
    found: list[Metrics] = []
    for _ in range(DRAWS):
        sums = {name: array + rng.normal(0.0, answer.noise, array.shape) for name, array in answer.sums.items()}
        found.append(metrics(private_scores(replace(answer, sums=sums), threshold)))
    values = {name: np.array([getattr(one, name) for one in found]) for name in ("auroc", *PERFECT)}
    known = {name: each[np.isfinite(each)] for name, each in values.items()}
    return {name: float(each.var()) for name, each in known.items() if len(each)}


def _words(name: str, trained: Figures | None, now: Figures | None) -> str:
    before, after = ((figures or {}).get(name) or 0.0 for figures in (trained, now))
    return f"{name.replace('_', ' ').replace('auroc', 'AUROC')} {before:.3f} then, {after:.3f} now"


def _about(looks: Iterable[NodeLook]) -> str:
    found = finding(looks)
    return found.about or "" if found and found.met else ""


def finding(looks: Iterable[NodeLook]) -> Finding | None:
    """What the rule of nodes found; None where no node can be compared."""
    return worst(RULE, [one for look in looks for one in look.compared])


def keep_looks(session: Session, looks: Iterable[NodeLook], version: str, now: datetime) -> None:
    """Store how model ``version`` does at each node, in place of what was known; open, renew or end the alert.

    It ends only when all nodes answered: one that is silent may be the one that it is about.
    """
    looks = list(looks)
    for look in looks:
        figures = asdict(look)
        for apart in ("node", "noisy"):
            del figures[apart]
        row = NodeCheck(node=look.node, time=now, model_version=version, status=look.status, reason=look.reason)
        row.noisy, row.figures = look.noisy, figures
        session.merge(row)
    alerts.recovered(session, ASKING, now)
    found = finding(looks)
    if found and (found.met or all(look.now for look in looks)):
        alerts.settle(session, found, now, usual_wait())


def kept_looks(session: Session, version: str) -> dict[str, NodeCheck]:
    """What is known of model ``version``, by node."""
    query = select(NodeCheck).where(NodeCheck.model_version == version)
    return {one.node: one for one in session.scalars(query)}
