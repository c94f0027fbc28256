"""``fedhealth models``: which model is served, which could be, and changing that."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

models_app = typer.Typer(no_args_is_help=True, help="List models, promote one, roll back.")

Models = Annotated[Path, typer.Option(help="Folder of the published bundle.")]
Runs = Annotated[Path, typer.Option(help="Folder with the runs' bundles.")]
Reason = Annotated[str, typer.Option(prompt=True, help="Why; kept in the history.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


@models_app.command("list")
def list_models(models: Models = Path("models"), runs: Runs = Path("runs")) -> None:
    """List every version: the champion (served), former ones, and challengers from runs."""
    from rich.console import Console
    from rich.table import Table

    from fedhealth.cli.progress import figure
    from fedhealth.registry import versions

    table = Table("version", "standing", "outcome", "model", "AUROC", "slope", "data", box=None)
    table.columns[0].no_wrap = True
    for known in versions(models, runs):
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
def promote(
    version: Annotated[str, typer.Argument(help="First digits of a version, or a run's folder.")],
    reason: Reason,
    models: Models = Path("models"),
    runs: Runs = Path("runs"),
    yes: Yes = False,
) -> None:
    """Serve another version; running APIs pick it up within a second."""
    from fedhealth.cli.errors import plain_errors
    from fedhealth.registry import champion, find_version, publish, versions

    with plain_errors():
        chosen = find_version(version, versions(models, runs))
        before = champion(models)
        _confirm(f"Serve {chosen.bundle.version} instead of {before.version if before else 'nothing'}?", yes)
        bundle = publish(chosen.folder, models, "promote", reason)
    typer.echo(f"Serving {bundle.version}")


@models_app.command()
def rollback(reason: Reason, models: Models = Path("models"), yes: Yes = False) -> None:
    """Serve the champion's predecessor again."""
    from fedhealth.cli.errors import plain_errors
    from fedhealth.registry import champion
    from fedhealth.registry import rollback as go_back

    with plain_errors():
        now = champion(models)
        _confirm(f"Roll back from {now.version if now else 'nothing'} to its predecessor?", yes)
        bundle = go_back(models, reason)
    typer.echo(f"Serving {bundle.version}")


def _confirm(question: str, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True)
