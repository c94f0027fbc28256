"""What to do about today's air: public guidance, apart from the model."""

from typing import Any

import streamlit as st

from fedhealth.dashboards.citizen.origin import of_city
from fedhealth.dashboards.parts import badge, when
from fedhealth.dashboards.texts import find, say
from fedhealth.study.advice.air import category_of


def show(readings: dict[str, float]) -> None:
    """The category of the air and advice for sensitive people and for everyone; needs no API."""
    index = readings.get("aqi", -1.0)
    if index < 0:
        st.write(say("citizen.do_none"))
        return
    category, report = category_of(index), _report(index)
    badge(category, index)
    place = say("citizen.air_place", city=report["city"]) if report else ""
    st.markdown(f"**{say('citizen.air_is', place=place, name=category.name, index=round(index))}**")
    st.markdown(say("citizen.sensitive", advice=category.sensitive))
    st.markdown(say("citizen.everyone", advice=category.everyone))
    if report:
        _source(report)
    st.caption(say("air.source"))


def _report(index: float) -> dict[str, Any] | None:
    """The city's report, if the index in the form is still the one that it gave."""
    air = st.session_state.get("air")
    return air if isinstance(air, dict) and round(air["aqi"]) == round(index) else None


def _source(report: dict[str, Any]) -> None:
    facts = {name: str(report.get(name) or say("admin.unknown")) for name in ("averaging", "dominant", "source")}
    facts["dominant"] = find(f"pollutant.{facts['dominant']}") or facts["dominant"]
    st.caption(say("citizen.air_line", when=when(report.get("time")), **facts))
    if of_city(report).is_old:
        st.badge(say("citizen.air_old"), icon=":material/history:", color="orange")
