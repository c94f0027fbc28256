"""MLflow's mirror of runs and of what is served. ``models/`` and its history are the truth; this is for looking at.

It is kept in ``runs/mlflow.db`` (SQLite), or where ``MLFLOW_TRACKING_URI`` says, such as a PostgreSQL database.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow

from fedhealth.registry.bundle import Bundle
from fedhealth.registry.charts import charts
from fedhealth.registry.standing import ALIASES, challenger, versions

logging.getLogger("mlflow").setLevel(logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)


def track(report: Mapping[str, Any], folder: Path, runs: Path) -> str:
    """Record a finished run of ``folder``: settings, metrics, charts and files; gives back MLflow's id of it.

    Metrics are named ``global.auroc``, ``node_1.loss``, ``local.node_1.auroc``, ...; per-round ones have the round as
    their step.
    """
    client = _client(runs)
    run = client.create_run(_experiment(client, report["study"], runs), run_name=folder.name).info.run_id
    for name in ("study", "outcome", "model", "seed", "policy", "synthetic"):
        client.log_param(run, name, report[name])
    if report["bundle"]:
        client.set_tag(run, "bundle", report["bundle"]["hash"])
    client.log_batch(
        run, metrics=[mlflow.entities.Metric(name, value, 0, step) for name, value, step in _metrics(report)]
    )
    client.log_artifacts(run, str(folder))
    for name, figure in charts(report).items():
        client.log_figure(run, figure, f"charts/{name}.png")
    client.set_terminated(run)
    return str(run)


def mirror_versions(models: Path, runs: Path) -> None:
    """Register every version that ``models`` keeps under its study's name, and set the aliases as they are now.

    Versions carry the tags ``version`` and ``hash``; a version whose run was recorded is linked to it.
    """
    client = _client(runs)
    for known in versions(models, runs):
        if known.standing == "trained":
            continue
        number = _register(client, known.bundle, known.folder, runs)
        if known.standing in ALIASES:
            client.set_registered_model_alias(known.bundle.study.name, known.standing, number)
    if challenger(models) is None:
        for model in client.search_registered_models():
            if "challenger" in model.aliases:
                client.delete_registered_model_alias(model.name, "challenger")


def _register(client: mlflow.MlflowClient, bundle: Bundle, folder: Path, runs: Path) -> str:
    """MLflow's number of the version, which is made if there is none yet."""
    name = bundle.study.name
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    for made in client.search_model_versions(f"name = '{name}'"):
        if made.tags.get("hash") == bundle.hash:
            return str(made.version)
    recorded = client.search_runs([_experiment(client, name, runs)], f"tags.bundle = '{bundle.hash}'", max_results=1)
    run = recorded[0].info if recorded else None
    source = run.artifact_uri if run else folder.resolve().as_uri()
    tags = {"version": bundle.version, "hash": bundle.hash}
    return str(client.create_model_version(name, source, run.run_id if run else None, tags=tags).version)


def _client(runs: Path) -> mlflow.MlflowClient:
    runs.mkdir(parents=True, exist_ok=True)
    own = f"sqlite:///{(runs / 'mlflow.db').resolve()}"
    return mlflow.MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or own)


def _experiment(client: mlflow.MlflowClient, name: str, runs: Path) -> str:
    known = client.get_experiment_by_name(name)
    return str(known.experiment_id if known else client.create_experiment(name, (runs / "mlflow").resolve().as_uri()))


def _metrics(report: Mapping[str, Any]) -> Iterator[tuple[str, float, int]]:
    for finished in report["rounds"]:
        yield "train_loss", finished["train_loss"], finished["round"]
        found = {f"global.{name}": value for name, value in finished["global"].items()}
        found |= {f"{node['name']}.loss": node["loss"] for node in finished["nodes"]}
        yield from ((name, value, finished["round"]) for name, value in found.items() if value is not None)
    last = report["rounds"][-1]["round"] if report["rounds"] else 0
    groups = {"held_out": report["global"], "pooled_rows": report["pooled_rows"]}
    groups |= {f"{kind}.{node['name']}": node[kind] for node in report["nodes"] for kind in ("local", "global")}
    for group, found in groups.items():
        yield from ((f"{group}.{name}", v, last) for name, v in (found or {}).items() if v is not None)
