"""A federated run: losses by round, what the clients ran and sent, and the global model beside others."""

from collections.abc import Iterator, Mapping
from typing import Any

import streamlit as st

from fedhealth.dashboards.admin import groups, nodes
from fedhealth.dashboards.admin.charts import dots, draw, lines
from fedhealth.dashboards.admin.view import View, choose, data_kind, to_3, whole, with_ends
from fedhealth.dashboards.parts import table, twin, when
from fedhealth.dashboards.texts import listed, plain, say

Report = Mapping[str, Any]
KINDS = {"global": "together", "local": "local"}


def show(view: View) -> None:
    """The newest run, or the one that is chosen."""
    known = {one["id"]: one for one in view.ask("/runs")["runs"]}
    if not known:
        st.info(say("admin.run_none"))
        return
    chosen = choose(say("admin.run_choose"), list(known), "run")
    report = view.ask(f"/runs/{chosen}")
    _line(report, known[chosen])
    if report.get("privacy"):
        _private(report)
        nodes.show_run(report)
        return
    left, right = st.columns(2, gap="large")
    with left:
        _losses(report)
    with right:
        _global(report)
    nodes.show_run(report)
    _alone_or_together(report)
    _beside_others(report)


def _line(report: Report, summary: Mapping[str, Any]) -> None:
    rounds = report["rounds"][-1]["round"] if report["rounds"] else 0
    facts = {name: plain(report[name]) for name in ("study", "model", "seed")}
    facts |= {"finished": when(summary["finished"]), "auroc": to_3(summary["global_auroc"])}
    st.caption(say("admin.run_line", rounds=rounds, nodes=plain(", ".join(report["took_part"])), **facts))
    generated = report.get("synthetic_nodes", [])
    partly = generated if len(generated) < len(report["took_part"]) else []
    st.caption(say("admin.data_line", data=data_kind(report.get("synthetic"), partly)))


def _private(report: Report) -> None:
    """A run under differential privacy: what was promised, what it was spent on, the noisy figures by client."""
    promise = report["privacy"]
    st.subheader(say("admin.run_private_title"), anchor=False)
    limits = {name: f"{promise[name]:g}" for name in ("epsilon", "delta")}
    st.info(say("admin.run_private", unit=plain(promise["unit"]), **limits))
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
    clients = report["nodes"]
    kinds = {say(f"admin.{name}"): [one[kind] for one in clients] for kind, name in KINDS.items()}
    draw(dots(kinds, [one["title"] for one in clients], say("admin.auroc")), say("admin.local_alt"), "local")
    better = [plain(one["title"]) for one in clients if one.get("better_alone")]
    words = say("admin.local_better", names=listed(better)) if better else say("admin.local_better_none")
    st.caption(say("admin.local_note", better=words))
    twin(say("admin.local_title"), [_row(one) for one in clients], say("admin.local_alt"))


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        say("admin.node"): one["title"],
        say("admin.rows"): whole(one.get("rows")),
        say("admin.local"): with_ends(one["local"], "auroc"),
        say("admin.together"): with_ends(one["global"], "auroc"),
    }


def _beside_others(report: Report) -> None:
    """The global model beside others on the same people, then by client, city and group."""
    st.subheader(say("admin.others_title"), anchor=False)
    table([_other(title, measures) for title, measures in _others(report)], say("admin.others_alt"))
    groups.show_cities(report.get("subgroups", []), report.get("champion"))
    st.subheader(say("admin.groups_title"), anchor=False)
    groups.show(report["global"], report["nodes"], report.get("subgroups", []), report.get("champion"))


def _others(report: Report) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield say("admin.others_global"), report["global"]
    if beside := report.get("champion"):
        yield say("admin.others_champion", version=beside["version"]), beside["all"]["champion"]
    if pooled := report.get("pooled_rows"):
        yield say("admin.others_pooled"), pooled
    if full := report.get("full_rows"):
        name, alone = max(full["nodes"].items(), key=lambda one: one[1]["auroc"] or 0.0)
        yield say("admin.others_full"), full["global"]
        yield say("admin.others_alone", name=name), alone
    if everything := report.get("fully_observed"):
        yield say("admin.others_everything"), everything
    if best := report.get("best"):
        yield say("admin.others_best"), best["subsets"]["all"]


def _other(title: str, measures: Mapping[str, Any]) -> dict[str, Any]:
    row = {say("admin.others_model"): title, say("admin.people"): whole(measures.get("n"))}
    for name in ("auroc", "brier", "calibration_slope"):
        row[say("admin.with_ends", measure=say(f"measure.{name}"))] = with_ends(measures, name)
    return {**row, say("measure.auprc"): to_3(measures.get("auprc"))}
