"""Where each reading in the form came from, and of when it is."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from fedhealth.dashboards.parts import parsed, when
from fedhealth.dashboards.texts import plain, say
from fedhealth.study import Feature

FRESH = dt.timedelta(days=3)


@dataclass(frozen=True)
class Origin:
    """Source and time of a reading in words, its time (UTC, None: of no time), and whether its source calls it old."""

    words: str
    time: dt.datetime | None = None
    stale: bool = False

    @property
    def is_old(self) -> bool:
        """Whether its source says so, or it is of more than a few days ago."""
        return self.stale or (self.time is not None and dt.datetime.now(dt.UTC) - self.time > FRESH)


def typed() -> Origin:
    """Of what the reader enters just now."""
    now = dt.datetime.now(dt.UTC)
    return Origin(say("origin.typed", when=f"{now.astimezone(ZoneInfo(zone())):%d %b %Y, %H:%M}"), now)


def exported(date: str) -> Origin:
    """Of the reader's own export, on a day (ISO)."""
    day = dt.datetime.fromisoformat(date).replace(tzinfo=dt.UTC)
    return Origin(say("origin.export", when=f"{day:%d %b %Y}"), day)


def of_city(air: dict[str, Any]) -> Origin:
    """Of a city's air as the API reports it."""
    source = str(air.get("source") or say("admin.unknown"))
    words = say("origin.city", city=air["city"], source=plain(source), when=when(air.get("time")))
    return Origin(words, parsed(air.get("time")), bool(air.get("stale")))


def note(feature: Feature, origin: Origin | None) -> None:
    """Remember where a feature's reading came from; None: there is no reading."""
    st.session_state.setdefault("origins", {})[feature.name] = origin


def show(feature: Feature) -> None:
    """Source and time of the reading in the field above, and a badge if it is old."""
    origin = _of(feature)
    if origin:
        st.caption(origin.words)
        if _is_old(feature):
            st.badge(say("origin.old"), icon=":material/history:", color="orange")


def old_ones(features: Iterable[Feature]) -> list[Feature]:
    """The features whose reading is old."""
    return [feature for feature in features if _is_old(feature)]


def zone() -> str:
    """The time zone that the reader's browser tells, UTC where it tells none."""
    told = st.context.timezone or "UTC"
    try:
        ZoneInfo(told)
    except (ValueError, OSError, KeyError):
        return "UTC"
    return told


def _of(feature: Feature) -> Origin | None:
    found: Origin | None = st.session_state.get("origins", {}).get(feature.name)
    return found


def _is_old(feature: Feature) -> bool:
    """Whether there is an old reading of a feature that changes from day to day, unlike an age."""
    origin = _of(feature)
    return origin is not None and origin.is_old and feature.modality != "clinic"
