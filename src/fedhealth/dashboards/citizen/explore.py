"""Other people's readings: what the model says of groups that differ in what a person can change."""

import tomllib
from functools import cache
from importlib import resources

import streamlit as st

from fedhealth.dashboards.citizen.result import ask
from fedhealth.dashboards.features import Subject, group_of, options_of, title_of, unit_of
from fedhealth.dashboards.risk import Risk
from fedhealth.dashboards.texts import listed, say
from fedhealth.study import Feature


@cache
def reach() -> dict[str, dict[str, float]]:
    """Lowest, highest and step of each control, by feature name."""
    text = (resources.files("fedhealth.dashboards") / "explore.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def show(subject: Subject, readings: dict[str, float], own: Risk | None) -> None:
    """Controls for what can be changed and was given, and the group that they describe."""
    possible = [feature for feature in subject.features if feature.changeable and _has_reach(feature)]
    given = [feature for feature in possible if feature.name in readings]
    if own is None or not given:
        st.write(say("citizen.explore_none", names=", ".join(title_of(f).rstrip("?").lower() for f in possible)))
        return
    chosen = {feature.name: _control(feature, readings[feature.name]) for feature in given}
    _compare(subject, given, {**readings, **chosen}, own, chosen == {f.name: readings[f.name] for f in given})


def _has_reach(feature: Feature) -> bool:
    return feature.kind != "number" or feature.name in reach()


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
    return float(
        st.slider(f"{title_of(feature)} ({unit})", kind(low), kind(high), kind(start), kind(step), places, key=key)
    )


def _compare(subject: Subject, given: list[Feature], group: dict[str, float], own: Risk, same: bool) -> None:
    risk = own if same else ask(subject, group)
    what = listed([group_of(feature, group[feature.name]) for feature in given])
    low, high = risk.span
    st.markdown(say("citizen.explore", what=what, about=risk.about, low=low, high=high))
    if same:
        st.write(say("citizen.explore_same"))
    elif risk.overlaps(own):
        st.write(say("citizen.explore_overlap"))
    st.caption(say("citizen.explore_caption"))
