"""The nodes: when each was last seen, with which program, how often it was missing, and what it sent."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from fedhealth.dashboards.admin.view import View, size, whole
from fedhealth.dashboards.parts import table, when
from fedhealth.dashboards.texts import say


def show(view: View) -> None:
    """One line for each node; the newest first."""
    found = view.ask("/nodes")["nodes"]
    table([_row(one) for one in found], say("admin.nodes_alt"))
    st.caption(say("admin.nodes_note"))


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        say("admin.node"): one["title"],
        say("admin.node_seen"): when(one["last_seen"]),
        say("admin.node_run"): one["last_run"] or say("admin.unknown"),
        say("admin.node_version"): one["version"] or say("admin.version_unknown"),
        say("admin.col_state"): say(f"admin.node_{_state(one)}"),
        say("admin.node_took"): one["taken_part"],
        say("admin.node_missed"): one["missed"],
        say("admin.rounds_missed"): _of(one["rounds_missed"], one["rounds"]),
        say("admin.rows"): whole(one["rows"]),
        say("admin.received"): size(one["received"]),
        say("admin.sent"): size(one["sent"]),
    }


def _state(one: Mapping[str, Any]) -> str:
    if not one["taken_part"]:
        return "never"
    return "some" if one["missed"] or one["rounds_missed"] else "all"


def _of(missed: int, rounds: int) -> str:
    return say("admin.rounds_of", missed=missed, rounds=rounds) if rounds else say("admin.unknown")


def show_run(report: Mapping[str, Any]) -> None:
    """Of each client in this run: its program, the rounds that it missed, and the bytes that went to and fro."""
    st.subheader(say("admin.network_title"), anchor=False)
    titles = {one["name"]: one["title"] for one in report["nodes"]}
    names = dict.fromkeys([*titles, *report.get("network", {})])
    table(
        [{say("admin.node"): titles.get(name, name), **_in_run(name, report)} for name in names],
        say("admin.network_alt"),
    )
    st.caption(say("admin.network_note"))


def _in_run(name: str, report: Mapping[str, Any]) -> dict[str, Any]:
    told, rounds = report.get("network", {}).get(name, {}), report["rounds"]
    missed = sum(name not in [node["name"] for node in one["nodes"]] for one in rounds)
    return {
        say("admin.node_version"): told.get("version") or say("admin.version_unknown"),
        say("admin.rounds_missed"): _of(missed, len(rounds)),
        say("admin.received"): size(told.get("received")),
        say("admin.sent"): size(told.get("sent")),
    }
