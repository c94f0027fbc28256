"""``fedhealth models promote`` and ``rollback``: changing which model is served."""

import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedhealth.cli import options

if TYPE_CHECKING:
    from fedhealth.registry import Bundle
    from fedhealth.registry.gates import Line
    from fedhealth.serving.judging import Judgement

Runs = Annotated[Path, typer.Option(help="Folder with the runs' bundles.")]
Reason = Annotated[str, typer.Option(prompt=True, help="Why; kept in the history.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Name = Annotated[str, typer.Argument(help="First digits of a version, champion, challenger, or a run's folder.")]


class Alias(StrEnum):
    """What a version can be promoted to."""

    champion = "champion"
    challenger = "challenger"


def promote(
    version: Name,
    reason: Reason,
    models: options.Models = Path("models"),
    runs: Runs = Path("runs"),
    to: Annotated[
        Alias, typer.Option(help="champion: is served; challenger: is kept as the next one.")
    ] = Alias.champion,
    gates: Annotated[
        Path | None, typer.Option(help="Limits of the gates; default: MODELS/gates.toml, else those built in.")
    ] = None,
    override: Annotated[
        str, typer.Option(help="Serve it although gates refuse it, and why; kept in the history.")
    ] = "",
    yes: Yes = False,
) -> None:
    """Serve another version if it passes the gates; running APIs pick it up within a second.

    Prints what each gate found and needs. A version that a gate refuses is not served.
    """
    from fedhealth.cli.errors import plain_errors
    from fedhealth.registry import challenge, find_version, versions
    from fedhealth.serving.judging import examine, publish_judged

    with plain_errors():
        chosen = find_version(version, versions(models, runs))
        if to is Alias.challenger:
            challenge(chosen.folder, models, reason)
            typer.echo(f"Version {chosen.bundle.version} is the challenger")
            return
        if chosen.standing == Alias.champion:
            typer.echo(f"Serving {chosen.bundle.version} already")
            return
        judgement = examine(chosen.bundle, chosen.folder, models, gates)
        show_gates(judgement.lines)
        if not _may_pass(chosen.bundle, chosen.folder, models, judgement, reason, override):
            raise typer.Exit(1)
        confirm(f"Serve {chosen.bundle.version} instead of {judgement.champion}?", yes)
        bundle = publish_judged(chosen.folder, models, "promote", reason, judgement, override)
        typer.echo(f"Serving {bundle.version}")
        mirror(models, runs)


def rollback(
    reason: Reason, models: options.Models = Path("models"), runs: Runs = Path("runs"), yes: Yes = False
) -> None:
    """Serve the champion's predecessor again."""
    from fedhealth.cli.errors import plain_errors
    from fedhealth.registry import rollback as go_back
    from fedhealth.registry import served_last

    with plain_errors():
        confirm(f"Roll back from {served_last(models) or 'nothing'} to its predecessor?", yes)
        start = time.perf_counter()
        bundle = go_back(models, reason)
        typer.echo(f"Serving {bundle.version}, rolled back in {time.perf_counter() - start:.2f} s")
        mirror(models, runs)


def show_gates(lines: "Sequence[Line]") -> None:
    """The table of gates: what was found, what is needed, whether it passes."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("gate", "found", "needed", "pass", box=None)
    for line in lines:
        passed = {True: "[green]yes[/]", False: "[red]NO[/]", None: "–"}[line.passed]
        table.add_row(line.gate, escape(line.found), line.needed, passed)
    Console().print(table)


def _may_pass(bundle: "Bundle", folder: Path, models: Path, judgement: "Judgement", reason: str, override: str) -> bool:
    """Whether it may be served; a refusal names the failing gates and is written into the history."""
    from fedhealth.registry import note_refusal
    from fedhealth.serving.judging import evidence

    refused = judgement.refused
    for line in refused:
        said = "Overridden" if override else "Refused"
        typer.secho(f"{said}: {line.gate}: found {line.found}; needed {line.needed}", fg="red", err=True)
    if refused and not override:
        note_refusal(folder, models, reason, evidence(judgement, folder))
        typer.secho(f'Version {bundle.version} is not served; to serve it all the same: --override "reason"', err=True)
    return not refused or bool(override)


def mirror(models: Path, runs: Path) -> None:
    """Show in MLflow, where that is installed, which versions there are and which is served."""
    from importlib.util import find_spec

    if find_spec("mlflow"):
        from fedhealth.registry.tracking import mirror_versions

        mirror_versions(models, runs)


def confirm(question: str, yes: bool) -> None:
    """Go on only if the answer is yes."""
    if not yes:
        typer.confirm(question, abort=True)
