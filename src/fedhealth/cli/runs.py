"""``fedhealth runs``: which training runs there were, how they went and ended."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from fedhealth.runtime.events import LOG, read_log

runs_app = typer.Typer(no_args_is_help=True, help="Training runs: how they went and how they ended.")

Runs = Annotated[Path, typer.Option(help="Folder that keeps runs.", file_okay=False)]
Run = Annotated[str, typer.Argument(help="A run, or its first letters; default: the latest.")]
ENDINGS = ("finished", "failed", "interrupted")


@runs_app.command("list")
def list_runs(runs: Runs = Path("runs")) -> None:
    """List all runs, the latest last: what was trained, how it ended, which bundle it left."""
    from rich.console import Console
    from rich.table import Table

    table = Table("run", "model", "runtime", "rounds", "ended", "AUROC", "bundle", box=None)
    table.columns[0].no_wrap = True
    for events in map(read_log, _logs(runs)):
        first, last = events[0], events[-1]
        rounds = [event for event in events if event["event"] == "round"]
        ended = last["event"] if last["event"] in ENDINGS else "no: still running, or killed"
        auroc = last.get("auroc") or (rounds[-1]["auroc"] if rounds else None)
        names = (first["run"], str(first.get("model")), str(first.get("runtime")))
        table.add_row(*names, str(len(rounds)), ended, f"{auroc:.4f}" if auroc else "–", last.get("version") or "–")
    Console().print(table if table.rows else f"No runs in {runs} yet; start one with: fedhealth train")


@runs_app.command("show")
def show_run(run: Run = "", runs: Runs = Path("runs")) -> None:
    """Show one run: its nodes, who was lost or refused and why, and its results if it is finished."""
    from fedhealth.cli.errors import plain_errors
    from fedhealth.cli.progress import show_results
    from fedhealth.registry.bundle import REPORT

    with plain_errors():
        events = read_log(_find(runs, run))
    for event in events:
        if event["event"] not in ("step", "round"):
            typer.echo(_line(event))
    steps = [event for event in events if event["event"] == "step"]
    if steps:
        seconds, size = (sum(event[name] for event in steps) for name in ("seconds", "bytes"))
        typer.echo(f"{len(steps):,} questions to the nodes took {seconds:.1f} s; they answered with {size:,} bytes")
    if events[-1]["event"] == "finished":
        show_results(json.loads((Path(events[-1]["folder"]) / REPORT).read_text(encoding="utf-8")))


@runs_app.command("logs")
def show_logs(
    run: Run = "",
    runs: Runs = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="The log's own lines.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the run ends.")] = False,
) -> None:
    """Print a run's log: one line an event, with time, round, step, node."""
    from fedhealth.cli.errors import plain_errors

    with plain_errors():
        log = _find(runs, run)
    told = 0
    while True:
        events = read_log(log)
        for event in events[told:]:
            typer.echo(json.dumps(event) if as_json else _line(event))
        told = len(events)
        if not follow or events[-1]["event"] in ENDINGS:
            return
        time.sleep(0.5)


def _line(event: dict[str, Any]) -> str:
    facts = {name: value for name, value in event.items() if name not in ("time", "run", "event") and value is not None}
    said = " ".join(f"{name}={_said(value)}" for name, value in facts.items())
    return f"{event['time']} {event['event']} {said}".rstrip()


def _said(value: object) -> str:
    parts = [f"{name}:{one}" for name, one in value.items()] if isinstance(value, dict) else value
    return ",".join(parts) if isinstance(parts, list) else str(parts)


def _logs(runs: Path) -> list[Path]:
    return sorted(path for path in runs.glob(f"started/*/{LOG}") if read_log(path))


def _find(runs: Path, name: str) -> Path:
    found = [log for log in _logs(runs) if log.parent.name.startswith(name)]
    if not found:
        what = f"no run {name!r} in {runs}; see: fedhealth runs list"
        raise FileNotFoundError(what if name else f"no runs in {runs}; make one: fedhealth train")
    return found[-1]
