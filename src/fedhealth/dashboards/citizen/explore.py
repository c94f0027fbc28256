"""Other people's readings: what the model says of groups that differ in what a person can change."""

import streamlit as st

from fedhealth.dashboards.citizen.result import ask
from fedhealth.dashboards.features import Subject
from fedhealth.dashboards.texts import listed, say
from fedhealth.study import Feature
from fedhealth.study.advice.compare import can_be_compared, people_with, reach
from fedhealth.study.advice.features import group_of, name_of, options_of, title_of, unit_of
from fedhealth.study.advice.risk import Risk


def show(subject: Subject, readings: dict[str, float], own: Risk | None) -> None:
    """Controls for what can be changed and was given, and the group that they describe."""
    possible = [feature for feature in subject.features if can_be_compared(feature)]
    given = [feature for feature in possible if feature.name in readings]
    if own is None or not given:
        st.write(say("citizen.explore_none", names=listed([name_of(f) for f in possible])))
        return
    chosen = {feature.name: _control(feature, readings[feature.name]) for feature in given}
    _compare(subject, given, {**readings, **chosen}, own, chosen == {f.name: readings[f.name] for f in given})


def _control(feature: Feature, value: float) -> float:
    """A slider or a choice that starts at the person's own value; outside the reach it starts at its end."""
    key = f"explore_{feature.name}_{value:g}"
    if feature.kind != "number":
        options = options_of(feature)
        picked = st.segmented_control(title_of(feature), options, default=options[int(value)], required=True, key=key)
        return float(options.index(picked))
    low, high, step = (reach()[feature.name][name] for name in ("low", "high", "step"))
    start = min(max(value, low), high)
    unit = unit_of(feature)
    places = "%.1f" if step < 1 else "%d"
    kind = float if step < 1 else int
    chosen = st.slider(f"{title_of(feature)} ({unit})", kind(low), kind(high), kind(start), kind(step), places, key=key)
    if start != value:
        ends = {"low": f"{low:,g}", "high": group_of(feature, high), "start": group_of(feature, start)}
        st.caption(say("citizen.explore_outside", own=group_of(feature, value), **ends))
    return float(chosen)


def _compare(subject: Subject, given: list[Feature], group: dict[str, float], own: Risk, same: bool) -> None:
    risk = own if same else ask(subject, group)
    st.markdown(people_with([(feature, group[feature.name]) for feature in given], risk))
    if same:
        st.write(say("compare.same"))
    elif risk.overlaps(own):
        st.write(say("compare.overlap"))
    st.caption(say("compare.caption"))
