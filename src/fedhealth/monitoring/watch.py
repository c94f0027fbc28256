"""Everything that is watched over all cities, in one look: features, missing values, score, performance."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from fedhealth.monitoring import alerts
from fedhealth.monitoring.alerts import Finding
from fedhealth.monitoring.drift import FeatureDrift, drift
from fedhealth.monitoring.missing import MissingDrift, missing_drift
from fedhealth.monitoring.performance import Performance, performance
from fedhealth.monitoring.recent import recent_window
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
        return [f"{alerts.TITLES[one.rule]}: {one.about}" for one in self.findings() if one.met]

    def findings(self) -> list[Finding]:
        """One finding for each of ``RULES``."""
        drifted = [one for one in self.features if one.status == "drift"]
        gone = [one for one in self.missing if one.status == "drift"]
        shift, worse = self.score, self.performance
        return [
            _finding("drift", max((one.psi or 0 for one in drifted), default=0), _least(drifted), _names(drifted)),
            _finding(
                "missing", max((abs(one.now - one.before) for one in gone), default=0), _least(gone), _names(gone)
            ),
            _finding(
                "score",
                shift.shift or 0,
                shift.threshold or 0,
                f"log-odds by {shift.shift:+.2f}" if shift.status == "drift" else "",
            ),
            _finding("performance", 0, 0, worse.reason),
        ]


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
    wait = alerts.usual_wait()
    alerts.recovered(session, "monitor", now)
    for finding in found.findings():
        alerts.settle(session, finding, now, wait)


def _finding(rule: str, value: float, threshold: float, about: str) -> Finding:
    return Finding(rule, value, threshold, met=bool(about), clear=not about, about=about or None)


def _least(found: "list[FeatureDrift] | list[MissingDrift]") -> float:
    return min((one.threshold or 0 for one in found), default=0)


def _names(found: "list[FeatureDrift] | list[MissingDrift]") -> str:
    return ", ".join(one.feature for one in found)
