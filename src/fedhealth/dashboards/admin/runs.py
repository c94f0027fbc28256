"""A federated run: the loss at each client by round, the global model by round, and each client alone or together."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from fedhealth.dashboards.admin.charts import draw, lines, styled
from fedhealth.dashboards.admin.view import View, to_3, whole
from fedhealth.dashboards.colours import palette
from fedhealth.dashboards.parts import table, twin
from fedhealth.dashboards.texts import listed, say

Report = Mapping[str, Any]


def show(view: View) -> None:
    """The newest run, or the one that is chosen."""
    known = {one["id"]: one for one in view.ask("/runs")["runs"]}
    if not known:
        st.info(say("admin.run_none"))
        return
    names = {run: say("admin.run_name", id=run, auroc=to_3(one.get("global_auroc"))) for run, one in known.items()}
    chosen = st.selectbox(
        say("admin.run_choose"), list(known), format_func=lambda run: names[run], key="run", width=420
    )
    report = view.ask(f"/runs/{chosen}")
    _line(report)
    if report.get("privacy"):
        _private(report)
        return
    left, right = st.columns(2, gap="large")
    with left:
        _losses(report)
    with right:
        _global(report)
    _alone_or_together(report)


def _line(report: Report) -> None:
    rounds = report["rounds"][-1]["round"] if report["rounds"] else 0
    facts = {"study": report["study"], "model": report["model"], "seed": report["seed"]}
    st.caption(say("admin.run_line", rounds=rounds, nodes=", ".join(report["took_part"]), **facts))


def _private(report: Report) -> None:
    """A run under differential privacy: what was promised, what it was spent on, the noisy figures by client."""
    promise = report["privacy"]
    st.subheader(say("admin.run_private_title"), anchor=False)
    limits = {name: f"{promise[name]:g}" for name in ("epsilon", "delta")}
    st.info(say("admin.run_private", unit=promise["unit"], **limits))
    table([_row(one) for one in report["nodes"]], say("admin.local_alt"))
    steps = [
        {
            say("admin.run_private_step"): one["step"],
            say("admin.run_private_times"): one["times"],
            say("admin.run_private_epsilon"): to_3(one["epsilon"]),
        }
        for one in promise["steps"]
    ]
    twin(say("admin.run_private_title"), steps, say("admin.run_private_alt"))


def _losses(report: Report) -> None:
    """Each client's loss by round; a client that dropped out leaves a gap."""
    st.subheader(say("admin.loss_title"), anchor=False)
    rounds = report["rounds"]
    names = list(dict.fromkeys(node["name"] for one in rounds for node in one["nodes"]))
    by_round = [{node["name"]: node["loss"] for node in one["nodes"]} for one in rounds]
    series = {name: [losses.get(name) for losses in by_round] for name in names}
    numbers = [one["round"] for one in rounds]
    draw(lines(series, numbers, say("admin.round"), say("admin.loss")), say("admin.loss_alt"), "losses")
    rows = [
        {say("admin.round"): n, **{name: _short(values[i]) for name, values in series.items()}}
        for i, n in enumerate(numbers)
    ]
    twin(say("admin.loss_title"), rows, say("admin.loss_alt"))


def _global(report: Report) -> None:
    st.subheader(say("admin.global_title"), anchor=False)
    rounds = report["rounds"]
    measures = {"loss": say("admin.global_loss"), "auroc": say("admin.auroc"), "accuracy": say("admin.accuracy")}
    series = {title: [one["global"].get(name) for one in rounds] for name, title in measures.items()}
    numbers = [one["round"] for one in rounds]
    draw(lines(series, numbers, say("admin.round"), say("admin.value")), say("admin.global_alt"), "global")
    rows = [
        {say("admin.round"): n, **{title: _short(v[i]) for title, v in series.items()}} for i, n in enumerate(numbers)
    ]
    twin(say("admin.global_title"), rows, say("admin.global_alt"))


def _short(number: float | None) -> float | None:
    return None if number is None else round(number, 4)


def _alone_or_together(report: Report) -> None:
    st.subheader(say("admin.local_title"), anchor=False)
    nodes = list(reversed(report["nodes"]))
    titles = [one["title"] for one in nodes]
    figure = go.Figure()
    kinds = (("local", say("admin.local"), "square-open"), ("global", say("admin.together"), "circle"))
    series = palette().series
    for i, (kind, name, mark) in enumerate(kinds):
        marker = {"symbol": mark, "size": 14, "color": series[1 - i], "line": {"width": 2, "color": series[1 - i]}}
        figure.add_scatter(
            x=[one[kind].get("auroc") for one in nodes],
            y=titles,
            name=name,
            mode="markers",
            marker=marker,
            error_x={
                "array": [one[kind].get("auroc_bound") or 0 for one in nodes],
                "color": palette().ink,
                "thickness": 1,
            },
        )
    styled(figure, say("admin.auroc"), "", 130 + 42 * len(nodes))
    figure.update_yaxes(automargin=True)
    draw(figure, say("admin.local_alt"), "local")
    better = [one["title"] for one in nodes if one.get("better_alone")]
    words = say("admin.local_better", names=listed(better)) if better else say("admin.local_better_none")
    st.caption(say("admin.local_note", better=words))
    twin(say("admin.local_title"), [_row(one) for one in report["nodes"]], say("admin.local_alt"))


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        say("admin.node"): one["title"],
        say("admin.rows"): whole(one.get("rows")),
        say("admin.local"): to_3(one["local"].get("auroc")),
        say("admin.together"): to_3(one["global"].get("auroc")),
    }
