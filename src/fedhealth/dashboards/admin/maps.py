"""A map out of plain lines: outlines of Natural Earth in degrees, and a mark and a label for each city."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import plotly.graph_objects as go

from fedhealth.dashboards.admin.view import of_100, whole
from fedhealth.dashboards.colours import palette
from fedhealth.dashboards.texts import say
from fedhealth.study.advice.air import category_named

WEST, EAST, SOUTH, NORTH = 60.2, 78.2, 23.2, 37.4
STRETCH = 1.155  # a degree of latitude against one of longitude at 30 degrees north
MARKS = {"good": "circle", "moderate": "diamond", "sensitive": "triangle-up", "unhealthy": "square"}
MARKS |= {"very_unhealthy": "x", "hazardous": "star"}
# Where a label stands beside its mark; Islamabad and Rawalpindi lie 14 km apart.
LABELS = {
    "Islamabad": (10, -14, "left"),
    "Rawalpindi": (-10, 15, "right"),
    "Peshawar": (-10, -14, "right"),
    "Lahore": (12, 0, "left"),
    "Faisalabad": (-12, 4, "right"),
    "Multan": (-12, 0, "right"),
    "Hyderabad": (12, 0, "left"),
    "Karachi": (-12, 10, "right"),
    "Quetta": (-12, -8, "right"),
}
BESIDE = (12, 0, "left")


@cache
def outlines() -> dict[str, Any]:
    """The country's and its neighbours' rings of (degrees east, degrees north)."""
    text = (resources.files("fedhealth.dashboards.admin") / "outline.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def figure(cities: Sequence[Mapping[str, Any]], all_of_them: bool) -> go.Figure:
    """The map with a mark and a label for each city; a single city is drawn larger."""
    drawn, colours = go.Figure(), palette()
    for kind, fill in (("neighbours", colours.beside), ("country", colours.land)):
        for ring in outlines()[kind]:
            drawn.add_scatter(
                x=[x for x, _ in ring],
                y=[y for _, y in ring],
                fill="toself",
                fillcolor=fill,
                mode="lines",
                line={"color": colours.grey, "width": 1},
                hoverinfo="skip",
                showlegend=False,
            )
    _add_cities(drawn, cities, 15 if all_of_them else 22)
    drawn.update_xaxes(visible=False, range=[WEST, EAST], fixedrange=True)
    drawn.update_yaxes(visible=False, range=[SOUTH, NORTH], scaleanchor="x", scaleratio=STRETCH, fixedrange=True)
    drawn.update_layout(
        height=440, margin={"l": 0, "r": 0, "t": 0, "b": 0}, plot_bgcolor=colours.paper, showlegend=False
    )
    return drawn


def _add_cities(drawn: go.Figure, cities: Sequence[Mapping[str, Any]], size: int) -> None:
    ink = palette().ink
    found = [category_named(one["aqi_category"] or "") for one in cities]
    drawn.add_scatter(
        x=[one["longitude"] for one in cities],
        y=[one["latitude"] for one in cities],
        mode="markers",
        marker={
            "size": size,
            "color": [one.colour if one else palette().paper for one in found],
            "symbol": [MARKS[one.key] if one else "circle-open" for one in found],
            "line": {"color": ink, "width": 1.2},
        },
        customdata=[one["city"] for one in cities],
        text=[_hover(one) for one in cities],
        hovertemplate="%{text}<extra></extra>",
    )
    for one in cities:
        right, down, anchor = LABELS.get(one["city"], BESIDE)
        drawn.add_annotation(
            x=one["longitude"],
            y=one["latitude"],
            text=f"<b>{one['city']}</b> {whole(one['aqi'])}",
            showarrow=False,
            xshift=right,
            yshift=-down,
            xanchor=anchor,
            font={"size": 12, "color": ink},
            bgcolor=palette().paper,
            opacity=0.85,
            borderpad=1,
        )


def _hover(one: Mapping[str, Any]) -> str:
    category = one["aqi_category"] or say("admin.unknown")
    risk = of_100(one["mean_risk"])
    return say("admin.map_hover", city=one["city"], risk=risk, aqi=whole(one["aqi"]), category=category)
