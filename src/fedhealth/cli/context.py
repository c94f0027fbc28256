"""``fedhealth context``: a city's environment, day by day, for nodes that know their people's cities."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedhealth.cli import options
from fedhealth.study import DEFAULT_STUDY

if TYPE_CHECKING:
    import polars as pl

context_app = typer.Typer(
    no_args_is_help=True,
    help="Air and weather by city and day: a city's node publishes them, nodes of people pull and join them.",
)


@context_app.command()
def publish(
    node: Annotated[str, typer.Option(help="The node whose air and weather are told, such as node_2.")],
    out: Annotated[Path, typer.Option(help="CSV file to write; put it where the others can get it.", dir_okay=False)],
    study: options.Study = DEFAULT_STUDY,
    data: options.NodeData = Path("data"),
    runs: Annotated[Path, typer.Option(help="Folder with the node's record of what left it.")] = Path("runs"),
) -> None:
    """Write the means of each city and day to a file for others, and a line to the node's record of what left it.

    Only a node without people does this: by running it, its owner consents to tell these values.
    """
    import numpy as np

    from fedhealth.cli.errors import plain_errors
    from fedhealth.data.imports.context import city_days, write_context
    from fedhealth.federation import Contribution
    from fedhealth.privacy import audit, audit_file
    from fedhealth.study import load_study

    with plain_errors():
        loaded = load_study(study)
        days = city_days(loaded, node, data)
        told = {name: np.zeros(days.height) for name in days.columns}
        log = audit_file(node, runs / "audit", data)
        audit.append(log, node, loaded.hash, "context", Contribution(told, days.height))
        write_context(loaded, days, out)
    typer.echo(f"{out} written: {_what(days)}")


@context_app.command()
def pull(
    source: Annotated[str, typer.Argument(help="What was published: a file, or an http(s) address.")],
    node: Annotated[str, typer.Option(help="The node that joins it to its people's days, such as node_1.")],
    study: options.Study = DEFAULT_STUDY,
    data: options.NodeData = Path("data"),
) -> None:
    """Fetch the whole table of all cities; the next `fedhealth data import` joins it by city and day.

    The join happens here. Nobody is told which of the cities are asked about.
    """
    from fedhealth.cli.errors import plain_errors
    from fedhealth.data.imports.context import FILE, pull_context
    from fedhealth.study import load_study

    with plain_errors():
        loaded = load_study(study)
        days = pull_context(loaded, node, data, source)
    place = (data / loaded.node(node).file).with_name(FILE)
    typer.echo(f"{place} written: {_what(days)}; fedhealth data import joins it")


def _what(days: "pl.DataFrame") -> str:
    import polars as pl

    features = ", ".join(name for name in days.columns if name not in ("city", "date"))
    cities = days["city"].n_unique()
    first, last = days.select(
        first=pl.col("date").min().cast(pl.String), last=pl.col("date").max().cast(pl.String)
    ).row(0)
    return f"{days.height:,} days of {cities} cities, {first} to {last}: {features}"
