"""How every chart looks and is named."""

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from fedhealth.dashboards.colours import palette

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
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
