"""How every chart looks and is named."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from fedhealth.dashboards.colours import palette

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
ENDS = ("auroc", "auroc_low", "auroc_high")
MARKS = ("circle", "square", "diamond", "triangle-up", "x")


def draw(figure: go.Figure, name: str, key: str, **choosing: Any) -> None:
    """Show a figure without tools; ``name`` is what a screen reader calls it.

    ``choosing`` says what happens when a mark is chosen, in the words of ``st.plotly_chart``.
    """
    colours = palette()
    figure.update_layout(
        font={"color": colours.ink, "size": 13}, paper_bgcolor=colours.paper, hoverlabel={"align": "left"}
    )
    config = {"displayModeBar": False, "scrollZoom": False, "responsive": True}
    st.plotly_chart(figure, alt=name, key=f"chart_{key}", config=config, **choosing)


def lines(series: dict[str, list[Any]], x: list[Any], x_title: str, y_title: str) -> go.Figure:
    """Lines over one x-axis, told apart by colour, dash and mark; None is a gap."""
    figure = go.Figure()
    for i, (name, values) in enumerate(series.items()):
        colour, dash, mark = (kind[i % len(kind)] for kind in (palette().series, DASHES, MARKS))
        figure.add_scatter(
            x=x,
            y=values,
            name=name,
            mode="lines+markers",
            line={"color": colour, "dash": dash, "width": 2},
            marker={"symbol": mark, "size": 8, "color": colour},
            connectgaps=False,
        )
    return styled(figure, x_title, y_title)


def dots(kinds: Mapping[str, Sequence[Mapping[str, Any] | None]], places: Sequence[str], x_title: str) -> go.Figure:
    """AUROC with its 95 % interval, one line a place from the top, one mark a kind of model; None is left out."""
    figure = go.Figure()
    for i, (name, measures) in enumerate(kinds.items()):
        colour, mark = palette().series[i % len(palette().series)], MARKS[i % len(MARKS)]
        known = [(place, one) for place, one in zip(places, measures, strict=True) if one and one["auroc"] is not None]
        figure.add_scatter(
            x=[one["auroc"] for _, one in known],
            y=[place for place, _ in known],
            name=name,
            mode="markers",
            orientation="h",
            marker={"symbol": mark, "size": 11, "color": colour},
            error_x={
                "array": [_reach(one, "auroc_high") for _, one in known],
                "arrayminus": [-_reach(one, "auroc_low") for _, one in known],
                "color": colour,
                "thickness": 1.5,
            },
        )
    styled(figure, x_title, "", 130 + 48 * len(places)).update_layout(scattermode="group", scattergap=0.5)
    reached = [one[end] for told in kinds.values() for one in told if one for end in ENDS if one.get(end) is not None]
    if reached:  # else horizontal marks would begin at 0
        figure.update_xaxes(range=[min(reached) - 0.01, max(reached) + 0.01])
    return figure.update_yaxes(automargin=True, autorange="reversed", categoryorder="array", categoryarray=[*places])


def _reach(measures: Mapping[str, Any], end: str) -> float:
    told = measures.get(end)
    return 0.0 if told is None else float(told - measures["auroc"])


def styled(figure: go.Figure, x_title: str, y_title: str, height: int = 320) -> go.Figure:
    """Axes, a legend above the plot and room for both on a telephone."""
    colours = palette()
    ink = {"font": {"color": colours.ink}}
    figure.update_xaxes(
        title={"text": x_title, **ink}, gridcolor=colours.grid, tickfont={"color": colours.ink}, fixedrange=True
    )
    figure.update_yaxes(
        title={"text": y_title, **ink}, gridcolor=colours.grid, tickfont={"color": colours.ink}, fixedrange=True
    )
    legend = {"orientation": "h", "traceorder": "normal", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"}
    figure.update_layout(
        height=height, margin={"l": 8, "r": 8, "t": 8, "b": 8}, legend=legend, plot_bgcolor=colours.paper
    )
    return figure
