"""Alerts: a rule that is met for long enough fires once, lasts until it is clearly not met, and can be acknowledged.

Every rule compares a value with a limit. It is met beyond the limit, and its alert ends once the value has come back to
``CLEARED_BELOW`` of it.

States: ``pending`` (met, but not for long enough yet), ``firing``, ``acknowledged``, ``no_data`` (it fired, and nothing
came in since that could end it), ``error`` (the rule could not be checked), ``resolved``.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fedhealth.monitoring.cells import hidden
from fedhealth.monitoring.cities import WINDOW, groups, newest_air
from fedhealth.monitoring.settings import SettingError
from fedhealth.monitoring.tables import Alert

State = Literal["pending", "firing", "acknowledged", "no_data", "error", "resolved"]
TIMES_PREVALENCE = 1.5
AQI_ABOVE = 200.0
CLEARED_BELOW = 0.95  # of the limit, so that a value around it does not open and close alerts all day
MOST = 500
TITLES = {
    "mean-risk": "High mean risk",
    "aqi": "Very unhealthy air",
    "drift": "Readings are not as in training",
    "missing": "Other values are missing than before",
    "score": "Risks have moved",
    "performance": "Outcomes are not as predicted",
    "nodes": "Nodes are served worse than at training",
    "settings": "The rules of alerts cannot be read",
    "monitor": "Monitoring failed",
    "asking": "Nodes could not be asked",
}


@dataclass(frozen=True)
class Rules:
    """From which values alerts open: mean risk of a city's last 24 hours (0..1), and its air quality index.

    A rule must be met for ``wait``, by the times of readings, before its alert fires.
    """

    mean_risk: float
    aqi: float = AQI_ABOVE
    wait: timedelta = timedelta(0)


@dataclass(frozen=True)
class Finding:
    """The value that a rule found beside its limit; empty ``city`` where it is about all.

    ``about`` says in words what is meant. Of a rule that looks at several subjects, ``subjects`` are those meant, and
    ``untold`` those of which too little is known to tell.
    """

    rule: str
    value: float
    threshold: float
    at_limit: bool = False
    city: str = ""
    about: str | None = None
    readings: int = 0
    mean_risk: float | None = None
    aqi: float | None = None
    subjects: tuple[str, ...] = ()
    untold: frozenset[str] = frozenset()

    @property
    def met(self) -> bool:
        """Whether the value is beyond its limit, or ``at_limit``."""
        return self.value > self.threshold or (self.at_limit and self.value == self.threshold)

    @property
    def clear(self) -> bool:
        """Whether an alert that fired is over."""
        return self.value <= CLEARED_BELOW * self.threshold


@dataclass(frozen=True)
class Compared:
    """One of several subjects that a rule looks at, with its value and its own limit, above 0.

    The value or the limit is None where too little is known to tell. ``words`` say more than the subject's name.
    """

    subject: str
    value: float | None
    limit: float | None
    words: str | None = None


def worst(rule: str, compared: Iterable[Compared]) -> Finding | None:
    """What a rule found that looks at several subjects: the one furthest beyond its limit; None where none can be told.

    ``about`` and ``subjects`` name all that are beyond their limits; where none is, those that keep an alert from
    ending.
    """
    found, untold = [], set()
    for one in compared:
        if one.value is None or one.limit is None:
            untold.add(one.subject)
        else:
            found.append((one, Finding(rule, one.value, one.limit)))
    if not found:
        return None
    named = [one for one, beside in found if beside.met] or [one for one, beside in found if not beside.clear]
    furthest = max((beside for _, beside in found), key=lambda beside: beside.value / beside.threshold)
    about = ", ".join(one.words or one.subject for one in named) or None
    subjects = tuple(one.subject for one in named)
    return replace(furthest, about=about, subjects=subjects, untold=frozenset(untold))


@dataclass(frozen=True)
class Rule:
    """A rule in force: from which value its alert opens, after how long, and from which value down it ends.

    None where the limits are each feature's own; such an alert ends at ``CLEARED_BELOW`` of all of them.
    """

    rule: str
    title: str
    each_city: bool
    opens: float | None
    opens_at_limit: bool
    ends: float | None
    wait: timedelta


class NoSuchAlert(LookupError):
    """There is no alert of that number."""


class AlertTaken(ValueError):
    """Somebody else looks after the alert."""


class AlertOver(ValueError):
    """The alert is resolved; there is nothing to acknowledge any more."""


def rules_for(prevalence: float | None) -> Rules:
    """Rules from the settings; else 1.5 times the training prevalence, an index of 200, and no waiting.

    ``FEDHEALTH_ALERT_RISK``, ``FEDHEALTH_ALERT_AQI`` and ``FEDHEALTH_ALERT_FOR`` (minutes).

    Raises:
        SettingError: a setting is not a number above 0, or a risk is above 1.
    """
    usual = TIMES_PREVALENCE * (prevalence or 0.2)
    risk = _setting("FEDHEALTH_ALERT_RISK", min(usual, 0.99), most=1.0)
    return Rules(risk, _setting("FEDHEALTH_ALERT_AQI", AQI_ABOVE), usual_wait())


def usual_wait() -> timedelta:
    """For how long a rule must be met before its alert fires: ``FEDHEALTH_ALERT_FOR`` minutes, else not at all.

    Raises:
        SettingError: the setting is not a number above 0.
    """
    asked = os.environ.get("FEDHEALTH_ALERT_FOR")
    return timedelta(minutes=_setting("FEDHEALTH_ALERT_FOR", 1.0)) if asked else timedelta(0)


def in_force(rules: Rules, of_all: Iterable[str]) -> list[Rule]:
    """The rules of each city, and those over all cities, which have no single limit."""
    limits = (("mean-risk", rules.mean_risk, True), ("aqi", rules.aqi, False))
    own = [Rule(name, TITLES[name], True, at, met, CLEARED_BELOW * at, rules.wait) for name, at, met in limits]
    return [*own, *(Rule(name, TITLES[name], False, None, False, None, rules.wait) for name in of_all)]


def _setting(name: str, default: float, most: float = inf) -> float:
    text = os.environ.get(name, "")
    try:
        value = float(text or default)
    except ValueError:
        value = -1.0
    if not (0 < value < inf and value <= most):
        expected = "a number above 0" if most == inf else f"a number above 0, at most {most:g}"
        raise SettingError(f"{name}: got {text!r}; expected {expected}")
    return value


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
