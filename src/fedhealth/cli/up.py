"""``fedhealth up``: from nothing to a served model with both dashboards."""

import socket
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from fedhealth.cli import options
from fedhealth.cli.data import generate
from fedhealth.cli.errors import plain_errors, refuse
from fedhealth.cli.services import Service, run_until_stopped
from fedhealth.cli.train import run_training
from fedhealth.cli.training import Training
from fedhealth.study import DEFAULT_STUDY

EXAMPLE = (
    '{"heart_rate": 88, "spo2": 97, "steps": 4500, "sleep_hours": 6, "age": 30, "smoker": 0, "chronic": 0, "aqi": 60}'
)


def up(
    data: Annotated[
        Path, typer.Option(help="Folder with the nodes' tables; filled with synthetic data if empty.")
    ] = Path("data"),
    models: options.Models = Path("models"),
    runs: options.Runs = Path("runs"),
    runtime: options.Runtime = options.RuntimeName.local,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, envvar="FEDHEALTH_PORT", help="Port of the API.")] = 8000,
    citizen_port: Annotated[
        int, typer.Option(min=1, max=65535, envvar="FEDHEALTH_CITIZEN_PORT", help="Port of the citizens' page.")
    ] = 8501,
    admin_port: Annotated[
        int, typer.Option(min=1, max=65535, envvar="FEDHEALTH_ADMIN_PORT", help="Port of the public-health page.")
    ] = 8502,
    flower_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the Flower server, while it trains.")
    ] = options.PORT,
) -> None:
    """Generate data if there is none, train if need be, publish, and serve; Ctrl-C stops it all.

    Served are the API, the citizens' and the public-health dashboards, and a feed of synthetic city readings.
    """
    from fedhealth.keys import key_file, load_key
    from fedhealth.study import load_study

    ports = {
        "--port or FEDHEALTH_PORT": port,
        "--citizen-port or FEDHEALTH_CITIZEN_PORT": citizen_port,
        "--admin-port or FEDHEALTH_ADMIN_PORT": admin_port,
    }
    if runtime is options.RuntimeName.flower:
        ports["--flower-port"] = flower_port
    _refuse_taken(host, ports)
    with plain_errors():
        study = load_study(DEFAULT_STUDY)
        if any((data / node.file).is_file() for node in study.nodes):
            typer.echo(f"Data: using the tables in {data}")
        else:
            generate(data)
        _train_and_publish(data, models, runs, runtime, flower_port)
        load_key(create=True)
    services = _services(models, runs, host, port, citizen_port, admin_port)
    _say_where(services, port, citizen_port, admin_port, key_file())
    run_until_stopped(services)


def _refuse_taken(host: str, ports: Mapping[str, int]) -> None:
    """Say before any work which port cannot be had, and how to choose another."""
    for option, port in ports.items():
        try:
            socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
        except OSError as error:
            refuse(f"cannot listen on {host}, port {port} ({error.strerror}); choose another with {option}")


def _train_and_publish(data: Path, models: Path, runs: Path, runtime: options.RuntimeName, flower_port: int) -> None:
    from fedhealth.cli.progress import show_results
    from fedhealth.cli.run_folders import finished_run, inputs_hash, remember_inputs
    from fedhealth.registry import BundleError, champion

    inputs = inputs_hash(data, DEFAULT_STUDY, None, f"additive on {runtime}", 0)
    folder = finished_run(runs, inputs)
    if folder:
        typer.echo(f"Training: data and settings unchanged, using {folder}")
    else:
        training = Training(runs=runs, models=models)
        _, report, folder = run_training(DEFAULT_STUDY, data, None, training, runtime, flower_port)
        show_results(report)
        _write_network(data, models, runs)
        remember_inputs(folder, inputs)
        _publish(folder, models, "newly trained")
    if champion(models) is None:
        _publish(folder, models, "nothing was published")
    served = champion(models)
    if served is None:
        raise BundleError(
            f"{folder}: gates refuse it and {models} holds no other; see: fedhealth models promote --help"
        )
    typer.echo(f"Published: bundle {served.version} in {models}")


def _publish(folder: Path, models: Path, reason: str) -> None:
    """Publish what the run in ``folder`` trained if it passes the gates; else it becomes the challenger."""
    from fedhealth.cli.promote import show_gates
    from fedhealth.registry import challenge, load_bundle
    from fedhealth.serving.judging import examine, publish_judged

    judgement = examine(load_bundle(folder), folder, models)
    if judgement.refused:
        show_gates(judgement.lines)
        typer.secho(f"Gates refuse the model in {folder}; it is the challenger", fg="yellow")
        challenge(folder, models, f"{reason}, refused by the gates")
    else:
        publish_judged(folder, models, "publish", reason, judgement)


def _write_network(data: Path, models: Path, runs: Path) -> None:
    """Train a neural net too, to compare, where PyTorch is installed and the nodes let it be trained without noise."""
    if not find_spec("torch"):
        return
    from fedhealth.data.dataset import load_dataset
    from fedhealth.privacy import PolicyRefusal
    from fedhealth.runtime.local import exchange_in_process
    from fedhealth.runtime.network import write_global_model
    from fedhealth.study import load_study

    study = load_study(DEFAULT_STUDY)
    exchange = exchange_in_process(study, load_dataset(study, data, 0).shards, runs / "audit", data)
    try:
        written = write_global_model(study, exchange, models, 0)
    except PolicyRefusal as error:
        typer.echo(f"Neural net: none; {error}")
    else:
        typer.echo(f"Neural net: {written}, by federated averaging")


def _services(models: Path, runs: Path, host: str, port: int, citizen_port: int, admin_port: int) -> list[Service]:
    address = f"http://127.0.0.1:{port}"
    api = ["-m", "fedhealth", "serve", "--models", str(models), "--host", host, "--port", str(port)]
    services = [Service("API", api, {"FEDHEALTH_RUNS": str(runs)})]
    if find_spec("streamlit"):
        pages = {
            "FEDHEALTH_API": address,
            "FEDHEALTH_DASHBOARD_HOST": host,
            "FEDHEALTH_CITIZEN_PORT": str(citizen_port),
            "FEDHEALTH_ADMIN_PORT": str(admin_port),
            "FEDHEALTH_ADMIN_OPENED": "1",
        }
        services += [Service(p, ["-m", f"fedhealth.dashboards.{p}"], pages) for p in ("citizen", "admin")]
    return [*services, Service("feed", ["-m", "fedhealth", "feed", "--api", address], {})]


def _say_where(services: list[Service], port: int, citizen_port: int, admin_port: int, key: Path) -> None:
    typer.echo(f"\nAPI               http://127.0.0.1:{port}/docs")
    if any(service.name == "citizen" for service in services):
        typer.echo(f"Citizens          http://127.0.0.1:{citizen_port}")
        typer.echo(f"Public health     http://127.0.0.1:{admin_port}   (key: {key})")
    else:
        typer.echo("Dashboards        not installed; get them with: pip install 'fedhealth[dashboard]'")
    typer.echo("\nCity readings are synthetic and replayed by a feed. Ctrl-C stops everything.")
    typer.echo("Ask for a risk, from another terminal:")
    typer.echo(f"  curl -s http://127.0.0.1:{port}/predict -H 'Content-Type: application/json' -d '{EXAMPLE}'\n")
