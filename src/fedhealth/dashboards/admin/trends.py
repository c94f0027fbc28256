"""Over time: risk by city and day, small trends side by side, and the air by category."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from fedhealth.dashboards import svg
from fedhealth.dashboards.admin.charts import draw, styled
from fedhealth.dashboards.admin.downloads import twin_with_file
from fedhealth.dashboards.admin.view import View
from fedhealth.dashboards.api import ApiProblem
from fedhealth.dashboards.colours import palette
from fedhealth.dashboards.texts import say
from fedhealth.study.advice.air import CATEGORIES

Points = Sequence[Mapping[str, Any]]
Series = dict[str, list[float | None]]
Bands = dict[str, list[svg.Band]]
WHO_PM25 = 15.0  # µg/m³ in 24 hours, on no more than three or four days a year (WHO 2021)
DOWN_TO_UP = "Cividis"  # even steps of lightness, also without colour vision
DAY = 86_400_000  # milliseconds
MONTH = 31  # days; beyond, fields are too narrow for gaps between them
TICKS = 8


def by_city(
    points: Points, cities: Sequence[str], name: str = "mean_risk", scale: float = 100
) -> tuple[list[str], Series]:
    """All days from the first to the last, and each city's mean risk (of 100) or ``name``; None is a gap."""
    days = sorted({point["date"] for point in points})
    if days:
        first, last = (date.fromisoformat(day).toordinal() for day in (days[0], days[-1]))
        days = [date.fromordinal(day).isoformat() for day in range(first, last + 1)]
    risks = {(point["city"], point["date"]): point[name] for point in points}
    found = {city: [_scaled(risks.get((city, day)), scale) for day in days] for city in cities}
    return days, found


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else scale * value


def bands_by_city(points: Points, cities: Sequence[str], days: list[str]) -> Bands:
    """Each city's 95 % interval of the mean risk, of 100, on ``days``."""
    known = {(point["city"], point["date"]): point["mean_risk_interval"] for point in points}
    return {city: [_band(known.get((city, day))) for day in days] for city in cities}


def _band(interval: Sequence[float] | None) -> svg.Band:
    return None if interval is None else (100 * interval[0], 100 * interval[1])


def show_heat(view: View) -> None:
    """Mean risk by city and day; what is not known is hatched."""
    days, found = by_city(view.points(), view.names)
    if not days:
        st.caption(say("page.nothing_yet"))
        return
    draw(heat_map(days, found), say("admin.heat_alt"), "heat")
    st.caption(say("admin.heat_gap") + (" " + say("admin.days_24") if view.days == 1 else ""))
    rows = [_row(day, {city: found[city][i] for city in sorted(found)}) for i, day in enumerate(days)]
    twin_with_file(view, say("admin.heat_title"), rows, say("admin.heat_alt"))


