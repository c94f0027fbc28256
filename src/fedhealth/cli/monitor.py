"""``fedhealth monitor``: is the served model still right for who asks? For cron: the exit code tells."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedhealth.monitoring.store import Store
    from fedhealth.monitoring.watch import Look
    from fedhealth.registry import Bundle

ALARM = 2
monitor_app = typer.Typer(no_args_is_help=True, help="Watch the served model; train a challenger where it drifts.")


@monitor_app.callback()
def _monitor() -> None:
    """Commands over the store and the published model."""


@monitor_app.command()
def run(
    models: Annotated[Path, typer.Option(help="Folder of the published bundle.", file_okay=False)] = Path("models"),
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days to look at, up to the newest reading.")] = 60,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="On an alarm, start a federated run and leave its bundle as a challenger.")
    ] = False,
    data: Annotated[Path, typer.Option(help="Folder with the nodes' tables, for --retrain.", file_okay=False)] = Path(
        "data"
    ),
    runs: Annotated[Path, typer.Option(help="Folder that keeps each run's bundle and report.", file_okay=False)] = Path(
        "runs"
    ),
) -> None:
    """Compare recent readings and outcomes with what the model learnt from; bring alerts up to date; tell the webhook.

    Exit code 0: all as it should be. 2: an alarm, named on the last lines. 1: it could not be checked, which is an
    alert of its own. From cron, every hour: 0 * * * * fedhealth monitor run
    """
    from fedhealth.cli.errors import plain_errors
    from fedhealth.monitoring.store import Store
    from fedhealth.monitoring.webhook import deliver
    from fedhealth.registry import load_bundle

    with plain_errors():
        store = Store()
        try:
            bundle = load_bundle(models)
            found = _look(store, bundle, days)
        except Exception as error:
            _note_failure(store, error)
            deliver(store)
            raise
        deliver(store)
        if found is None:
            typer.echo("Nothing is stored yet, so there is nothing to compare")
            return
        _show(found)
        if found.alarms and retrain:
            _retrain(bundle, data, models, runs)
    if found.alarms:
        raise typer.Exit(ALARM)


def _look(store: "Store", bundle: "Bundle", days: int) -> "Look | None":
    from fedhealth.monitoring.cities import newest_time
    from fedhealth.monitoring.watch import look, raise_alerts

    with store.session() as session:
        as_of = newest_time(session)
        if as_of is None:
            return None
        found = look(session, bundle, as_of, days)
        raise_alerts(session, found, datetime.now(UTC))
    return found


def _note_failure(store: "Store", error: Exception) -> None:
    from fedhealth.monitoring.alerts import fail
    from fedhealth.monitoring.store import StoreError

    try:
        with store.session() as session:
            fail(session, "monitor", str(error), datetime.now(UTC))
    except StoreError:
        pass  # it is the store that is away; the error says so


def _show(found: "Look") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("feature", "readings", "PSI", "JS", "limit", "drift", "missing", "before", "limit", "drift", box=None)
    gone = {one.feature: one for one in found.missing}
    for one in found.features:
        lost = gone[one.feature]
        figures = [f"{one.n:,}", _figure(one.psi), _figure(one.jensen_shannon), _figure(one.threshold), one.status]
        missing = [f"{100 * lost.now:.0f} %", f"{100 * lost.before:.0f} %", _figure(lost.threshold), lost.status]
        table.add_row(one.feature, *figures, *missing)
    typer.echo(
        f"The {found.days} days up to {found.as_of:%Y-%m-%d %H:%M} UTC; each limit is passed by chance once in 100"
    )
    Console().print(table)
    _show_score(found)
    for alarm in found.alarms:
        typer.secho(f"Alarm: {alarm}", fg="red")


def _show_score(found: "Look") -> None:
    score, expected, known = found.score, found.performance.expected, found.performance
    typer.echo(f"Score: log-odds moved by {_figure(score.shift)} (limit {_figure(score.threshold)}): {score.status}")
    typer.echo(f"Without labels: AUROC {_figure(expected.auroc)}, Brier {_figure(expected.brier)} are to be expected")
    typer.echo(f"Outcomes known: {known.known:,}; {known.status}")
    if known.realised:
        names = ("auroc", "brier", "calibration_slope", "calibration_intercept")
        typer.echo("Realised: " + ", ".join(f"{name} {_figure(known.realised[name])}" for name in names))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _retrain(bundle: "Bundle", data: Path, models: Path, runs: Path) -> None:
    from fedhealth.cli.train import run_training
    from fedhealth.cli.training import Training
    from fedhealth.registry import challenge

    study = bundle.study
    trained, _, folder = run_training(study.name, data, study.outcome.name, Training(runs=runs, models=models))
    if trained is None or trained.hash == bundle.hash:
        typer.echo("Trained again, it is the model that is served: the nodes' rows are the same")
        return
    challenge(folder, models, "trained after an alarm")
    typer.echo(f"Challenger {trained.version} in {folder}; promote it with: fedhealth models promote challenger")
