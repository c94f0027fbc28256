"""The colours of charts and pictures, for a light and for a dark page."""

from dataclasses import dataclass
from typing import Literal

import streamlit as st


@dataclass(frozen=True)
class Palette:
    """What a chart is drawn with; ``series`` are told apart without colour vision, dashes and marks help."""

    ink: str
    paper: str
    primary: str
    grey: str
    grid: str
    limit: str
    land: str
    beside: str
    series: tuple[str, ...]


LIGHT = Palette(
    ink="#0F1722",
    paper="#FFFFFF",
    primary="#0B5CAD",
    grey="#5A6678",
    grid="#D5DAE2",
    limit="#B3261E",
    land="#DCE4EE",
    beside="#F3F5F8",
    series=("#0B5CAD", "#B35900", "#4B7F2C", "#7A3E9D", "#5A6678"),
)
DARK = Palette(
    ink="#F1F4F9",
    paper="#0F1722",
    primary="#7DB7F0",
    grey="#A9B4C4",
    grid="#334155",
    limit="#FF9C94",
    land="#2B3A4F",
    beside="#182230",
    series=("#7DB7F0", "#F5A65B", "#9BCB7B", "#CFA0EA", "#A9B4C4"),
)


def palette() -> Palette:
    """The colours that go with the reader's page."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def emphasis() -> Literal["primary", "secondary"]:
    """How a page's main button is drawn; Streamlit writes in white, which a dark page's light blue cannot bear."""
    return "secondary" if palette() is DARK else "primary"
