"""``fedhealth study``: look at studies and check your own."""

from typing import Annotated

import typer

from fedhealth.cli import options
from fedhealth.study import DEFAULT_STUDY

study_app = typer.Typer(no_args_is_help=True, help="List, show and check studies.")


@study_app.command("list")
def list_studies() -> None:
    """List the studies that come with FedHealth."""
    from fedhealth.study import builtin_studies, load_study

    for name in builtin_studies():
        study = load_study(name)
        outcomes = ", ".join(o.name for o in study.outcomes)
        typer.echo(f"{name:15s} {study.title} (outcome: {outcomes})")


@study_app.command()
def show(
    study: Annotated[str, typer.Argument(help="A built-in study's name or the path of a TOML file.")] = DEFAULT_STUDY,
    outcome: options.Outcome = None,
) -> None:
    """Check a study and print its features, nodes and hash."""
    from rich.console import Console
    from rich.table import Table

    from fedhealth.cli.errors import plain_errors
    from fedhealth.study import load_study

    with plain_errors():
        loaded = load_study(study, outcome)
    table = Table("feature", "meaning", "modality", "allowed", *(n.name for n in loaded.nodes), box=None)
    for feature in loaded.features:
        seen = ["yes" if feature.name in n.features else "may" if feature.anchor else "" for n in loaded.nodes]
        table.add_row(feature.name, feature.title, feature.modality, feature.allowed, *seen)
    typer.echo(f"{loaded.title}: risk of {loaded.outcome.title} (hash {loaded.hash[:12]})")
    Console().print(table)
