"""Alerts: a rule that a city meets is said once, lasts until the city is clearly below it, and can be acknowledged."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fedhealth.monitoring.cells import is_small
from fedhealth.monitoring.cities import WINDOW, Group, groups, newest_air
from fedhealth.monitoring.tables import Alert

State = Literal["firing", "acknowledged", "resolved"]
TIMES_PREVALENCE = 1.5
AQI_ABOVE = 200.0
CLEARED_BELOW = 0.95  # of the threshold, so that a value around it does not open and close alerts all day
MOST = 500
TITLES = {"mean-risk": "High mean risk", "aqi": "Very unhealthy air"}


@dataclass(frozen=True)
class Rules:
    """From which values alerts open: mean risk of a city's last 24 hours (0..1), and its air quality index."""

    mean_risk: float
    aqi: float = AQI_ABOVE


class NoSuchAlert(LookupError):
    """There is no alert of that number."""


class AlertOver(ValueError):
    """The alert is resolved; there is nothing to acknowledge any more."""


def rules_for(prevalence: float | None) -> Rules:
    """Rules from ``FEDHEALTH_ALERT_RISK`` and ``FEDHEALTH_ALERT_AQI``; else 1.5 times the training prevalence, and 200.

    Raises:
        ValueError: a setting is not a number above 0.
    """
    usual = TIMES_PREVALENCE * (prevalence or 0.2)
    return Rules(_setting("FEDHEALTH_ALERT_RISK", min(usual, 0.99)), _setting("FEDHEALTH_ALERT_AQI", AQI_ABOVE))


def _setting(name: str, default: float) -> float:
    text = os.environ.get(name, "")
    try:
        value = float(text or default)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise ValueError(f"{name}: got {text!r}; expected a number above 0")
    return value


def state_of(alert: Alert) -> State:
    """What an alert is now."""
    if alert.ended is not None:
        return "resolved"
    return "firing" if alert.acknowledged_at is None else "acknowledged"


def check_cities(session: Session, cities: Iterable[str], rules: Rules, as_of: datetime) -> None:
    """Open, renew or end the alerts of ``cities`` by their 24 hours up to ``as_of``.

    A city of which nothing is known, or too little to tell, keeps the alerts it has.
    """
    found = groups(session, as_of)
    for city in sorted(cities):
        group = found.get(city)
        air = newest_air(session, city, as_of - WINDOW)
        seen = _Seen(
            city, group if group and not is_small(group.readings, group.people) else None, air.aqi if air else None
        )
        if seen.group:
            _check(session, seen, "mean-risk", seen.group.mean_risk, rules.mean_risk, as_of)
        if seen.aqi is not None:
            _check(session, seen, "aqi", seen.aqi, rules.aqi, as_of)


@dataclass(frozen=True)
class _Seen:
    city: str
    group: Group | None
    aqi: float | None


def _check(session: Session, seen: _Seen, rule: str, value: float, threshold: float, as_of: datetime) -> None:
    met = value >= threshold if rule == "mean-risk" else value > threshold
    query = select(Alert).where(Alert.city == seen.city, Alert.rule == rule, Alert.ended.is_(None)).with_for_update()
    alert = session.scalar(query)
    if alert is None:
        if met:
            _open(session, seen, rule, value, threshold, as_of)
    elif as_of < alert.last_seen:
        return  # readings that arrive late do not undo what newer ones said
    elif met or value > CLEARED_BELOW * alert.threshold:
        _renew(alert, seen, value, as_of)
    else:
        alert.ended = as_of


def _open(session: Session, seen: _Seen, rule: str, value: float, threshold: float, as_of: datetime) -> None:
    alert = Alert(city=seen.city, rule=rule, threshold=threshold, since=as_of)
    _renew(alert, seen, value, as_of)
    try:
        with session.begin_nested():
            session.add(alert)
    except IntegrityError:
        pass  # opened by another process meanwhile


def _renew(alert: Alert, seen: _Seen, value: float, as_of: datetime) -> None:
    alert.value, alert.last_seen, alert.aqi = value, as_of, seen.aqi
    alert.readings = seen.group.readings if seen.group else 0
    alert.mean_risk = seen.group.mean_risk if seen.group else None


def list_alerts(session: Session, state: State | None = None) -> list[Alert]:
    """Alerts in ``state`` (default: in any), lasting ones first, then the newest."""
    query = select(Alert).order_by(Alert.ended.is_not(None), Alert.since.desc(), Alert.id.desc()).limit(MOST)
    if state == "resolved":
        query = query.where(Alert.ended.is_not(None))
    elif state:
        query = query.where(Alert.ended.is_(None), Alert.acknowledged_at.is_not(None) == (state == "acknowledged"))
    return list(session.scalars(query))


def acknowledge(session: Session, number: int, by: str, note: str, now: datetime) -> Alert:
    """Note who looks after an alert; of a second acknowledgement, the later one stands.

    Raises:
        NoSuchAlert: there is none of that number.
        AlertOver: it is resolved.
    """
    alert = session.get(Alert, number, with_for_update=True)
    if alert is None:
        raise NoSuchAlert(f"there is no alert {number}")
    if alert.ended is not None:
        raise AlertOver(f"alert {number} is resolved; only one that lasts can be acknowledged")
    alert.acknowledged_at, alert.acknowledged_by, alert.note = now, by, note
    return alert
