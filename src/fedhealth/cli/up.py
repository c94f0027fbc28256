"""``fedhealth up``: from nothing to a served model."""

from pathlib import Path
from typing import Annotated

import typer

from fedhealth.cli.data import generate
from fedhealth.cli.train import Model, run_training

EXAMPLE = '{"heart_rate": 88, "spo2": 97, "steps": 4500, "sleep_hours": 6, "age": 30, "aqi": 60}'


def up(
    data: Annotated[
        Path, typer.Option(help="Folder with the nodes' tables; filled with synthetic data if empty.")
    ] = Path("data"),
    models: Annotated[Path, typer.Option(help="Folder of the published bundle.")] = Path("models"),
    runs: Annotated[Path, typer.Option(help="Folder that keeps each run's bundle and report.")] = Path("runs"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the API.")] = 8000,
) -> None:
    """Generate data if there is none, train if that was not done, publish, and serve the API; Ctrl-C stops it."""
    from fedhealth.cli.errors import plain_errors
    from fedhealth.study import load_study

    with plain_errors():
        study = load_study("health-risk")
        if any((data / node.file).is_file() for node in study.nodes):
            typer.echo(f"Data: using the tables in {data}")
        else:
            generate(data)
        _train_and_publish(data, models, runs)
    _say_where(host, port)
    from fedhealth.serving import create_app, serve

    serve(host, port, create_app(models))


def _train_and_publish(data: Path, models: Path, runs: Path) -> None:
    from fedhealth.cli.progress import show_results
    from fedhealth.cli.runs import fingerprint, finished_run, remember_inputs
    from fedhealth.registry import publish

    inputs = fingerprint(data, "health-risk", None, Model.additive.value, 0)
    folder = finished_run(runs, inputs)
    if folder:
        typer.echo(f"Training: data and settings unchanged, using {folder}")
    else:
        _, report, folder = run_training("health-risk", data, None, Model.additive, 0, runs)
        show_results(report)
        remember_inputs(folder, inputs)
    typer.echo(f"Published: bundle {publish(folder, models).version} in {models}")


def _say_where(host: str, port: int) -> None:
    shown = "127.0.0.1" if host == "0.0.0.0" else host
    typer.echo(f"\nAPI        http://{shown}:{port}       (Ctrl-C stops it)")
    typer.echo(f"API docs   http://{shown}:{port}/docs")
    typer.echo("\nAsk for a risk, from another terminal:")
    typer.echo(f"  curl -s http://{shown}:{port}/predict -H 'Content-Type: application/json' -d '{EXAMPLE}'")
    typer.echo("Train another study:")
    typer.echo("  .venv/bin/fedhealth train --help\n")
