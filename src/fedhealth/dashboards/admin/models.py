"""Versions of the model: what sets them apart, where they came from, and which one is served."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from fedhealth.dashboards.admin import change
from fedhealth.dashboards.admin.view import View, choose, data_kind, to_3, whole
from fedhealth.dashboards.parts import table, when
from fedhealth.dashboards.texts import plain, say

Version = Mapping[str, Any]
COMPARED = ("auroc", "brier", "calibration_slope")


def show_versions(view: View) -> None:
    """All versions, the served one first, each with its difference from that."""
    found = view.ask("/models")
    if not found["versions"]:
        st.info(say("admin.versions_none"))
        return
    table([_row(one) for one in found["versions"]], say("admin.versions_alt"))
    st.caption(say("admin.versions_note"))


def _row(one: Version) -> dict[str, Any]:
    row = {say("admin.version"): one["version"], say("admin.standing"): say(f"admin.standing_{one['standing']}")}
    for name in COMPARED:
        apart = one["against_champion"].get(name)
        row[say(f"measure.{name}")] = to_3(one["metrics"].get(name))
        row[say("admin.apart", measure=say(f"measure.{name}"))] = None if apart is None else f"{apart:+.3f}"
    data = data_kind(one["synthetic"], one["synthetic_nodes"])
    more = {say("admin.rows"): whole(one["rows"]), say("admin.data"): data, say("admin.version_model"): one["model"]}
    return {**row, **more}


def show_one(view: View) -> None:
    """A version's lineage and gates, and the forms that change what is served."""
    found = view.ask("/models")
    by_name = {one["version"]: one for one in found["versions"]}
    if not by_name:
        st.caption(say("page.nothing_yet"))
        return
    others = [name for name in by_name if name != found["champion"]]
    order = [*others, *(name for name in by_name if name not in others)]
    chosen = choose(say("admin.version_choose"), order, "version")
    st.caption(say(f"admin.standing_{by_name[chosen]['standing']}"))
    told = view.ask(f"/models/{chosen}")
    _gates(told)
    _lineage(told)
    served = found["champion"]
    change.show(view, served, None if chosen == served else chosen, told, _before(view, served))


def _before(view: View, served: str | None) -> bool:
    """Whether another version was served before the one that is."""
    own = [one for one in view.ask("/promotion")["history"] if one["version"] == served]
    return any(one["before"] for one in own if one["action"] in ("publish", "promote"))


def _gates(told: Version) -> None:
    st.subheader(say("admin.gates_title"), anchor=False)
    if told["no_gates"]:
        st.info(say("admin.gates_none", why=plain(told["no_gates"])))
        return
    marks = {True: "admin.gate_passes", False: "admin.gate_refuses", None: "admin.gate_open"}
    rows = [
        {
            say("admin.gate"): one["gate"],
            say("admin.gate_result"): say(marks[one["passed"]]),
            say("admin.gate_found"): one["found"],
            say("admin.gate_needed"): one["needed"],
        }
        for one in told["gates"]
    ]
    table(rows, say("admin.gates_alt", version=told["version"]))


def _lineage(told: Version) -> None:
    st.subheader(say("admin.lineage_title"), anchor=False)
    signed = say("admin.signed", name=plain(told["signed_by"])) if told["signed_by"] else say("admin.unsigned")
    st.caption(signed)
    rows = [
        {
            say("admin.node"): one["name"],
            say("admin.rows"): whole(one["rows"]),
            say("admin.budget_epsilon"): say("admin.no_noise") if one["epsilon"] is None else f"{one['epsilon']:g}",
            say("admin.policy"): (one["policy"] or say("admin.unknown"))[:12],
        }
        for one in told["nodes"]
    ]
    table(rows, say("admin.lineage_alt", version=told["version"]))
    for one in told["changes"]:
        st.caption(_said(one))


def _said(one: Mapping[str, Any]) -> str:
    words = {
        "when": when(one["time"]),
        "action": say(f"admin.action_{one['action']}"),
        "reason": plain(one["reason"] or "–"),
    }
    by = say("admin.by", name=plain(one["by"])) if one.get("by") else ""
    override = say("admin.override", why=plain(one["override"])) if one.get("override") else ""
    return say("admin.change", by=by, override=override, **words)


def show_history(view: View) -> None:
    """Every change of what is served: who, when, why."""
    rows = [
        {
            say("admin.col_date"): when(one["time"]),
            say("admin.history_action"): say(f"admin.action_{one['action']}"),
            say("admin.version"): one["version"],
            say("admin.history_before"): one["before"] or say("admin.unknown"),
            say("admin.history_by"): one.get("by") or say("admin.history_console"),
            say("admin.history_reason"): one["reason"],
        }
        for one in view.ask("/promotion")["history"]
    ]
    table(rows, say("admin.history_alt"))
