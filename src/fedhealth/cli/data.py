"""``fedhealth data``: make the tables that the nodes of the default study train on."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from fedhealth.cli.errors import refuse
from fedhealth.cli.imports import import_data

data_app = typer.Typer(no_args_is_help=True, help="Make data to train on.")
data_app.command("import")(import_data)


@data_app.command()
def generate(
    out: Annotated[Path, typer.Option(help="Folder to write to; made if missing.", file_okay=False)] = Path("data"),
    rows: Annotated[int, typer.Option(min=1, help="Rows of each node.")] = 30_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the world; the same seed gives the same bytes.")] = 7,
) -> None:
    """Write a synthetic world: three nodes' tables and world.json."""
    console = Console()
    try:
        world = _write(out, rows, seed, console)
    except OSError as error:
        refuse(f"cannot write to {out}: {error.strerror or error}; name another folder")
    _report(world, out)


def _write(out: Path, rows: int, seed: int, console: Console) -> dict[str, Any]:
    from fedhealth.data.synthetic import write_world

    if not console.is_terminal:
        return write_world(out, rows, seed)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Drawing people and their days", total=3 * rows)
        return write_world(out, rows, seed, progress=lambda done: bar.advance(task, done))


def _report(world: dict[str, Any], out: Path) -> None:
    typer.echo(f"Synthetic world (no real people or measurements): seed {world['seed']}.")
    for (node, prevalence), file in zip(world["prevalence"].items(), world["sha256"], strict=True):
        reachable = world["best"]["subsets"][node]["auroc"]
        line = f"{world['rows']:,} rows, prevalence {prevalence:.1%}, best reachable AUROC {reachable:.3f}"
        typer.echo(f"  {out / file}: {line}")
    best = {name: world["best"]["subsets"][name]["auroc"] for name in ("all", "citizen")}
    typer.echo(f"  {out / 'world.json'}: seed, checksums and the best that any model can reach")
    typer.echo(f"Best reachable AUROC: {best['all']:.3f} on all features, {best['citizen']:.3f} on the form's eight.")
