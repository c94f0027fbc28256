"""The last 7 or 30 days of each reading that a person let the page keep: gaps stay gaps."""

import datetime as dt
from statistics import median
from typing import Any

import streamlit as st

from fedhealth.dashboards.features import step_of
from fedhealth.dashboards.parts import card, twin
from fedhealth.dashboards.texts import say
from fedhealth.study import Feature
from fedhealth.study.advice.features import title_of, unit_of

Days = list[dict[str, Any]]
SPANS = (7, 30)  # days


def show(features: list[Feature], days: Days) -> None:
    """A card for each feature with its newest value beside the usual one, and a table of all days."""
    span = st.segmented_control(
        say("export.span"),
        SPANS,
        default=SPANS[1],
        required=True,
        format_func=lambda n: say("export.span_days", n=n),
        key="trend_span",
    )
    shown = calendar(days, int(span))
    with st.grid(min_column_width=230, gap="small"):
        for feature in features:
            _card(feature, [day.get(feature.name) for day in shown.values()])
    st.caption(say("export.gaps"))
    rows = [
        {say("admin.col_date"): date, **{title_of(f): day.get(f.name) for f in features}} for date, day in shown.items()
    ]
    twin(say("export.trends"), rows, say("export.trends"))


def calendar(days: Days, span: int) -> dict[str, dict[str, Any]]:
    """Each of the last ``span`` days up to the newest, oldest first; a day without readings is empty."""
    by_date = {str(day["date"]): day for day in days}
    last = dt.date.fromisoformat(max(by_date))
    dates = [str(last - dt.timedelta(days=back)) for back in range(span - 1, -1, -1)]
    return {date: by_date.get(date, {}) for date in dates}


def _card(feature: Feature, line: list[float | None]) -> None:
    known = [one for one in line if one is not None]
    if not known:
        card(title_of(feature), say("admin.unknown"), say("export.no_days", n=len(line)))
        return
    form, usual = ",.1f" if step_of(feature) < 1 else ",.0f", median(known)
    ends = {"low": f"{min(known):{form}}", "high": f"{max(known):{form}}"}
    apart = f"{known[-1] - usual:+{form}}"
    note = say("export.days", n=len(known), span=len(line), usual=f"{usual:{form}}", apart=apart)
    words = say("export.trend", name=title_of(feature), **ends)
    card(title_of(feature), f"{known[-1]:{form}} {unit_of(feature)}", note, line, words)
