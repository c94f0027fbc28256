"""Readings from a device's export: read in this page's own process, kept only with consent, sent nowhere."""

import datetime as dt
import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import streamlit as st

from fedhealth.dashboards.citizen import form, origin, trend
from fedhealth.dashboards.features import Subject, built_in
from fedhealth.dashboards.parts import panel
from fedhealth.dashboards.texts import listed, plain, say
from fedhealth.study import Feature
from fedhealth.study.advice.features import name_of

log = logging.getLogger(__name__)
LARGEST = 200  # MB
KINDS = ["zip", "xml", "json", "ndjson", "csv"]
RECENT, USUAL, SHOWN = 30, 7, 30  # days: how old a reading may be, how many make the usual one, how many are shown
Days = list[dict[str, Any]]


def show(subject: Subject) -> None:
    """Offer to read an export into the form; comes before the form is drawn."""
    number = st.session_state.setdefault("export_number", 0)
    with st.expander(say("export.title"), icon=":material/upload_file:", key=f"export_box_{number}"):
        st.write(say("export.hint"))
        keep = st.checkbox(say("export.keep"), key="export_keep")
        file = st.file_uploader(say("export.file"), KINDS, key=f"export_{number}", max_upload_size=LARGEST)
        if file is not None:
            with st.spinner(say("export.reading")):
                _take(subject, file.name, file.getbuffer(), keep)
            # Widgets of another name: Streamlit lets go of the file, and the box is closed again.
            st.session_state["export_number"] = number + 1
            st.rerun()
        if not keep:
            st.session_state.pop("export_days", None)
    kind, words = st.session_state.get("export_said", ("", ""))
    if words:
        (st.success if kind == "read" else st.error)(words)


def _take(subject: Subject, name: str, content: memoryview, keep: bool) -> None:
    """Fill the form from an export, and say what came of it."""
    from fedhealth.data.imports.person import DataError

    st.session_state.pop("export_days", None)
    try:
        days = _read(subject, name, content)
    except DataError as problem:
        st.session_state["export_said"] = ("refused", say("export.refused", problem=plain(problem)))
        return
    except Exception:
        log.exception("an export could not be read")
        st.session_state["export_said"] = ("refused", say("export.broken"))
        return
    found = usual(days, subject.features)
    for feature in subject.features:
        if feature.name in found:
            last = max(day["date"] for day in days if feature.name in day)
            form.put(feature, found[feature.name], origin.exported(last))
    if keep:
        st.session_state["export_days"] = days[-SHOWN:]
    names = listed([name_of(f) for f in subject.features if f.name in found])
    st.session_state["export_said"] = ("read", say("export.read", names=names, days=USUAL, last=days[-1]["date"]))


def _read(subject: Subject, name: str, content: memoryview) -> Days:
    """The days in an export. It lies in a file of ours for as long as this takes."""
    from fedhealth.data.imports.person import DataError, own_days

    features = tuple(replace(f, column=f.name, codes={}) for f in subject.features)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(name).name
        path.write_bytes(content)
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        try:
            return own_days(replace(built_in(), features=features), path, now, origin.zone())
        except DataError as problem:
            raise DataError(str(problem).replace(str(path), path.name)) from None


def usual(days: Days, features: tuple[Feature, ...]) -> dict[str, float]:
    """What is usual for a person: of wearables the median of the last days that have a reading, else the last one.

    Readings older than a month before the last day are left out.
    """
    first = str(dt.date.fromisoformat(days[-1]["date"]) - dt.timedelta(days=RECENT))
    found = {}
    for feature in features:
        known = [day[feature.name] for day in days if feature.name in day and day["date"] >= first]
        if known:
            found[feature.name] = round(median(known[-USUAL:]), 1) if _varies(feature) else known[-1]
    return found


def _varies(feature: Feature) -> bool:
    """Whether a reading is one of many days, and no fact such as an age."""
    return feature.kind == "number" and feature.modality == "wearable"


def show_kept(subject: Subject) -> None:
    """The days that the reader let the page keep, if any, and the way to have them forgotten."""
    days: Days = st.session_state.get("export_days", [])
    if not days:
        return
    with panel(say("export.trends")):
        st.caption(say("export.kept", first=days[0]["date"], last=days[-1]["date"]))
        known = [f for f in subject.features if _varies(f) and any(f.name in day for day in days)]
        trend.show(known, days)
        st.button(say("export.forget"), on_click=_forget, icon=":material/delete:")


def _forget() -> None:
    for name in ("export_days", "export_said"):
        st.session_state.pop(name, None)
    st.session_state["export_keep"] = False
