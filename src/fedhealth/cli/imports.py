"""``fedhealth data import``: exports of devices, clinics and stations become a node's table."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fedhealth.cli import options
from fedhealth.cli.errors import plain_errors, polite_end, refuse
from fedhealth.study import DEFAULT_STUDY

SHOWN = 8  # kinds of rows of a file; all are in the report
Kind = StrEnum("Kind", ["csv", "parquet", "air-quality", "apple-health", "fhir", "fitbit"])


def import_data(
    what: Annotated[
        list[str],
        typer.Argument(metavar="[KIND] PATH...", help=f"Files or folders; before them their kind: {', '.join(Kind)}."),
    ],
    node: Annotated[str, typer.Option(help="The node whose table is made, such as node_1.")],
    study: options.Study = DEFAULT_STUDY,
    data: options.NodeData = Path("data"),
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="NAME=COLUMN[@UNIT]", help="csv, parquet: where person, date, city, a feature is."
        ),
    ] = None,
    person: Annotated[str | None, typer.Option(help="Whom files are about that name no one.")] = None,
    city: Annotated[str | None, typer.Option(help="Where files are from that name no city.")] = None,
    zone: Annotated[
        str, typer.Option("--timezone", help="Where clocks were that show no offset, such as Asia/Karachi.")
    ] = "UTC",
) -> None:
    """Make a node's table from export files, with a quality report beside it that stays there.

    All files are read together; the table that was there is replaced once all is complete. Without KIND each file is
    looked at to see what it is.
    """
    from fedhealth.data.imports.run import import_files
    from fedhealth.study import load_study

    kind, paths = _kind_and_paths(what)
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    told = {"person": person, "city": city, "zone": zone, "columns": _columns(columns or [])}
    with polite_end(), plain_errors():
        loaded = load_study(study)
        with _progress(paths) as advance:
            report = import_files(loaded, node, paths, kind, data, now, advance, **told)
    _show(report)
    table = data / loaded.node(node).file
    typer.echo(f"{table} written; the report is in {table.with_name(table.stem + '.import.html')} and stays there")


def _kind_and_paths(what: list[str]) -> tuple[Kind | None, list[Path]]:
    kind = Kind(what[0]) if what[0] in list(Kind) else None
    paths = [Path(path) for path in what[1 if kind else 0 :]]
    if not paths:
        refuse(f"no file after {what[0]!r}; expected the paths of export files", code=2)
    return kind, paths


def _columns(told: list[str]) -> dict[str, str]:
    wrong = next((text for text in told if "=" not in text[1:]), None)
    if wrong is not None:
        refuse(f"--map {wrong!r}: expected NAME=COLUMN or NAME=COLUMN@UNIT", code=2)
    return dict(text.split("=", 1) for text in told)


@contextmanager
def _progress(paths: list[Path]) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        files = [f for path in paths for f in (path.rglob("*") if path.is_dir() else [path]) if f.is_file()]
        task = bar.add_task("Reading", total=sum(f.stat().st_size for f in files))
        yield lambda size: bar.advance(task, size)


def _show(report: Mapping[str, Any]) -> None:
    from fedhealth.data.imports.quality_page import context_words, outcome_words, size_words

    console = Console()
    typer.echo(f"{report['node']}: {size_words(report)}")
    for file, counts in report["files"].items():
        found = [f"{count:,} {what}" for what, count in counts.items()]
        more = [f"{len(found) - SHOWN} kinds more"] if len(found) > SHOWN else []
        typer.echo(f"  read {file}: " + ", ".join([*found[:SHOWN], *more]))
    for dropped in report["dropped"]:
        example = f" (such as {dropped['example']})" if dropped["example"] else ""
        typer.echo(f"  dropped {dropped['readings']:,} readings: {dropped['reason']}{example}")
    for what, count in report["unusable"].items():
        typer.echo(f"  unusable days: {count:,} of {what}")
    for change, count in report["converted"].items():
        typer.echo(f"  converted {count:,}: {change}")
    gaps = report["gaps"]
    typer.echo(f"  {gaps['days_missing']:,} days missing in between, at most {gaps['longest']:,} in a row")
    for place, air in report["air_now"].items():
        typer.echo(f"  air quality index of {place} at {air['hour']} (NowCast): {air['aqi']:.0f}")
    for words in filter(None, (outcome_words(report), context_words(report))):
        typer.echo(f"  {words}")
    table = Table("feature", "days", "share", "lowest", "median", "highest", "unit", box=None)
    for name, f in report["features"].items():
        table.add_row(
            name,
            f"{f['days']:,}",
            f"{f['share']:.0%}",
            *(f"{f[k]:g}" for k in ("min", "median", "max")),
            escape(f["unit"]),
        )
    console.print(table)
    if report["missing"]:
        typer.echo(f"Without a usable day: {', '.join(report['missing'])}")
