"""Everything that is watched over all cities, in one look: features, missing values, score, performance."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from fedhealth.monitoring import alerts
from fedhealth.monitoring.drift import FeatureDrift, drift
from fedhealth.monitoring.missing import MissingDrift, missing_drift
from fedhealth.monitoring.performance import Performance, performance
from fedhealth.monitoring.recent import recent_window
from fedhealth.monitoring.rules import TITLES, Compared, Finding, usual_wait, worst
from fedhealth.monitoring.score_drift import ScoreDrift, score_drift
from fedhealth.registry import Bundle

RULES = ("drift", "missing", "score", "performance")


@dataclass(frozen=True)
class Look:
    """What was found over the ``days`` days up to ``as_of``, the newest reading; ``missing`` against as long before."""

    as_of: datetime
    days: int
    features: list[FeatureDrift]
    missing: list[MissingDrift]
    score: ScoreDrift
    performance: Performance

    @property
    def alarms(self) -> list[str]:
        """What is not as it should be, in words; empty if nothing is."""
        return [f"{TITLES[one.rule]}: {one.about}" for one in self.findings() if one.met]

    def findings(self) -> list[Finding]:
        """One finding for each of ``RULES`` of which enough is known to tell."""
        score = self.score
        features = [Compared(one.feature, one.psi, one.threshold) for one in self.features]
        missing = [Compared(one.feature, abs(one.now - one.before), one.threshold) for one in self.missing]
        shift = None if score.shift is None else abs(score.shift)
        moved = [Compared("score", shift, score.threshold, f"log-odds by {score.shift or 0:+.2f}")]
        found = zip(RULES, (features, missing, moved, self.performance.compared), strict=True)
        return [finding for rule, compared in found if (finding := worst(rule, compared))]


def look(session: Session, bundle: Bundle, as_of: datetime, days: int) -> Look:
    """Look at the ``days`` days up to ``as_of``."""
    study = bundle.study
    now, before = (recent_window(session, study, as_of - timedelta(days=back), days) for back in (0, days))
    return Look(
        as_of=as_of,
        days=days,
        features=drift(study, bundle.reference, now),
        missing=missing_drift(study, before, now),
        score=score_drift(study, bundle.model, bundle.reference, now),
        performance=performance(session, bundle.version, bundle.threshold, as_of, days),
    )


def raise_alerts(session: Session, found: Look, now: datetime) -> None:
    """Open, renew or end the alerts of :data:`RULES`."""
    wait = usual_wait()
    alerts.recovered(session, "monitor", now)
    for finding in found.findings():
        alerts.settle(session, finding, now, wait)
