"""What people see of a run: live progress on a terminal, one ``key=value`` line a round elsewhere; then tables."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from fedhealth.data.dataset import Dataset
    from fedhealth.runtime.experiment import RoundReport
    from fedhealth.study import Study


class TrainingProgress(Protocol):
    """Told of each round and each stage of a run."""

    def round(self, finished: "RoundReport") -> None:
        """A round is finished."""

    def stage(self, name: str) -> None:
        """A stage after the rounds begins."""


def say_who(event: str, **facts: Any) -> None:
    """Say on the terminal who comes, is lost, stays away, comes back and is refused (an event of a run)."""
    match event:
        case "joined":
            typer.echo(f"{facts['node']} is here")
        case "back":
            typer.secho(f"{facts['node']} is back", fg="green")
        case "lost":
            typer.secho(f"{facts['node']} is lost: {facts['why']}", fg="yellow")
        case "absent":
            typer.secho(f"{facts['node']} {facts['why']}", fg="yellow")
        case "refused":
            typer.secho(f"{facts['node']} refused or was refused: {facts['why']}", fg="yellow")


class _Lines:
    def round(self, finished: "RoundReport") -> None:
        held_out = finished.held_out
        typer.echo(
            f"round={finished.number} train_loss={finished.train_loss:.6f} loss={held_out.log_loss:.6f} "
            f"accuracy={held_out.accuracy:.4f} auroc={held_out.auroc:.4f} nodes={len(finished.node_loss)} "
            + " ".join(f"loss.{name}={loss:.6f}" for name, loss in finished.node_loss.items())
        )

    def stage(self, name: str) -> None:
        typer.echo(f"stage={name!r}")


class _Live:
    def __init__(self, bar: Progress, nodes: int) -> None:
        self._bar, self._nodes = bar, nodes
        self._task = bar.add_task("Choosing the smoothness across folds", total=None)

    def round(self, finished: "RoundReport") -> None:
        held_out = finished.held_out
        text = (
            f"Round [cyan]{finished.number}[/]  loss [cyan]{finished.train_loss:.4f}[/]  "
            f"AUROC [cyan]{held_out.auroc:.4f}[/]  nodes {len(finished.node_loss)}/{self._nodes}"
        )
        self._bar.console.print(f"[green]✓[/] {text}", highlight=False)
        self._bar.update(self._task, description="Training")

    def stage(self, name: str) -> None:
        self._bar.update(self._task, description=name[:1].upper() + name[1:])


@contextmanager
def training_progress(study: "Study", dataset: "Dataset | None" = None) -> Iterator[TrainingProgress]:
    """Say what is trained on, then show progress until the block ends; without ``dataset`` the rows are elsewhere."""
    console = Console()
    typer.echo(f"{study.title}: {_what_is_there(study, dataset)}, policy {study.policy}")
    for note in (note for shard in (dataset.shards if dataset else ()) for note in shard.notes):
        typer.echo(f"  note: {note}")
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Live(bar, len(study.nodes))


def _what_is_there(study: "Study", dataset: "Dataset | None") -> str:
    if dataset is None:
        return f"{len(study.nodes)} nodes, their rows stay with them"
    rows = sum(len(shard) for shard in dataset.shards)
    nodes = "1 node" if len(dataset.shards) == 1 else f"{len(dataset.shards)} nodes"
    if len(dataset.synthetic) == len(dataset.shards):
        return f"{nodes}, {rows:,} synthetic rows"
    generated = sum(len(shard) for shard in dataset.shards if shard.node in dataset.synthetic)
    part = f", {generated:,} of them synthetic ({', '.join(dataset.synthetic)})" if dataset.synthetic else ""
    return f"{nodes}, {rows:,} rows{part}"


def show_results(report: Mapping[str, Any]) -> None:
    """A table per node and per subgroup, what the global model is compared with, and whom it serves worse."""
    console = Console()
    if "privacy" in report:
        found = report["privacy"]
        limit = f"epsilon {found['epsilon']:g} at delta {found['delta']:g} for {found['unit']}"
        console.print(f"Differential privacy: {limit}. All figures have noise.")
    table = Table("node", "rows", "features", "local AUROC", "global AUROC (95 %)", "slope", "ECE", box=None)
    for node in report["nodes"]:
        together, counts = node["global"], (count(node["rows"]), str(len(node["features"])))
        slope, ece = figure(together["calibration_slope"]), figure(together["ece"])
        table.add_row(node["name"], *counts, figure(node["local"]["auroc"]), _auroc(together), slope, ece)
    console.print(table)
    if report["subgroups"]:
        console.print(_subgroups(report["subgroups"]))
    lines = Table("", "AUROC", "Brier", "accuracy", box=None)
    for title, metrics in _comparisons(report):
        lines.add_row(title, *(figure(metrics.get(name)) for name in ("auroc", "brier", "accuracy")))
    console.print(lines)
    for worse in _served_worse(report):
        console.print(f"[yellow]{worse} would do better with the node's local model.[/]")


def _subgroups(groups: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("held-out people with", "n", "AUROC (95 %)", "slope", "ECE", "Brier", box=None)
    for group in groups:
        if found := group["global"]:
            rest = (figure(found[name]) for name in ("calibration_slope", "ece", "brier"))
            table.add_row(group["name"], f"{found['n']:,}", _auroc(found), *rest)
        else:
            table.add_row(group["name"], "too few")
    return table


def _auroc(metrics: Mapping[str, Any]) -> str:
    low, high = metrics["auroc_low"], metrics["auroc_high"]
    ends = "" if low is None or high is None else f" ({low:.3f}–{high:.3f})"
    return figure(metrics["auroc"]) + ends


def _served_worse(report: Mapping[str, Any]) -> Iterator[str]:
    yield from (node["name"] for node in report["nodes"] if node["better_alone"])
    yield from (f"{node}, {group['name']}," for group in report["subgroups"] for node in group["better_alone"])


def _comparisons(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "global model, held-out rows of all nodes", report["global"]
    yield "  mean over nodes, each counted once", report["site_average"]
    if report["pooled_rows"]:
        yield "pooled_rows: same rows in one place", report["pooled_rows"]
    if report["full_rows"]:
        name, alone = max(report["full_rows"]["nodes"].items(), key=lambda node: node[1]["auroc"] or 0.0)
        yield "global model, rows with every feature", report["full_rows"]["global"]
        yield f"  best node alone ({name})", alone
        yield "fully_observed: trained on every feature", report["fully_observed"]
    if report["best"]:
        yield "best reachable with every feature", report["best"]["subsets"]["all"]


def figure(value: float | None, decimals: int = 4) -> str:
    """A metric, a dash where it is undefined."""
    return "–" if value is None else f"{value:.{decimals}f}"


def count(rows: int | None) -> str:
    """A number of rows, a dash where only their node has counted them."""
    return "–" if rows is None else f"{rows:,}"
