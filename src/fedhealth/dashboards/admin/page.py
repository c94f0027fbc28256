"""The admin pages: signing in, choosing a page, a city and a time range, and what each page shows."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fedhealth.dashboards.admin import alerts, drift, evaluation, models, nodes, overview, privacy, runs, trends
from fedhealth.dashboards.admin.access import say_reader, sign_in
from fedhealth.dashboards.admin.view import RANGES, View, say_gone
from fedhealth.dashboards.features import built_in
from fedhealth.dashboards.parts import come_back, frame, panel
from fedhealth.dashboards.texts import say

Panels = Mapping[str, Callable[[View], None]]


@dataclass(frozen=True)
class Page:
    """Panels by the key of their title; whether the time range matters."""

    panels: Panels
    of_range: bool = False


PAGES: Mapping[str, Page] = {
    "overview": Page({}, of_range=True),
    "training": Page({"admin.run_title": runs.show, "admin.nodes_title": nodes.show}),
    "privacy": Page(
        {
            "admin.budget_title": privacy.show_budget,
            "admin.limit_title": privacy.show_limit,
            "admin.audit_title": privacy.show_audit,
        }
    ),
    "models": Page(
        {
            "admin.versions_title": models.show_versions,
            "admin.version_title": models.show_one,
            "admin.evaluation_title": evaluation.show,
            "admin.history_title": models.show_history,
        }
    ),
    "drift": Page(
        {
            "admin.drift_title": drift.show,
            "admin.missing_title": drift.show_missing,
            "admin.score_title": drift.show_score,
            "admin.outcomes_title": drift.show_outcomes,
            "admin.at_node_title": drift.show_nodes,
        },
        of_range=True,
    ),
}


OVERVIEW: Panels = {
    "admin.alerts_title": alerts.show,
    "admin.cities_title": overview.show_table,
    "admin.rules_title": alerts.show_rules,
    "admin.trends_title": trends.show_small,
    "admin.air_title": trends.show_air,
}
# These need a script of 5 MB: a browser that has just opened the page draws the others first.
MAPS: Panels = {
    "admin.map_title": overview.show_map,
    "admin.heat_title": trends.show_heat,
    "admin.aqi_title": trends.show_categories,
}
BELOW = [f"admin.{name}_title" for name in ("cities", "rules", "heat", "trends", "air", "aqi")]  # as they stand
USUAL = 30  # days
FIRST_LOOK = 0.7  # seconds for a browser to draw what it has


def main() -> None:
    """Draw the page; Streamlit calls this at every rerun."""
    frame(say("admin.browser"))
    pages = {
        name: st.Page(_nothing, title=say(f"admin.page_{name}"), url_path=name, default=name == "overview")
        for name in PAGES
    }
    opened = st.navigation(list(pages.values()), position="top")
    name = next(name for name, page in pages.items() if page == opened)
    st.set_page_config(page_title=say("admin.browser_page", page=say(f"admin.page_{name}")))
    st.title(say(f"admin.heading_{name}"), anchor=False)
    reader = sign_in()
    if reader is None:
        return
    say_reader(reader)
    view = View(reader, pages, USUAL)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        city = _city() if name == "overview" else None
        if PAGES[name].of_range:
            view = View(reader, pages, _days(), city)
        live = name == "overview" and st.toggle(say("admin.live"), key="live")
    if name == "overview":
        _overview(view, live)
    for title, show in PAGES[name].panels.items():
        with panel(say(title)):
            show(view)
    come_back()


def _nothing() -> None:
    """What Streamlit would run for a page; each is drawn by :func:`main`."""


def _city() -> str | None:
    """The city that is chosen, which the address of the page names; None: all."""
    cities = ("", *built_in().cities)
    say_gone("city", cities, say("admin.city_gone"))
    chosen = st.selectbox(say("admin.city"), cities, format_func=_city_name, key="city", bind="query-params", width=240)
    return chosen or None


def _city_name(city: str) -> str:
    return city or say("admin.all_cities")


def _days() -> int:
    """The time range that is chosen, which the address of the page names."""
    chosen = st.segmented_control(
        say("admin.range"),
        RANGES,
        default=USUAL,
        required=True,
        format_func=lambda n: say(f"admin.range_{n}"),
        key="days",
        bind="query-params",
    )
    return int(chosen or USUAL)  # an address may name none


def _overview(view: View, live: bool) -> None:
    st.session_state["seen"] = None
    st.fragment(_look, run_every="10s" if live else None)(view)
    overview.say_synthetic(view)
    overview.figures(view)
    left, right = st.columns(2, gap="large")
    places = {"admin.map_title": left, "admin.alerts_title": right}
    places |= {title: st.container() for title in BELOW}
    _fill(OVERVIEW, places, view)
    if "looked" not in st.session_state:
        time.sleep(FIRST_LOOK)
        st.session_state["looked"] = True
    _fill(MAPS, places, view)


def _fill(panels: Panels, places: Mapping[str, DeltaGenerator], view: View) -> None:
    for title, show in panels.items():
        with places[title], panel(say(title)):
            show(view)


def _look(view: View) -> None:
    """How fresh the data are; draws the page anew once there is something new, so that a look costs next to nothing."""
    before = st.session_state["seen"]
    now = st.session_state["seen"] = overview.fresh(view if before is None else replace(view))  # which asks again
    if before is not None and now != before:
        st.rerun(scope="app")
