"""``fedhealth monitor``: is the served model still right for who asks? For cron: the exit code tells."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedhealth.cli import options
from fedhealth.cli.progress import figure

if TYPE_CHECKING:
    from fedhealth.cli.training import Training
    from fedhealth.monitoring.store import Store
    from fedhealth.monitoring.watch import Look
    from fedhealth.privacy import Budget
    from fedhealth.registry import Bundle

ALARM = 2
monitor_app = typer.Typer(no_args_is_help=True, help="Watch the served model; train a challenger where it drifts.")


@monitor_app.callback()
def _monitor() -> None:
    """Commands over the store and the published model."""


@monitor_app.command()
def run(
    models: options.Models = Path("models"),
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days to look at, up to the newest reading.")] = 60,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="On an alarm, start a federated run and leave its bundle as a challenger.")
    ] = False,
    data: Annotated[Path, typer.Option(help="Folder with the nodes' tables, for --retrain.", file_okay=False)] = Path(
        "data"
    ),
    runs: options.Runs = Path("runs"),
) -> None:
    """Compare recent readings and outcomes with what the model learnt from; bring alerts up to date; tell the webhook.

    Before, delete rows that are older than FEDHEALTH_KEEP_DAYS.

    Exit code 0: all as it should be. 2: an alarm, named on the last lines. 1: it could not be checked, which is an
    alert of its own. From cron, every hour: 0 * * * * fedhealth monitor run
    """
    from fedhealth.cli.errors import plain_errors
    from fedhealth.monitoring.store import Store
    from fedhealth.registry import load_signed

    with plain_errors():
        store = Store()
        with checked(store, "monitor"):
            _delete_old(store)
            bundle = load_signed(models)
            found = _look(store, bundle, days)
        if found is None:
            typer.echo("Nothing is stored yet, so there is nothing to compare")
            return
        _show(found)
        if found.alarms and retrain:
            _retrain(bundle, data, models, runs)
    if found.alarms:
        raise typer.Exit(ALARM)


def _delete_old(store: "Store") -> None:
    from fedhealth.monitoring.ageing import delete_old
    from fedhealth.monitoring.retention import days_kept
    from fedhealth.monitoring.store import StoreError

    days = days_kept()
    with store.session() as session:
        deleted = delete_old(session, datetime.now(UTC), days)
    with suppress(StoreError):  # somebody reads: the next run overwrites it
        store.forget()
    if deleted:
        typer.echo(f"Deleted {deleted:,} rows older than {days} days")


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


@contextmanager
def checked(store: "Store", rule: str) -> Iterator[None]:
    """What fails within the block is an alert of the ``rule``; the webhook is told at the end of it."""
    from fedhealth.monitoring.webhook import deliver

    try:
        yield
    except Exception as error:
        _note_failure(store, rule, error)
        deliver(store)
        raise
    deliver(store)


def _note_failure(store: "Store", rule: str, error: Exception) -> None:
    from fedhealth.monitoring.alerts import fail
    from fedhealth.monitoring.store import StoreError

    try:
        with store.session() as session:
            fail(session, rule, str(error), datetime.now(UTC))
    except StoreError:
        pass  # it is the store that is away; the error says so


def _show(found: "Look") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    table.add_column("feature", no_wrap=True)
    for name in ("readings", "PSI", "JS", "limit", "drift", "missing", "before", "drift"):
        table.add_column(name)
    gone = {one.feature: one for one in found.missing}
    for one in found.features:
        lost = gone[one.feature]
        figures = [figure(value, 3) for value in (one.psi, one.jensen_shannon, one.threshold)]
        missing = [f"{100 * lost.now:.0f} %", f"{100 * lost.before:.0f} %", lost.status]
        table.add_row(one.feature, f"{one.n:,}", *figures, one.status, *missing)
    typer.echo(
        f"The {found.days} days up to {found.as_of:%Y-%m-%d %H:%M} UTC; each limit is passed by chance once in 100"
    )
    Console().print(table)
    _show_score(found)
    for alarm in found.alarms:
        typer.secho(f"Alarm: {alarm}", fg="red")


def _show_score(found: "Look") -> None:
    score, expected, known = found.score, found.performance.expected, found.performance
    shift, limit, auroc, brier = (
        figure(value, 3) for value in (score.shift, score.threshold, expected.auroc, expected.brier)
    )
    typer.echo(f"Score: log-odds moved by {shift} (limit {limit}): {score.status}")
    typer.echo(f"Without labels: AUROC {auroc}, Brier {brier} are to be expected")
    typer.echo(f"Outcomes known: {known.known:,}; {known.status}")
    if known.realised:
        names = ("auroc", "brier", "calibration_slope", "calibration_intercept")
        typer.echo("Realised: " + ", ".join(f"{name} {figure(known.realised[name], 3)}" for name in names))


def _retrain(bundle: "Bundle", data: Path, models: Path, runs: Path) -> None:
    """Train anew as ``bundle`` was trained, unless a challenger waits or the nodes' rows are those of the last time."""
    from fedhealth.cli.run_folders import finished_run, inputs_hash, remember_inputs
    from fedhealth.cli.train import run_training
    from fedhealth.registry import challenge, challenger

    if waiting := challenger(models, bundle.version):
        typer.echo(f"Challenger {waiting} waits; nothing is trained before: fedhealth models promote challenger")
        return
    study, outcome, training = bundle.study.name, bundle.study.outcome.name, _as_before(bundle, models, runs)
    inputs = inputs_hash(data, study, outcome, _named(training), training.seed)
    if finished_run(runs, inputs):
        typer.echo("Nothing is trained: the nodes' rows are those of the last time")
        return
    trained, _, folder = run_training(study, data, outcome, training)
    remember_inputs(folder, inputs)
    if trained is None or trained.hash == bundle.hash:
        typer.echo("Trained again, it is the model that is served: the nodes' rows are the same")
        return
    challenge(folder, models, "trained after an alarm")
    typer.echo(f"Challenger {trained.version} in {folder}; promote it with: fedhealth models promote challenger")


def _named(training: "Training") -> str:
    """The settings of a run here, as the hash of its inputs names them."""
    added = [", interactions"] if training.interactions else []
    added += [f", {training.budget}"] if training.budget else []
    return f"{training.model} on local{''.join(added)}"


def _as_before(bundle: "Bundle", models: Path, runs: Path) -> "Training":
    from fedhealth.cli.training import Model, Training

    kind, interactions, budget = Model(bundle.facts["model"]), len(bundle.model.design.pairs) > 0, budget_of(bundle)
    return Training(kind, bundle.facts["seed"], interactions=interactions, budget=budget, runs=runs, models=models)


def budget_of(bundle: "Bundle") -> "Budget | None":
    """The privacy budget that a bundle was trained within; None without."""
    from fedhealth.privacy import Budget

    promised = bundle.facts.get("privacy")
    return Budget(promised["epsilon"], promised["delta"]) if promised else None