def heat_map(days: list[str], found: Series) -> go.Figure:
    """A field for each city and day, coloured by its value, or hatched where there is none."""
    cities = sorted(found, reverse=True)
    figure = go.Figure(
        go.Heatmap(
            z=[found[city] for city in cities],
            x0=days[0],
            dx=DAY,
            y=cities,
            colorscale=DOWN_TO_UP,
            xgap=1 if len(days) <= MONTH else 0,
            ygap=1,
            colorbar={"title": {"text": say("admin.heat_bar")}, "thickness": 14},
            hovertemplate=say("admin.heat_hover"),
        )
    )
    _hatch(figure, [(city, day) for city in cities for day, one in zip(days, found[city], strict=True) if one is None])
    styled(figure, "", "", 150 + 34 * len(cities)).update_layout(barmode="overlay", showlegend=True)
    ticks = days[:: -(-len(days) // TICKS)]
    figure.update_xaxes(type="date", range=[_from_noon(days[0]), f"{days[-1]}T12:00"], showgrid=False)
    figure.update_xaxes(tickvals=ticks, ticktext=[_short(day) for day in ticks])
    figure.update_yaxes(showgrid=False)
    return figure


def _hatch(figure: go.Figure, missing: Sequence[tuple[str, str]]) -> None:
    colours = palette()
    figure.add_bar(
        y=[city for city, _ in missing],
        x=[DAY] * len(missing),
        base=[_from_noon(day) for _, day in missing],
        customdata=[_short(day) for _, day in missing],
        orientation="h",
        width=1,
        name=say("admin.heat_missing"),
        marker={
            "color": colours.paper,
            "line": {"width": 0},
            "pattern": {"shape": "/", "size": 6, "solidity": 0.25, "fgcolor": colours.ink, "bgcolor": colours.paper},
        },
        hovertemplate=say("admin.heat_missing_hover"),
    )


def _from_noon(day: str) -> str:
    """Noon of the day before: where a field centred on a day begins."""
    return f"{date.fromordinal(date.fromisoformat(day).toordinal() - 1).isoformat()}T12:00"


def _short(day: str) -> str:
    return f"{date.fromisoformat(day):%d %b}"


def _row(day: str, values: Mapping[str, float | None]) -> dict[str, Any]:
    rounded = {city: None if value is None else round(value, 1) for city, value in values.items()}
    return {say("admin.col_date"): day, **rounded}


def show_small(view: View) -> None:
    """A small trend for each city with its 95 % range, all on one axis, with the threshold."""
    points = view.points()
    days, found = by_city(points, view.names)
    if not days:
        st.caption(say("page.nothing_yet"))
        return
    limit, bands = _opens(view), bands_by_city(points, view.names, days)
    top = 10.0 * -(-max([limit or 10.0, *(band[1] for city in bands.values() for band in city if band)]) // 10)
    _grid(found, days, top, limit, "admin.trends_value", "admin.trends_alt", bands)
    if limit is None:
        st.caption(say("admin.trends_note_plain", top=f"{top:.0f}"))
    else:
        st.caption(say("admin.trends_note", top=f"{top:.0f}", limit=f"{limit:.1f}"))
    rows = [_row(day, _with_band(found, bands, i)) for i, day in enumerate(days)]
    twin_with_file(view, say("admin.trends_title"), rows, say("admin.trends_title"))


def _with_band(found: Series, bands: Bands, i: int) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    for city, values in found.items():
        low, high = bands[city][i] or (None, None)
        row |= {city: values[i], say("admin.trends_low", city=city): low, say("admin.trends_high", city=city): high}
    return row


def _opens(view: View) -> float | None:
    """The mean risk of 100 at which a city's alert opens; None where the API does not tell."""
    with suppress(ApiProblem):  # which the panel of the rules says
        return next(
            (100 * one["opens"] for one in view.ask("/alerts/rules")["rules"] if one["rule"] == "mean-risk"), None
        )
    return None


def show_air(view: View) -> None:
    """Fine dust in each city, all on one axis, with the line of the WHO's guideline."""
    days, found = by_city(view.points(), view.names, "pm25", 1)
    known = [one for values in found.values() for one in values if one is not None]
    if not known:
        st.caption(say("page.nothing_yet"))
        return
    top = 50.0 * -(-max(known) // 50)
    _grid(found, days, top, WHO_PM25, "admin.air_value", "admin.air_alt")
    st.caption(say("admin.air_note", top=f"{top:.0f}", limit=f"{WHO_PM25:.0f}"))
    rows = [_row(day, {city: found[city][i] for city in found}) for i, day in enumerate(days)]
    twin_with_file(view, say("admin.air_title"), rows, say("admin.air_title"))


def _grid(
    found: Series, days: list[str], top: float, limit: float | None, value: str, name: str, bands: Bands | None = None
) -> None:
    ends = _short(days[0]), _short(days[-1])
    with st.grid(min_column_width=290, gap="medium"):
        for city, values in found.items():
            last = next((f"{one:.1f}" for one in reversed(values) if one is not None), say("admin.unknown"))
            with st.container():
                st.markdown(say(value, city=city, value=last))
                band = (bands or {}).get(city, [])
                words = say(name, city=city, first=ends[0], last=ends[1], value=last) + _last_band(band)
                st.image(svg.small_trend(values, top, limit, ends, band), alt=words, width="stretch")


def _last_band(band: Sequence[svg.Band]) -> str:
    known = [one for one in band if one]
    return say("admin.trends_band", low=f"{known[-1][0]:.1f}", high=f"{known[-1][1]:.1f}") if known else ""


def show_categories(view: View) -> None:
    """How many of the days each city had in each category of the air."""
    found = view.ask("/aqi", days=view.days)["categories"]
    rows = [one for one in found if view.city in (None, one["city"])]
    cities = sorted({one["city"] for one in rows}, reverse=True)
    if not cities:
        st.caption(say("page.nothing_yet"))
        return
    days = {(one["city"], one["category"]): one["days"] for one in rows}
    figure = go.Figure()
    for one in CATEGORIES:
        figure.add_bar(
            y=cities,
            x=[days.get((city, one.name), 0) for city in cities],
            name=f"{one.symbol} {one.name}",
            orientation="h",
            marker={"color": one.colour, "line": {"color": palette().paper, "width": 0.6}},
        )
    styled(figure, say("admin.aqi_days"), "", 150 + 30 * len(cities)).update_layout(barmode="stack")
    draw(figure, say("admin.aqi_alt"), "aqi")
    twin_with_file(view, say("admin.aqi_title"), [_days(city, days) for city in reversed(cities)], say("admin.aqi_alt"))


def _days(city: str, days: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    return {say("admin.col_city"): city, **{one.name: days.get((city, one.name), 0) for one in CATEGORIES}}
