"""The form: one field for each of the study's features, each of which may stay empty and takes any number."""

from typing import Any

import streamlit as st

from fedhealth.dashboards import api
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.citizen import origin
from fedhealth.dashboards.citizen.origin import Origin
from fedhealth.dashboards.colours import emphasis
from fedhealth.dashboards.features import Subject, built_in, step_of
from fedhealth.dashboards.texts import say
from fedhealth.study import Feature
from fedhealth.study.advice.features import options_of, title_of, unit_of
from fedhealth.study.advice.safety import Safety

FROM_AIR = ("aqi", "pm25")  # features that a city's air reading fills in


def show(subject: Subject, safety: Safety | None) -> dict[str, float]:
    """Draw the form and give what was filled in, allowed or not, by feature name; what is empty is not in it.

    What ``safety`` says of a reading stands below its field too: on a telephone the top of the page is out of sight.
    """
    with st.container(border=True):
        st.header(say("form.title"), anchor=False)
        st.caption(say("form.hint"))
        _buttons(subject)
        _fields(subject, safety)
        st.caption(say("form.limits"))
    values = {feature.name: _value(feature) for feature in subject.features}
    return {name: value for name, value in values.items() if value is not None}


def accepted(subject: Subject, entered: dict[str, float]) -> dict[str, float]:
    """What was filled in and lies in its allowed range."""
    return {f.name: entered[f.name] for f in subject.features if f.name in entered and _fits(f, entered[f.name])}


def _fits(feature: Feature, value: float) -> bool:
    return feature.kind != "number" or feature.low <= value <= feature.high


def _fields(subject: Subject, safety: Safety | None) -> None:
    main = [feature for feature in subject.features if feature.example is not None] or list(subject.features)
    rest = [feature for feature in subject.features if feature not in main]
    with st.grid(min_column_width=280, gap="medium"):
        for feature in main:
            if feature.name == FROM_AIR[0]:
                _city(subject)
            _field(feature, safety)
    if rest:
        with st.expander(say("form.more")), st.grid(min_column_width=230, gap="medium"):
            for feature in rest:
                _field(feature, safety)


def _buttons(subject: Subject) -> None:
    with st.container(horizontal=True):
        st.button(say("form.demo"), type=emphasis(), on_click=_fill, args=(subject, True))
        st.button(say("form.clear"), on_click=_fill, args=(subject, False))


def _fill(subject: Subject, example: bool) -> None:
    """Put the study's example person into the fields, or empty them."""
    st.session_state.pop("air", None)
    st.session_state.pop("export_said", None)
    st.session_state["city"] = None
    for feature in subject.features:
        put(feature, feature.example if example else None, Origin(say("origin.example")))


def put(feature: Feature, value: float | None, of: Origin | None = None) -> None:
    """Put a reading and where it came from into its field, before the form is drawn; None empties the field."""
    st.session_state[_key(feature.name)] = _as_widget(feature, value)
    origin.note(feature, None if value is None else of)


def _typed(feature: Feature) -> None:
    origin.note(feature, None if _value(feature) is None else origin.typed())


def _key(name: str) -> str:
    return f"reading_{name}"


def _as_widget(feature: Feature, value: float | None) -> Any:
    if value is None:
        return None
    if feature.kind != "number":
        return options_of(feature)[int(value)]
    return float(value) if step_of(feature) < 1 else round(value)


def _value(feature: Feature) -> float | None:
    raw = st.session_state.get(_key(feature.name))
    if raw is None:
        return None
    return float(raw) if feature.kind == "number" else float(options_of(feature).index(raw))


def _field(feature: Feature, safety: Safety | None) -> None:
    with st.container(gap="xsmall"):
        changed: dict[str, Any] = {"key": _key(feature.name), "on_change": _typed, "args": (feature,)}
        if feature.kind == "number":
            _number(feature, changed)
            _warn(feature, safety)
        elif feature.kind == "flag":
            st.segmented_control(title_of(feature), options_of(feature), **changed)
        else:
            st.selectbox(title_of(feature), options_of(feature), index=None, **changed)
        origin.show(feature)


def _number(feature: Feature, changed: dict[str, Any]) -> None:
    """A field without limits of its own, so that a number outside the range is answered and not cut off."""
    unit, step = unit_of(feature), step_of(feature)
    low, high = f"{feature.low:,g}", f"{feature.high:,.0f}"
    allowed = f"{low} – {high} {unit}".strip()
    value = st.number_input(
        f"{title_of(feature)} ({unit})" if unit else title_of(feature),
        value=None,
        step=step if step < 1 else round(step),
        format="%.1f" if step < 1 else "%d",
        placeholder=say("form.placeholder", low=low, high=high),
        help=say("form.range", allowed=allowed),
        **changed,
    )
    if value is not None and not _fits(feature, value):
        given = f"{value:,.10g} {unit}".strip()
        st.error(say("form.refused", name=title_of(feature), given=given, allowed=allowed), icon=":material/block:")


def _warn(feature: Feature, safety: Safety | None) -> None:
    value = _value(feature)
    if safety is not None and value is not None:
        for rule in safety.raised({feature.name: value}):
            st.error(safety.words(rule, value), icon=":material/emergency:")


def _city(subject: Subject) -> None:
    """Choosing a city fills in its air, where a reading is there."""
    with st.container():
        st.selectbox(
            say("form.city"),
            built_in().cities,
            index=None,
            placeholder=say("form.city_none"),
            key="city",
            on_change=_take_air,
            args=(subject,),
        )
        air = st.session_state.get("air")
        if isinstance(air, str):
            st.caption(air)


def _take_air(subject: Subject) -> None:
    city = st.session_state.get("city")
    st.session_state["air"] = _air(city) if city else None
    air = st.session_state["air"]
    for feature in subject.features:
        if feature.name in FROM_AIR:
            if isinstance(air, dict):
                put(feature, air.get(feature.name), origin.of_city(air))
            else:
                put(feature, None)


def _air(city: str) -> dict[str, Any] | str:
    """The city's air as the API reports it, or why it is not known."""
    try:
        air = api.get("/air", city=city)
    except ApiProblem as problem:
        none = say("form.air_none", city=city)
        return none if problem.kind == "missing" else say("form.air_problem", city=city)
    return air if isinstance(air.get("aqi"), int | float) else say("form.air_none", city=city)
