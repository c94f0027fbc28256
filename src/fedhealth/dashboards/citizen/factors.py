"""What the estimate rests on: the three readings that move it most, and which further reading would narrow it."""

import math

import streamlit as st

from fedhealth.dashboards import api
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.citizen.result import ask, body_of
from fedhealth.dashboards.features import Subject
from fedhealth.dashboards.parts import table
from fedhealth.dashboards.texts import say
from fedhealth.study import Feature
from fedhealth.study.advice.features import name_of
from fedhealth.study.advice.risk import Risk

STRONGEST, SHARPER = 3, 3
FLAT = 0.01  # log-odds
LEAST = 1.0  # of 100 people: a narrowing below this is not told


def show(subject: Subject, readings: dict[str, float], own: Risk | None) -> None:
    """Both, or a word about why they are not there."""
    if own is None:
        st.write(say("citizen.factors_none"))
        return
    _strongest(subject, readings)
    _sharper(subject, readings, own)


def _strongest(subject: Subject, readings: dict[str, float]) -> None:
    try:
        parts = api.post("/explain", body_of(subject, readings))["contributions"][:STRONGEST]
        found = [(str(part["feature"]), float(part["contribution"])) for part in parts]
    except (KeyError, TypeError, ValueError):
        raise ApiProblem("error", say("api.unreadable")) from None
    names = {feature.name: name_of(feature) for feature in subject.features}
    rows = [
        {say("citizen.factor"): _capital(names.get(name, name)), say("citizen.factor_moves"): _direction(amount)}
        for name, amount in found
    ]
    table(rows, say("citizen.factors_alt"))
    st.caption(say("citizen.factors_note"))


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _direction(amount: float) -> str:
    if abs(amount) < FLAT:
        return say("citizen.factor_flat")
    return say("citizen.factor_up" if amount > 0 else "citizen.factor_down")


def _sharper(subject: Subject, readings: dict[str, float], own: Risk) -> None:
    """The missing readings whose knowledge would narrow the range most; they are not asked for by their value."""
    missing = [f for f in subject.features if f.name in own.missing and f.example is not None]
    gains = [(_narrowing(subject, readings, own, feature), feature) for feature in missing]
    gains.sort(key=lambda one: -one[0])
    found = [(gain, feature) for gain, feature in gains[:SHARPER] if gain >= LEAST]
    width = f"{100 * (own.high - own.low):.0f}"
    for gain, feature in found:
        narrower = f"{100 * (own.high - own.low) - gain:.0f}"
        st.markdown(say("citizen.sharper", name=name_of(feature), width=width, narrower=narrower))
    if missing and not found:
        st.caption(say("citizen.sharper_none"))
    elif found:
        st.caption(say("citizen.sharper_note"))


def _narrowing(subject: Subject, readings: dict[str, float], own: Risk, feature: Feature) -> float:
    """By how many of 100 people the range would be narrower around the same estimate, were the feature known too."""
    known = ask(subject, {**readings, feature.name: feature.example or 0.0})
    shift = _logit(own.value) - _logit(known.value)
    low, high = (_share(_logit(end) + shift) for end in (known.low, known.high))
    return 100 * ((own.high - own.low) - (high - low))


def _logit(share: float) -> float:
    inside = min(max(share, 1e-6), 1 - 1e-6)
    return math.log(inside / (1 - inside))


def _share(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
