"""MLflow's mirror of a run: parameters, metrics by round and node, and the run's files. Local SQLite, no network."""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow

logging.getLogger("mlflow").setLevel(logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)


def track(report: Mapping[str, Any], folder: Path, runs: Path) -> str:
    """Record a finished run of ``folder`` in ``runs/mlflow.db``; gives back MLflow's id of it.

    Metrics are named ``global.auroc``, ``node_1.loss``, ``local.node_1.auroc``, ...; per-round ones have the round as
    their step.
    """
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{(runs / 'mlflow.db').resolve()}")
    experiment = _experiment(client, report["study"], runs)
    run = client.create_run(experiment, run_name=folder.name)
    for name in ("study", "outcome", "model", "seed", "policy", "synthetic"):
        client.log_param(run.info.run_id, name, report[name])
    if report["bundle"]:
        client.set_tag(run.info.run_id, "bundle", report["bundle"]["hash"])
    metrics = [mlflow.entities.Metric(name, value, 0, step) for name, value, step in _metrics(report)]
    client.log_batch(run.info.run_id, metrics=metrics)
    client.log_artifacts(run.info.run_id, str(folder))
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


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
