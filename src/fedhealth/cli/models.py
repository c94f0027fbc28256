"""``fedhealth models``: which model is served, which could be, and changing that."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedhealth.cli import options
from fedhealth.cli.promote import Name, Runs, promote, rollback

if TYPE_CHECKING:
    from fedhealth.registry import Bundle

models_app = typer.Typer(no_args_is_help=True, help="List models, look at one, promote one, roll back.")
FIGURES = ("auroc", "brier", "log_loss", "calibration_slope", "bias", "ece", "sensitivity", "specificity")


@models_app.command("list")
def list_models(models: options.Models = Path("models"), runs: Runs = Path("runs")) -> None:
    """List every version: the champion (served), the challenger, former ones, and those that runs trained."""
    from rich.console import Console
    from rich.table import Table

    from fedhealth.cli.errors import plain_errors
    from fedhealth.cli.progress import figure
    from fedhealth.registry import versions

    table = Table("version", "standing", "outcome", "model", "AUROC", "slope", "data", box=None)
    table.columns[0].no_wrap = True
    with plain_errors():
        found = versions(models, runs)
    for known in found:
        facts = known.bundle.facts
        metrics, kind = facts["metrics"], _kind(facts)
        figures = [figure(metrics[name]) for name in ("auroc", "calibration_slope")]
        names = [known.bundle.study.outcome.name, facts["model"]]
        table.add_row(known.bundle.version, known.standing, *names, *figures, kind)
    Console().print(table if table.rows else "No models yet; train one with: fedhealth train")


def _kind(facts: Mapping[str, Any]) -> str:
    if "synthetic_nodes" in facts:
        return f"{', '.join(facts['synthetic_nodes'])} synthetic"
    return "synthetic" if facts["synthetic"] else "real"


@models_app.command()
def show(
    version: Name = "champion",
    models: options.Models = Path("models"),
    runs: Runs = Path("runs"),
    lineage: Annotated[
        bool, typer.Option("--lineage", help="Go back to gates, run, nodes, their policies and epsilon; check all.")
    ] = False,
) -> None:
    """Show a version: what it is and how well it does; with --lineage, where it came from."""
    from fedhealth.cli.errors import plain_errors
    from fedhealth.registry import find_version, versions

    with plain_errors():
        chosen = find_version(version, versions(models, runs))
        if lineage:
            _show_lineage(chosen.bundle, models)
            return
    bundle = chosen.bundle
    typer.echo(f"Version {bundle.version} ({chosen.standing}), hash {bundle.hash}\nFolder {chosen.folder}\n")
    typer.echo((chosen.folder / "MODEL_CARD.md").read_text(encoding="utf-8"))


@models_app.command()
def diff(first: Name, second: Name, models: options.Models = Path("models"), runs: Runs = Path("runs")) -> None:
    """Compare two versions: what they predict from, how well, and how differently they score made-up people."""
    from rich.console import Console
    from rich.table import Table

    from fedhealth.cli.errors import plain_errors
    from fedhealth.registry import find_version, versions

    with plain_errors():
        known = versions(models, runs)
        one, two = (find_version(name, known).bundle for name in (first, second))
    table = Table("", one.version, two.version, box=None)
    for name, values in _rows(one, two):
        table.add_row(name, *values)
    Console().print(table)
    if one.study.names == two.study.names and one.golden.risks.shape == two.golden.risks.shape:
        apart = abs(one.golden.risks - two.golden.risks)
        typer.echo(
            f"Risks of {len(apart)} made-up people differ by {apart.mean():.4f} on average, {apart.max():.4f} at most"
        )


def _rows(one: "Bundle", two: "Bundle") -> list[tuple[str, list[str]]]:
    from fedhealth.cli.progress import count, figure

    both, facts = (one, two), (one.facts, two.facts)
    rows = [("study", [f"{b.study.name} {b.study.hash[:12]}" for b in both])]
    rows += [("outcome", [b.study.outcome.name for b in both]), ("features", [", ".join(b.study.names) for b in both])]
    rows += [(name, [str(f.get(name)) for f in facts]) for name in ("model", "seed", "policy", "synthetic")]
    rows += [("trained on rows", [count(b.rows) for b in both])]
    rows += [(name, [figure((f["metrics"] or {}).get(name)) for f in facts]) for name in FIGURES]
    return rows


@models_app.command("history")
def show_history(
    models: options.Models = Path("models"),
    last: options.Last = 20,
) -> None:
    """List every change of the served model: when, what, why; checks that no line was changed."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from fedhealth.cli.errors import plain_errors
    from fedhealth.registry import history

    with plain_errors():
        entries = history(models)
    table = Table("time", "action", "version", "before", "reason", box=None)
    for entry in entries[-last:]:
        override = f" (override: {entry['override']})" if "override" in entry else ""
        what = [entry[name] or "–" for name in ("time", "action", "version", "before")]
        table.add_row(*what, escape(f"{entry['reason']}{override}{_refusing(entry)}"))
    Console().print(table if entries else f"No changes yet in {models}")
    if entries:
        typer.echo(f"{len(entries)} changes, unbroken, each signed by a trusted key")


def _refusing(entry: Mapping[str, Any]) -> str:
    failing = [line["gate"] for line in entry.get("gates", []) if line["passed"] is False]
    return f" (against: {', '.join(failing)})" if failing else ""


def _show_lineage(bundle: "Bundle", models: Path) -> None:
    from fedhealth.cli.promote import show_gates
    from fedhealth.registry.gates import Line
    from fedhealth.registry.lineage import lineage

    found = lineage(bundle, models)
    typer.echo(f"Version   {bundle.version}, hash {bundle.hash}")
    typer.echo(f"Signature {found.signed_by or 'none: it was never promoted'}")
    for change in found.changes:
        typer.echo(f"{change['action'].capitalize():9} {change['time']}: {change['reason'] or 'no reason given'}")
    if entry := found.promotion:
        typer.echo(f"Run       {entry.get('run') or 'unknown'}, report {(entry['report'] or 'none')[:12]}")
        if entry.get("override"):
            typer.echo(f"Override  {entry['override']}")
        if entry.get("gates"):
            show_gates([Line(**line) for line in entry["gates"]])
    else:
        typer.echo("History   no promotion here: it came as it is")
    _show_nodes(found.nodes)
    typer.echo("Every link holds: history, signature, report, bundle")


def _show_nodes(nodes: tuple[Mapping[str, Any], ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    from fedhealth.cli.progress import count

    table = Table("took part", "rows", "policy", "epsilon spent in the run", box=None)
    for node in nodes:
        spent = "none: answers without noise" if node["epsilon"] is None else f"{node['epsilon']:g}"
        table.add_row(node["name"], count(node["rows"]), (node["policy"] or "not told")[:12], spent)
    Console().print(table)


models_app.command()(promote)
models_app.command()(rollback)
