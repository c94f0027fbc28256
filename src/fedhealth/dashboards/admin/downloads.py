"""What a panel shows as a file: CSV, named after the city, the time range and when it was shown."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from fedhealth.dashboards.admin.view import View
from fedhealth.dashboards.parts import table
from fedhealth.dashboards.texts import say

Rows = Sequence[Mapping[str, Any]]
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take for the start of one


def offer(view: View, what: str, rows: Rows, of_range: bool = True) -> None:
    """A button for ``rows`` as a file, named after ``what`` they are, the city, and the time range if it matters."""
    if rows:
        time_range = [say(f"admin.range_{view.days}")] if of_range else []
        name = file_name(what, view.city or say("admin.all_cities"), *time_range, shown=datetime.now(UTC))
        st.download_button(
            say("admin.csv", title=what),
            as_csv(rows),
            name,
            "text/csv",
            key=f"csv_{what}",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
        )


def twin_with_file(view: View, title: str, rows: Rows, name: str) -> None:
    """The numbers behind a chart, folded away, as a table and as a file."""
    with st.expander(say("page.as_table", title=title)):
        table(rows, name)
        offer(view, title, rows)


def file_name(*parts: str, shown: datetime) -> str:
    """Letters, digits and hyphens alone, so that every system takes it."""
    parts = ("fedhealth", *parts, f"{shown:%Y-%m-%dT%H-%M}Z")
    return "_".join(re.sub(r"[^\w]+", "-", part).strip("-") for part in parts) + ".csv"


def as_csv(rows: Rows) -> bytes:
    """Rows with the names of their columns; what is not known is empty, and no text starts a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(rows[0])
    writer.writerows([_plain(value) for value in row.values()] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _plain(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
