"""What training has cost in privacy, node by node; where it ends; what attacks on the model found."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from fedhealth.dashboards import svg
from fedhealth.dashboards.admin.view import View, to_3
from fedhealth.dashboards.parts import table, when
from fedhealth.dashboards.texts import plain, say

Node = Mapping[str, Any]


def show_budget(view: View) -> None:
    """For each node the costliest private run against the limit, and the sum over all runs."""
    found = view.ask("/privacy")
    with st.grid(min_column_width=290, gap="medium"):
        for node in found["nodes"]:
            _node(node, found["limit"])
    table([_row(node, found["limit"]) for node in found["nodes"]], say("admin.budget_alt"))
    runs = {one["run"]: one for node in found["nodes"] for one in node["private_runs"]}
    with st.expander(say("admin.budget_runs", n=len(runs))):
        table([_run(one) for one in runs.values()], say("admin.budget_runs_alt"))


def show_limit(view: View) -> None:
    """What happens at the limit."""
    st.markdown(say("admin.limit", limit=f"{view.ask('/privacy')['limit']:g}"))


def show_audit(view: View) -> None:
    """Whether the served model was attacked, and what that found."""
    audit = view.ask("/privacy")["audit"]
    if audit is None:
        st.info(say("admin.audit_none"), icon=":material/policy:")
        return
    spent = audit["epsilon_at_least"]
    said = say("admin.audit_no_canaries" if spent is None else "admin.audit_canaries", epsilon=to_3(spent))
    share = f"{100 * audit['rebuilt']:.0f}"
    st.markdown(say("admin.audit", auc=to_3(audit["membership_auc"]), rebuilt=share, canaries=said))


def _largest(node: Node) -> float | None:
    return max((float(one["epsilon"]) for one in node["private_runs"]), default=None)


def _node(node: Node, limit: float) -> None:
    with st.container(border=True):
        st.markdown(f"**{plain(node['name'])}**")
        used = _largest(node)
        if used is not None:
            words = {"used": f"{used:g}", "limit": f"{limit:g}"}
            st.markdown(say("admin.budget_used", **words))
            st.image(svg.meter(used, limit), alt=say("admin.budget_meter", name=node["name"], **words))
            st.caption(say("admin.budget_note", total=f"{node['epsilon']:g}", exact=node["exact_runs"]))
        elif node["exact_runs"]:
            st.markdown(say("admin.budget_none", exact=node["exact_runs"]))
        else:
            st.markdown(say("admin.budget_unused"))


def _row(node: Node, limit: float) -> dict[str, Any]:
    return {
        say("admin.node"): node["name"],
        say("admin.budget_largest"): _largest(node),
        say("admin.drift_limit"): limit,
        say("admin.budget_total"): node["epsilon"] if node["private_runs"] else None,
        say("admin.budget_delta"): f"{node['delta']:g}" if node["private_runs"] else None,
        say("admin.budget_private"): len(node["private_runs"]),
        say("admin.budget_exact"): node["exact_runs"],
    }


def _run(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        say("admin.run_choose"): one["run"],
        say("admin.col_date"): when(one["finished"]),
        say("admin.budget_epsilon"): one["epsilon"],
        say("admin.budget_delta"): f"{one['delta']:g}",
        say("admin.budget_unit"): one["unit"],
    }
