"""The estimate: so many of 100 people, with the range, and what it rests on."""

from typing import Any

import streamlit as st

from fedhealth.dashboards import api, svg
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.citizen import origin
from fedhealth.dashboards.colours import palette
from fedhealth.dashboards.features import Subject
from fedhealth.dashboards.texts import listed, say
from fedhealth.study.advice.features import name_of
from fedhealth.study.advice.risk import Risk

SAME = ("age", "sex")  # features of the group a person is compared with


def ask(subject: Subject, readings: dict[str, float]) -> Risk:
    """The model's risk for these readings; ApiProblem if it gives none."""
    try:
        return Risk.of(api.post("/predict", body_of(subject, readings)))
    except (KeyError, TypeError, ValueError):
        raise ApiProblem("error", say("api.unreadable")) from None


def body_of(subject: Subject, readings: dict[str, float]) -> dict[str, Any]:
    """Readings as the API takes them: a category by its level's name."""
    levels = {feature.name: feature.levels for feature in subject.features if feature.kind == "category"}
    return {name: levels[name][int(value)] if name in levels else value for name, value in readings.items()}


def show(subject: Subject, readings: dict[str, float]) -> Risk | None:
    """Draw the estimate and give it; None while there are no readings."""
    if not readings:
        st.write(say("citizen.empty"))
        return None
    risk = ask(subject, readings)
    low, high = risk.span
    key = "risk.of_100" if subject.window_days else "risk.of_100_now"
    words = {"about": risk.about, "outcome": subject.outcome, "days": subject.window_days, "low": low, "high": high}
    st.markdown(say(key, **words))
    _people("citizen.array_alt", risk.of_100, palette().primary)
    if risk.is_wide:
        st.write(say("citizen.wide"))
    st.markdown(f"**{say('risk.estimate')}**")
    _baseline(subject, readings)
    _rests_on(subject, readings, risk)
    return risk


def _people(name: str, filled: int, colour: str) -> None:
    st.image(svg.icon_array(filled, colour), alt=say(name, filled=filled))


def _baseline(subject: Subject, readings: dict[str, float]) -> None:
    """The same for everybody of that age and sex, if more than that is known of the person."""
    same = {name: value for name, value in readings.items() if name in SAME}
    if not same or same == readings:
        return
    risk = ask(subject, same)
    low, high = risk.span
    names = [name_of(feature) for feature in subject.features if feature.name in same]
    st.markdown(say("citizen.baseline", same=listed(names), about=risk.about, low=low, high=high))
    _people("citizen.array_same_alt", risk.of_100, palette().grey)
    if risk.is_wide:
        st.write(say("citizen.baseline_wide"))


def _rests_on(subject: Subject, readings: dict[str, float], risk: Risk) -> None:
    old = [name_of(f) for f in origin.old_ones(f for f in subject.features if f.name in readings)]
    if old:
        st.caption(say("citizen.old", names=listed(old)))
    names = [name_of(feature) for feature in subject.features if feature.name in risk.missing]
    st.caption(say("citizen.missing", names=listed(names)) if names else say("citizen.complete"))
