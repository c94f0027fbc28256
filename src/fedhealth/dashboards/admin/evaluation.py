"""How well the served model does on held-out people, each measure with how to read it."""

import streamlit as st

from fedhealth.dashboards.admin.view import View, of_100, to_3, whole
from fedhealth.dashboards.parts import table
from fedhealth.dashboards.texts import catalogue, say


def show(view: View) -> None:
    """The served model's measures as a table."""
    found = view.ask("/evaluation")
    metrics = found.get("metrics") or {}
    people, share = whole(metrics.get("n")), of_100(metrics.get("prevalence"))
    limit = of_100((found.get("threshold") or {}).get("value"))
    line = {"version": found["model_version"], "n": people, "prevalence": share, "threshold": limit}
    st.caption(say("admin.evaluation_line", **line))
    rows = [
        {
            say("admin.measure"): say(f"measure.{name}"),
            say("admin.value"): to_3(metrics[name]),
            say("admin.meaning"): say(f"meaning.{name}"),
        }
        for name in catalogue("en")["measure"]
        if metrics.get(name) is not None
    ]
    table(rows, say("admin.evaluation_alt"))
