"""Rules: what is looked at, from which value an alert opens, and from which it ends.

Every rule compares a value with a limit. It is met beyond the limit, and its alert ends once the value has come back to
``CLEARED_BELOW`` of it.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from math import inf

from fedhealth.monitoring.settings import SettingError

TIMES_PREVALENCE = 1.5
AQI_ABOVE = 200.0
CLEARED_BELOW = 0.95  # of the limit, so that a value around it does not open and close alerts all day
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
