"""The admin page from top to bottom."""

from collections.abc import Sequence

import streamlit as st

from fedhealth.dashboards.admin import alerts, drift, evaluation, overview, runs, trends
from fedhealth.dashboards.admin.access import admin_key
from fedhealth.dashboards.admin.view import RANGES, View
from fedhealth.dashboards.features import built_in
from fedhealth.dashboards.parts import come_back, frame, panel
from fedhealth.dashboards.texts import say


def main() -> None:
    """Draw the page; Streamlit calls this at every rerun."""
    frame(say("admin.browser"))
    st.title(say("admin.title"), anchor=False)
    key = admin_key()
    if key is None:
        return
    view, live = _controls(key)
    come_back("/health")
    st.fragment(_now, run_every="10s" if live else None)(view)
    with panel(say("admin.run_title")):
        runs.show(view)
    with panel(say("admin.evaluation_title")):
        evaluation.show(view)
    with panel(say("admin.drift_title")):
        drift.show(view)


def _controls(key: str) -> tuple[View, bool]:
    """City and time range, both in the address of the page, and the switch for live figures."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        city = st.selectbox(
            say("admin.city"),
            ("", *built_in().cities),
            format_func=_city_name,
            key="city",
            bind="query-params",
            width=240,
        )
        days = st.segmented_control(
            say("admin.range"),
            RANGES,
            default=30,
            required=True,
            format_func=lambda n: say(f"admin.range_{n}"),
            key="days",
            bind="query-params",
        )
        live = st.toggle(say("admin.live"), key="live")
    return View(key, int(days), city or None), live


def _city_name(city: str) -> str:
    return city or say("admin.all_cities")


def _now(view: View) -> None:
    """Everything that changes while one watches."""
    overview.head(view)
    left, right = st.columns(2, gap="large")
    with left:
        with panel(say("admin.map_title")):
            overview.show_map(view)
        with panel(say("admin.cities_title")):
            overview.show_table(view)
    with right, panel(say("admin.alerts_title")):
        alerts.show(view)
    _over_time(view)


def _over_time(view: View) -> None:
    panels: Sequence[tuple[str, trends.Panel]] = (
        ("admin.heat_title", trends.show_heat),
        ("admin.trends_title", trends.show_small),
        ("admin.aqi_title", trends.show_categories),
    )
    for title, show in panels:
        with panel(say(title)):
            show(view)
