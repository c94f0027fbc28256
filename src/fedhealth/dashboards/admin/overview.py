"""Now: the figures on top, the map and the table of the cities."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from statistics import fmean, median
from typing import Any

import streamlit as st

from fedhealth.dashboards.admin import maps
from fedhealth.dashboards.admin.alerts import OPEN
from fedhealth.dashboards.admin.charts import draw
from fedhealth.dashboards.admin.downloads import offer
from fedhealth.dashboards.admin.view import SHORTEST, WEEK, View, of_100, to_3, whole
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.parts import card, legend, note, parsed, table, when
from fedhealth.dashboards.texts import listed, say
from fedhealth.study.advice.air import CATEGORIES, category_named

Rows = Sequence[Mapping[str, Any]]


def fresh(view: View) -> object:
    """Say how fresh the data are; what is given changes when there is something new to show."""
    try:
        kept, alerts = view.answer("/cities"), view.ask("/alerts")["alerts"]
    except ApiProblem as problem:
        note(problem)
        st.warning(str(problem), icon=":material/cloud_off:")
        return str(problem)
    cities, came = kept.data, f"{kept.came:%H:%M:%S}"
    words = {"when": when(cities["as_of"]), "reporting": cities["reporting"], "cities": len(cities["cities"])}
    st.caption(say("admin.up_to", refreshed=came, **words))
    return cities["as_of"], [(one["id"], one["state"]) for one in alerts]


def say_synthetic(view: View) -> None:
    """Whether all or some of what is shown was made by a computer; nothing where all was measured."""
    found: set[str | None] = set()
    for shown in (view.cities, view.points):
        with suppress(ApiProblem):
            found |= {one["synthetic"] for one in shown()}
    found.discard(None)
    if found & {"all", "some"}:
        st.caption(say("page.synthetic" if found == {"all"} else "admin.synthetic_part"))


def figures(view: View) -> None:
    """The figures on top; one that cannot be asked for is left out."""
    with st.grid(min_column_width=190, gap="small"):
        for figure in (_alerts, _risk, _aqi, _readings, _auroc):
            try:
                figure(view)
            except ApiProblem as problem:
                note(problem)


def _alerts(view: View) -> None:
    found = [one for one in view.ask("/alerts")["alerts"] if one["city"] and view.city in (None, one["city"])]
    is_open = {one["city"] for one in found if one["state"] in OPEN}
    seen = {one["city"] for one in found if one["state"] == "acknowledged"}
    value = say("admin.kpi_alerts_value", n=len(is_open), cities=len(view.cities()))
    change = say("admin.kpi_change", change=f"{len(is_open | seen) - len(_open_before(view, found)):+d}")
    card(say("admin.kpi_alerts"), value, f"{say('admin.kpi_alerts_note', n=len(seen))} · {change}")


def _open_before(view: View, alerts: Rows) -> set[str]:
    """The cities with an alert that had fired a week before the newest reading and had not ended."""
    newest = parsed(view.ask("/cities")["as_of"]) or datetime.now(UTC)
    then = newest - timedelta(days=WEEK)
    fired = [one for one in alerts if one["state"] != "pending" and (parsed(one["since"]) or newest) <= then]
    return {one["city"] for one in fired if (parsed(one["ended"]) or newest) > then}


def _risk(view: View) -> None:
    known = [one["mean_risk"] for one in view.cities() if one["mean_risk"] is not None]
    value = say("admin.kpi_risk_value", n=of_100(fmean(known) if known else None))
    daily = _daily(view.points(SHORTEST), "mean_risk", fmean)
    _trend_card(say("admin.kpi_risk"), value, [None if one is None else 100 * one for one in daily], view.days, 1)


def _aqi(view: View) -> None:
    known = [one["aqi"] for one in view.cities() if one["aqi"] is not None]
    value = whole(median(known) if known else None)
    _trend_card(say("admin.kpi_aqi"), value, _daily(view.points(SHORTEST), "aqi", median), view.days, 0)


def _trend_card(title: str, value: str, daily: list[float | None], days: int, places: int) -> None:
    now, before = (daily[-1], daily[-1 - WEEK]) if len(daily) > WEEK else (None, None)
    known = now is not None and before is not None
    note = say("admin.kpi_change", change=f"{now - before:+.{places}f}") if known else ""  # type: ignore[operator]
    shown = daily[-days:]
    last = next((f"{one:.{places}f}" for one in reversed(shown) if one is not None), say("admin.unknown"))
    card(title, value, note, shown if len(shown) > 1 else (), say("admin.trend_alt", last=last))


def _readings(view: View) -> None:
    told = [one for one in view.cities() if one["readings"] is not None]
    held = [one["city"] for one in view.cities() if one["readings"] is None]
    readings, people = (sum(one[name] or 0 for one in told) if told else None for name in ("readings", "people"))
    notes = [say("admin.kpi_readings_note", people=whole(people))] if told else []
    notes += [say("admin.kpi_readings_held", cities=listed(held))] if held else []
    daily = _daily(view.points(SHORTEST), "readings", sum)
    yesterday, before = (daily[-2], daily[-2 - WEEK]) if len(daily) > WEEK + 1 else (None, None)
    if yesterday is not None and before is not None:
        notes.append(say("admin.kpi_readings_change", change=f"{yesterday - before:+,.0f}"))
    card(say("admin.kpi_readings"), whole(readings), " · ".join(notes))


def _auroc(view: View) -> None:
    told = view.ask("/evaluation")
    metrics = told["metrics"] or {}
    bound, people = to_3(metrics.get("auroc_bound")), whole(metrics.get("n"))
    note = say("admin.kpi_auroc_synthetic" if told["synthetic"] else "admin.kpi_auroc_note", bound=bound, n=people)
    card(say("admin.kpi_auroc"), to_3(metrics.get("auroc")), note)


def _daily(points: Rows, name: str, middle: Callable[[list[float]], float]) -> list[float | None]:
    """One value a day over the cities, oldest first; None where no city has one."""
    by_day: dict[str, list[float]] = defaultdict(list)
    for point in points:
        by_day[point["date"]] += [] if point[name] is None else [point[name]]
    return [middle(by_day[day]) if by_day[day] else None for day in sorted(by_day)]


def show_map(view: View) -> None:
    """The cities on a map that needs no network; a click on one shows it alone."""
    all_of_them = view.city is None
    choosing = {"on_select": _choose_on_map, "selection_mode": "points"} if all_of_them else {}
    draw(maps.figure(view.cities(), all_of_them), say("admin.map_alt"), f"map_{view.city or ''}", **choosing)
    legend(CATEGORIES)
    st.caption((say("admin.choose") + " " if all_of_them else "") + say("admin.map_source"))


def _choose_on_map() -> None:
    points = st.session_state["chart_map_"].selection.points
    if points:
        st.session_state["city"] = points[0]["customdata"]


def show_table(view: View) -> None:
    """The same cities as a table, highest risk first; choosing a row shows its city alone."""
    cities = sorted(view.cities(), key=lambda one: -(one["mean_risk"] or 0))
    top = max([0.3, *(one["mean_risk"] or 0 for one in cities)])
    bar = st.column_config.ProgressColumn(format="%.1f", min_value=0, max_value=100 * top, width="medium")
    rows = [_row(one) for one in cities]

    def choose() -> None:
        for row in st.session_state["cities"].selection.rows:
            st.session_state["city"] = cities[row]["city"]

    choosing = {"on_select": choose, "selection_mode": "single-row", "key": "cities"} if view.city is None else {}
    table(rows, say("admin.cities_alt"), {say("admin.col_risk"): bar}, **choosing)
    offer(view, say("admin.cities_title"), rows, of_range=False)
    unstable = sorted(one["city"] for one in cities if one["unstable"])
    if unstable:
        st.caption(say("admin.unstable_note", cities=", ".join(unstable)))
    if any(one["readings"] != 0 and one["high_risk_share"] is None for one in cities):
        st.caption(say("admin.few"))


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    category = category_named(one["aqi_category"] or "")
    return {
        say("admin.col_city"): one["city"],
        say("admin.col_risk"): None if one["mean_risk"] is None else round(100 * one["mean_risk"], 1),
        say("admin.col_high"): _share(one),
        say("admin.col_events"): one["high_risk_readings"],
        say("admin.col_readings"): one["readings"],
        say("admin.col_people"): one["people"],
        say("admin.col_aqi"): one["aqi"],
        say("admin.col_category"): f"{category.symbol} {category.name}" if category else None,
        say("admin.col_pm25"): None if one["pm25"] is None else round(one["pm25"]),
        say("admin.col_state"): say(f"admin.state_{_state(one)}"),
    }


def _share(one: Mapping[str, Any]) -> str | None:
    if one["high_risk_share"] is None:
        return None
    return say("admin.share_unstable" if one["unstable"] else "admin.share", n=f"{100 * one['high_risk_share']:.0f}")


def _state(one: Mapping[str, Any]) -> str:
    if one.get("suppressed"):
        return "few"
    if one["time"] is None:
        return "none"
    return "old" if one["stale"] else "ok"
