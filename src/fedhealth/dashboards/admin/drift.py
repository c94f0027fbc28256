"""Drift: recent readings against what the model learned from; the model at each node now against training."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from fedhealth.dashboards.admin.charts import draw, styled
from fedhealth.dashboards.admin.downloads import offer, twin_with_file
from fedhealth.dashboards.admin.view import View, choose, to_3, whole, with_ends
from fedhealth.dashboards.colours import palette
from fedhealth.dashboards.parts import table, when
from fedhealth.dashboards.texts import plain, say

Drift = Mapping[str, Any]
AT_NODE = {"ok": "ok", "worse": "worse", "new": "new", "no answer": "silent", None: "unasked"}
STATES = {"ok": "admin.drift_ok", "drift": "admin.drift_drift", "too few": "admin.drift_few"}


def show(view: View) -> None:
    """The table of all features, and one of them then and now."""
    found = view.ask("/drift", days=view.days)
    st.caption(say("admin.drift_line", days=found["days"]))
    rows = sorted(found["features"], key=lambda one: -(one["psi"] or 0))
    features = [_row(one) for one in rows]
    table(features, say("admin.drift_alt"))
    offer(view, say("admin.drift_title"), features)
    shown = {one["title"]: one for one in rows if one["current"] and one["reference"]}
    if shown:
        _then_and_now(view, shown[choose(say("admin.drift_show"), list(shown), "feature")])


def _row(one: Drift) -> dict[str, Any]:
    missing = one.get("missing_share")
    return {
        say("admin.drift_feature"): one["title"],
        say("admin.drift_state"): say(STATES.get(one["status"], "admin.unknown")),
        say("admin.drift_psi"): to_3(one["psi"]),
        say("admin.drift_limit"): to_3(one["threshold"]),
        say("admin.col_readings"): whole(one["n"]),
        say("admin.drift_missing"): None if missing is None else f"{100 * missing:.0f} %",
    }


def _then_and_now(view: View, one: Drift) -> None:
    title = say("admin.drift_chart", feature=one["title"])
    st.subheader(plain(title), anchor=False)
    figure = go.Figure()
    for i, (kind, pattern) in enumerate((("reference", "/"), ("current", ""))):
        shares = [100 * share for share in one[kind]]
        marker = {"color": palette().grey if kind == "reference" else palette().primary, "pattern": {"shape": pattern}}
        figure.add_bar(x=one["labels"], y=shares, name=say(f"admin.drift_{kind}"), marker=marker, offsetgroup=i)
    styled(figure, "", say("admin.drift_share")).update_xaxes(type="category")
    draw(figure, say("admin.drift_chart_alt"), "drift")
    rows = [
        {
            one["title"]: label,
            say("admin.drift_reference"): round(100 * then, 1),
            say("admin.drift_current"): round(100 * now, 1),
        }
        for label, then, now in zip(one["labels"], one["reference"], one["current"], strict=True)
    ]
    twin_with_file(view, title, rows, say("admin.drift_chart_alt"))


def show_missing(view: View) -> None:
    """Each feature's share of missing values now and before, and by how much it may differ."""
    table([_missing(one) for one in view.ask("/drift", days=view.days)["missing"]], say("admin.missing_alt"))


def _missing(one: Drift) -> dict[str, Any]:
    return {
        say("admin.drift_feature"): one["title"],
        say("admin.drift_state"): say(STATES[one["status"]]),
        say("admin.missing_before"): _percent(one["before"]),
        say("admin.drift_current"): _percent(one["now"]),
        say("admin.missing_limit"): _percent(one["threshold"]),
        say("admin.col_readings"): whole(one["n"]),
    }


def _percent(share: float | None) -> str:
    return say("admin.unknown") if share is None else say("admin.share", n=f"{100 * share:.0f}")


def show_score(view: View) -> None:
    """By how much risks have moved against what training lets expect."""
    score = view.ask("/drift", days=view.days)["score"]
    if score is None or score["shift"] is None:
        st.caption(say("admin.score_none"))
        return
    limits = {"shift": f"{score['shift']:+.2f}", "limit": f"{score['threshold']:.2f}"}
    st.markdown(say("admin.score", state=say(STATES[score["status"]]), n=whole(score["n"]), **limits))


def show_outcomes(view: View) -> None:
    """How well the served model does: as its risks let expect, and as outcomes tell where enough are known."""
    found = view.ask("/performance", days=view.days)
    expected, realised = found["expected"], found["realised"] or {}
    st.markdown(say(f"admin.outcomes_{found['status'].replace(' ', '_')}", reason=plain(found["reason"])))
    words = {"n": whole(expected["n"]), "known": whole(found["known"]), "happened": whole(found["happened"])}
    st.caption(say("admin.outcomes_known", **words))
    names = ("auroc", "brier", "calibration_slope", "calibration_intercept")
    rows = [
        {
            say("admin.measure"): say(f"measure.{name}"),
            say("admin.outcomes_expected"): to_3(expected.get(name)),
            say("admin.outcomes_realised"): with_ends(realised, name),
        }
        for name in names
    ]
    table(rows, say("admin.outcomes_alt"))


def show_nodes(view: View) -> None:
    """One line for each node: the served model there, then and now."""
    found = view.ask("/performance/nodes")["nodes"]
    rows = [_node(one) for one in found]
    table(rows, say("admin.at_node_alt"))
    st.caption(say("admin.at_node_note"))
    if any(one["noisy"] for one in found):
        st.caption(say("admin.at_node_noisy"))
    offer(view, say("admin.at_node_title"), rows, of_range=False)


def _node(one: Mapping[str, Any]) -> dict[str, Any]:
    then, now = one["trained"] or {}, one["now"] or {}
    lower = (one["changes"] or {}).get("auroc") or {}
    ends = {"lower": lower.get("worse"), "lower_low": lower.get("low"), "lower_high": lower.get("high")}
    return {
        say("admin.node"): one["title"],
        say("admin.col_state"): say(f"admin.at_node_{AT_NODE[one['status']]}"),
        say("admin.at_node_checked"): when(one["checked"]),
        say("admin.rows"): whole(now.get("n")),
        say("admin.at_node_auroc"): _then_and_now_of(then, now, "auroc"),
        say("admin.at_node_lower"): with_ends(ends, "lower", "+.3f"),
        say("admin.at_node_expected"): to_3((one["expected"] or {}).get("auroc")),
        say("admin.at_node_slope"): _then_and_now_of(then, now, "calibration_slope"),
        say("admin.at_node_ece"): _then_and_now_of(then, now, "ece"),
    }


def _then_and_now_of(then: Mapping[str, float], now: Mapping[str, float], name: str) -> str:
    return f"{to_3(then.get(name))} → {to_3(now.get(name))}"
