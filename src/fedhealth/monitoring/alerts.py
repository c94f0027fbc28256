"""Alerts: a rule that is met for long enough fires once, lasts until it is clearly not met, and can be acknowledged.

States: ``pending`` (met, but not for long enough yet), ``firing``, ``acknowledged``, ``no_data`` (it fired, and nothing
came in since that could end it), ``error`` (the rule could not be checked), ``resolved``.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fedhealth.monitoring.cells import hidden
from fedhealth.monitoring.cities import WINDOW, groups, newest_air
from fedhealth.monitoring.rules import Finding, Rules
from fedhealth.monitoring.tables import Alert

State = Literal["pending", "firing", "acknowledged", "no_data", "error", "resolved"]
MOST = 500


class NoSuchAlert(LookupError):
    """There is no alert of that number."""


class AlertTaken(ValueError):
    """Somebody else looks after the alert."""


class AlertOver(ValueError):
    """The alert is resolved; there is nothing to acknowledge any more."""


def state_of(alert: Alert, now: datetime | None = None) -> State:
    """What an alert is ``now``; without that, silence is not asked about."""
    if alert.ended is not None:
        return "resolved"
    if alert.error is not None:
        return "error"
    if alert.fired is None:
        return "pending"
    if alert.acknowledged_at is not None:
        return "acknowledged"
    return "no_data" if now and now - alert.last_seen > WINDOW else "firing"


def check_cities(session: Session, cities: Iterable[str], rules: Rules, as_of: datetime) -> None:
    """Open, renew or end the alerts of ``cities`` by their 24 hours up to ``as_of``.

    A city of which nothing is known, or too little to tell, keeps the alerts it has.
    """
    found = groups(session, as_of)
    unsaid = hidden({city: (group.readings, group.people) for city, group in found.items()})
    for city in sorted(cities):
        group, air = found.get(city), newest_air(session, city, as_of - WINDOW)
        if city in unsaid:
            group = None
        index = air.aqi if air else None
        seen: dict[str, Any] = {"city": city, "readings": group.readings if group else 0, "aqi": index}
        seen |= {"mean_risk": group.mean_risk if group else None}
        if group:
            risk = Finding("mean-risk", group.mean_risk, rules.mean_risk, at_limit=True, **seen)
            settle(session, risk, as_of, rules.wait)
        if index is not None:
            settle(session, Finding("aqi", index, rules.aqi, **seen), as_of, rules.wait)


def settle(session: Session, found: Finding, as_of: datetime, wait: timedelta = timedelta(0)) -> None:
    """Open, renew, fire or end the alert of a rule by what it found at ``as_of``.

    An alert does not end while nothing can be told of a subject that it is about.
    """
    alert = _open_alert(session, found.rule, found.city)
    if alert is None:
        if found.met:
            _open(session, found, as_of, wait)
        return
    if as_of < alert.last_seen:
        return  # readings that arrive late do not undo what newer ones said
    unknown = [subject for subject in alert.subjects or () if subject in found.untold]
    if found.met or (alert.fired is not None and not found.clear):
        _renew(alert, replace(found, subjects=(*found.subjects, *unknown)), as_of)
        if alert.fired is None and as_of - alert.since >= wait:
            alert.fired = as_of
    elif unknown:
        return
    elif alert.fired is None:
        session.delete(alert)
    else:
        alert.ended = as_of


def fail(session: Session, rule: str, reason: str, now: datetime) -> None:
    """Note that a rule could not be checked; :func:`settle` with a finding that is clear ends it."""
    alert = _open_alert(session, rule, "")
    if alert is None:
        alert = Alert(city="", rule=rule, threshold=0.0, value=0.0, since=now, fired=now, readings=0)
        session.add(alert)
    alert.error, alert.last_seen = reason, now


def recovered(session: Session, rule: str, now: datetime) -> None:
    """Note that a rule can be checked again."""
    alert = _open_alert(session, rule, "")
    if alert is not None and alert.error is not None:
        alert.ended = now


def _open_alert(session: Session, rule: str, city: str) -> Alert | None:
    query = select(Alert).where(Alert.city == city, Alert.rule == rule, Alert.ended.is_(None)).with_for_update()
    return session.scalar(query)


def _open(session: Session, found: Finding, as_of: datetime, wait: timedelta) -> None:
    fired = None if wait else as_of
    alert = Alert(city=found.city, rule=found.rule, threshold=found.threshold, since=as_of, fired=fired)
    _renew(alert, found, as_of)
    try:
        with session.begin_nested():
            session.add(alert)
    except IntegrityError:
        pass  # opened by another process meanwhile


def _renew(alert: Alert, found: Finding, as_of: datetime) -> None:
    alert.value, alert.last_seen, alert.error = found.value, as_of, None
    alert.about, alert.subjects = found.about, list(found.subjects)
    alert.readings, alert.mean_risk, alert.aqi = found.readings, found.mean_risk, found.aqi
    if not found.city:  # that of a city stays what it was when the alert opened
        alert.threshold = found.threshold


def list_alerts(session: Session, state: State | None = None, now: datetime | None = None) -> list[Alert]:
    """Alerts in ``state`` (default: in any), lasting ones first, then the newest; ``now`` as in :func:`state_of`."""
    query = select(Alert).order_by(Alert.ended.is_not(None), Alert.since.desc(), Alert.id.desc()).limit(MOST)
    return [alert for alert in session.scalars(query) if state is None or state_of(alert, now) == state]


def acknowledge(session: Session, number: int, by: str, key: str, note: str, now: datetime) -> Alert:
    """Note who looks after an alert, and the name of the key that says so; they may change their note.

    Raises:
        NoSuchAlert: there is none of that number.
        AlertOver: it is resolved.
        AlertTaken: somebody else looks after it; says who.
    """
    alert = session.get(Alert, number, with_for_update=True)
    if alert is None:
        raise NoSuchAlert(f"there is no alert {number}")
    if alert.ended is not None:
        raise AlertOver(f"alert {number} is resolved; only one that lasts can be acknowledged")
    if alert.acknowledged_at is not None and (alert.acknowledged_by, alert.acknowledged_key) != (by, key):
        with_key = f", with the key of {alert.acknowledged_key}" if alert.acknowledged_key else ""
        raise AlertTaken(f"{alert.acknowledged_by}{with_key} looks after alert {number} already")
    alert.acknowledged_at, alert.acknowledged_by, alert.acknowledged_key, alert.note = now, by, key, note
    return alert
