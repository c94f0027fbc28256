"""How well the served model does on held-out people, each measure with how to read it."""

import streamlit as st

from fedhealth.dashboards.admin import groups
from fedhealth.dashboards.admin.view import View, data_kind, of_100, whole, with_ends
from fedhealth.dashboards.parts import table
from fedhealth.dashboards.texts import catalogue, say


def show(view: View) -> None:
    """The served model's measures, on all held-out people and by client, city and group."""
    found = view.ask("/evaluation")
    metrics = found.get("metrics") or {}
    people, share = whole(metrics.get("n")), of_100(metrics.get("prevalence"))
    limit = of_100((found.get("threshold") or {}).get("value"))
    line = {"version": found["model_version"], "n": people, "prevalence": share, "threshold": limit}
    data = data_kind(found["synthetic"], found["synthetic_nodes"])
    st.caption(f"{say('admin.evaluation_line', **line)} {say('admin.data_line', data=data)}")
    rows = [
        {
            say("admin.measure"): say(f"measure.{name}"),
            say("admin.value"): with_ends(metrics, name),
            say("admin.meaning"): say(f"meaning.{name}"),
        }
        for name in catalogue("en")["measure"]
        if metrics.get(name) is not None
    ]
    table(rows, say("admin.evaluation_alt"))
    st.subheader(say("admin.groups_title"), anchor=False)
    groups.show(found["metrics"], found["nodes"], found["subgroups"])
