"""The nodes: when each was last seen, with how many rows, and how often it was missing."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from fedhealth.dashboards.admin.view import View, whole
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
        say("admin.rows"): whole(one["rows"]),
        say("admin.node_took"): one["taken_part"],
        say("admin.node_missed"): one["missed"],
        say("admin.col_state"): say(f"admin.node_{_state(one)}"),
    }


def _state(one: Mapping[str, Any]) -> str:
    if not one["taken_part"]:
        return "never"
    return "some" if one["missed"] else "all"
