"""How well the served model does: as its own risks let expect, and as outcomes tell.

Without labels: if risks ``p`` are calibrated, a person has the outcome with chance ``p``, so the expected AUROC is

    sum_{i != j} p_i (1 - p_j) [p_i > p_j] / sum_{i != j} p_i (1 - p_j)

(Guillory et al. 2021 for accuracy; pairs with equal risks count half), and the Brier score ``p (1 - p)`` on average. It
says whether people have become harder to tell apart, not whether the model is still right: only outcomes do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from fedhealth.federation import metrics, score_histogram
from fedhealth.monitoring.cells import SMALLEST_CELL
from fedhealth.monitoring.chance import Floats, Integers
from fedhealth.monitoring.rules import Compared, worst
from fedhealth.monitoring.tables import Outcome, Reading

Standing = Literal["ok", "worse", "too few"]
MOST = 200_000
FEWEST_OF_EACH = 30  # outcomes that happened, and that did not: with fewer, no interval is worth having
SLACK = 0.1  # of the calibration line's intercept and slope: as far from the right value is no alarm
AUROC_SLACK = 0.01


@dataclass(frozen=True)
class Expected:
    """What calibrated risks let expect of ``n`` readings."""

    n: int
    outcomes: float | None
    auroc: float | None
    brier: float | None


@dataclass(frozen=True)
class Performance:
    """Expected and realised; ``realised`` are the metrics of ``federation.Metrics``, None with too few outcomes.

    ``compared`` are the near ends of their 95 % intervals beside what is no alarm; empty with too few outcomes.
    """

    expected: Expected
    known: int
    happened: int | None
    realised: dict[str, Any] | None
    compared: tuple[Compared, ...] = ()

    @property
    def status(self) -> Standing:
        """Whether the model does worse than its risks claim, beyond chance and slack."""
        return "too few" if self.realised is None else "worse" if self.reason else "ok"

    @property
    def reason(self) -> str:
        """What is worse, in words; empty if nothing is."""
        found = worst("performance", self.compared)
        return found.about or "" if found and found.met else ""


def performance(session: Session, version: str, threshold: float, as_of: datetime, days: int) -> Performance:
    """Of the readings that model ``version`` scored in the ``days`` days up to ``as_of``."""
    query = (
        select(Reading.risk, Outcome.happened)
        .outerjoin(Outcome, Outcome.reading == Reading.id)
        .where(Reading.model_version == version, Reading.time > as_of - timedelta(days=days), Reading.time <= as_of)
        .order_by(Reading.time.desc())
        .limit(MOST)
    )
    rows = session.execute(query).all()
    risk = np.array([row[0] for row in rows], dtype=np.float64)
    y = np.array([row[1] for row in rows], dtype=np.float64)  # None becomes NaN
    return judge(risk, y, threshold)


def judge(risk: Floats, y: Floats, threshold: float) -> Performance:
    """Performance from risks ``(n,)`` and outcomes ``(n,)``, NaN where not known (yet)."""
    known = ~np.isnan(y)
    happened = int(y[known].sum())
    if min(happened, int(known.sum()) - happened) < FEWEST_OF_EACH:
        told = happened if happened >= SMALLEST_CELL else None
        return Performance(expected(risk), int(known.sum()), told, None)
    found = metrics(score_histogram(risk[known], y[known], threshold)).as_dict()
    compared = tuple(compared_with(found, expected(risk[known])))
    return Performance(expected(risk), int(known.sum()), happened, found, compared)


def expected(risk: Floats) -> Expected:
    """What risks ``(n,)`` let expect; None where there are too few to tell, or nothing to tell apart."""
    return expected_of(*np.unique(risk, return_counts=True))


def expected_of(risk: Floats, count: Floats | Integers) -> Expected:
    """As :func:`expected`, of rising risks ``(k,)`` that ``count`` readings each have, shape ``(k,)``."""
    n = round(float(count.sum()))
    if n < SMALLEST_CELL:
        return Expected(n, None, None, None)
    cases, controls, apart = count * risk, count * (1 - risk), count * risk * (1 - risk)
    below = np.cumsum(controls) - controls
    itself = float(apart.sum())  # nobody is compared with themselves
    pairs = float(cases.sum() * controls.sum()) - itself
    won = float((cases * (below + controls / 2)).sum()) - itself / 2
    return Expected(n, float(cases.sum()), won / pairs if pairs > 1e-9 else None, itself / n)


def compared_with(found: dict[str, Any], before: Expected) -> Iterator[Compared]:
    """What is undefined, such as the calibration line of equal risks, cannot be told."""
    for name, right in (("calibration_intercept", 0), ("calibration_slope", 1)):
        value, low, high = (found[f"{name}{end}"] for end in ("", "_low", "_high"))
        if value is None:
            yield Compared(name, None, SLACK)
        else:
            words = f"{name.replace('_', ' ')} {value:.2f} ({right} is right)"
            yield Compared(name, max(low - right, right - high), SLACK, words)
    if before.auroc is None or found["auroc_high"] is None:
        yield Compared("auroc", None, AUROC_SLACK)
    else:
        words = f"AUROC {found['auroc']:.3f} where the risks let expect {before.auroc:.3f}"
        yield Compared("auroc", before.auroc - found["auroc_high"], AUROC_SLACK, words)
