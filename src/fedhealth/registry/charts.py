"""Charts of a run for MLflow: calibration, ROC, losses by round, and what each node gains over its own model."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure


def charts(report: Mapping[str, Any]) -> dict[str, Figure]:
    """The charts that a run's report has the figures for, by name."""
    curves = report.get("curves") or {}
    made = {}
    if curves.get("roc"):
        made = {"roc": _roc(curves["roc"]), "calibration": _calibration(curves["calibration"])}
    if report["rounds"]:
        made["losses"] = _losses(report["rounds"])
    gains = {n["name"]: n["difference"] for n in report["nodes"] if n["difference"]}
    if any(gain["log_loss"] is not None for gain in gains.values()):
        made["gain"] = _gain(gains)
    return made


def _roc(points: list[list[float]]) -> Figure:
    figure, axes = _empty("1 - specificity", "sensitivity")
    axes.plot([0, 1], [0, 1], color="lightgrey")
    axes.plot(*zip(*points, strict=True))
    return figure


def _calibration(points: list[list[float]]) -> Figure:
    figure, axes = _empty("mean risk", "observed share")
    risk, share, _ = zip(*points, strict=True)
    end = max(*risk, *share)
    axes.plot([0, end], [0, end], color="lightgrey")
    axes.plot(risk, share, marker="o")
    return figure


def _losses(rounds: list[Mapping[str, Any]]) -> Figure:
    figure, axes = _empty("round", "log loss")
    numbers = [one["round"] for one in rounds]
    axes.plot(numbers, [one["train_loss"] for one in rounds], color="black", label="training, all nodes")
    axes.plot(numbers, [one["global"]["loss"] for one in rounds], color="black", linestyle=":", label="held-out rows")
    for place, node in enumerate(rounds[0]["nodes"]):
        losses = [one["nodes"][place]["loss"] for one in rounds]
        axes.plot(numbers, [float("nan") if loss is None else loss for loss in losses], label=node["name"])
    axes.legend()
    return figure


def _gain(gains: Mapping[str, Mapping[str, Any]]) -> Figure:
    figure, axes = _empty("log loss saved beside the node's own model (95 %)", "")
    for place, (name, more) in enumerate(gains.items()):
        if more["log_loss"] is not None:
            ends = [-more["log_loss_high"], -more["log_loss_low"]]
            axes.plot(ends, [place, place], color="grey")
            axes.plot([-more["log_loss"]], [place], marker="o", label=name)
    axes.axvline(0, color="lightgrey")
    axes.set_yticks(range(len(gains)), list(gains))
    return figure


def _empty(across: str, up: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=across, ylabel=up)
    return figure, axes
