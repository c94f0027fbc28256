"""``fedhealth simulate``: many small synthetic nodes in this process, trained together."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from fedhealth.cli import options
from fedhealth.cli.training import Model, require_torch

if TYPE_CHECKING:
    from fedhealth.federation import Round
    from fedhealth.runtime.simulation import Clock


def simulate(
    nodes: Annotated[
        int, typer.Option(min=1, help="How many nodes; in turn each sees what node 1, 2 or 3 of health-risk sees.")
    ] = 300,
    rounds: Annotated[
        int, typer.Option(min=1, help="Rounds of averaging the mlp; additive and logistic end by themselves.")
    ] = 12,
    rows: Annotated[int, typer.Option(min=10, help="Rows of each node; a fifth of them is held out.")] = 200,
    model: Annotated[
        Model, typer.Option(help="mlp: a neural network; additive: a curve per feature; logistic: straight lines.")
    ] = Model.mlp,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything: the same command gives the same model.")] = 0,
    report: options.Report = None,
) -> None:
    """Simulate a federation of many small nodes that see unlike columns, on synthetic rows.

    All nodes of a round are trained together in one process, in chunks, with the same result as one after another.
    While it runs you see how many nodes finish a round of training in a second (client-rounds per second) and the most
    memory held; at the end, how well the model predicts rows that were held out.

    Try: fedhealth simulate --nodes 1000 --rows 100 --rounds 5
    """
    from fedhealth.cli.errors import plain_errors
    from fedhealth.runtime import simulation

    if model is Model.mlp:
        require_torch()
    with plain_errors():
        with _shown(nodes * (rounds + 1) if model is Model.mlp else None) as shown:
            found = simulation.simulate(nodes, rows, rounds, model.value, seed, shown.answer, shown.round)
        if report:
            report.parent.mkdir(parents=True, exist_ok=True)
            report.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    _summarise(found)


class _Shown:
    """A bar on a terminal; elsewhere one line a round."""

    def __init__(self, console: Console, bar: Progress, client_rounds: int | None) -> None:
        self._console, self._bar = console, bar
        self._task = bar.add_task("Drawing rows and scaling", total=client_rounds, speed="")

    def answer(self, step: str, nodes: int, clock: "Clock") -> None:
        """Some nodes have answered a step."""
        from fedhealth.runtime.simulation import TRAINING, peak_memory

        if step in TRAINING:
            speed = f"{clock.rate:,.0f} client-rounds/s, {peak_memory() / 1e6:,.0f} MB"
            self._bar.update(self._task, description="Training", advance=nodes, speed=speed)

    def round(self, finished: "Round", clock: "Clock") -> None:
        """A round is finished."""
        from fedhealth.runtime.simulation import peak_memory

        text = f"round={finished.number} train_loss={finished.train_loss:.6f} client_rounds_per_second={clock.rate:.0f}"
        self._console.print(f"{text} peak_memory_mb={peak_memory() / 1e6:.0f}", highlight=False, soft_wrap=True)


@contextmanager
def _shown(client_rounds: int | None) -> Iterator[_Shown]:
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[speed]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield _Shown(console, bar, client_rounds)


def _summarise(found: dict[str, Any]) -> None:
    from fedhealth.cli.progress import figure

    held_out, seconds = found["held_out"], found["seconds"]
    speed, peak = found["client_rounds_per_second"], found["peak_memory_bytes"] / 1e6
    typer.echo(f"{found['nodes']:,} nodes with {found['rows_per_node']:,} synthetic rows each, model {found['model']}")
    quality = f"{figure(held_out['auroc'])} (Brier {figure(held_out['brier'])})"
    typer.echo(f"  AUROC on {held_out['n']:,} held-out rows: {quality}")
    typer.echo(f"  {speed:,.0f} client-rounds per second; peak memory {peak:,.0f} MB")
    typer.echo(f"  {seconds['drawing']:.1f} s to draw the rows, {seconds['all']:.1f} s in all")
