"""What a run leaves behind: a folder with its bundle and report, found again when its inputs have not changed."""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fedhealth.federation import Fit, NetworkFit
from fedhealth.model import RiskModel
from fedhealth.model.design import Floats
from fedhealth.registry import Bundle, BundleError, load_bundle, model_card, without_form, write_bundle
from fedhealth.registry.bundle import REPORT
from fedhealth.runtime.network import save_network
from fedhealth.study import Study, load_study

INPUTS = "inputs.sha256"


def write_run(
    study: Study, fit: Fit, report: Mapping[str, Any], runs: Path, policies: Mapping[str, str] = {}
) -> tuple[Bundle, dict[str, Any], Path]:
    """Write bundle and ``report.json`` to a folder of ``runs`` named by study and bundle version; give all three.

    Of each node they tell the hash of the policy it had (``policies``, by name) and the epsilon that the run spent
    there (None: answers without noise).
    """
    spent = report["privacy"]["epsilon"] if "privacy" in report else None
    nodes = [{**node, "policy": policies.get(node["name"]), "epsilon": spent} for node in report["nodes"]]
    report = {**report, "nodes": nodes}
    threshold = study.outcome.threshold
    facts = {
        **{key: report[key] for key in ("model", "seed", "policy", "synthetic", "penalty", "took_part", "nodes")},
        "subgroups": [{k: v for k, v in group.items() if k != "nodes"} for group in report["subgroups"]],
        "rounds": fit.rounds,
        "threshold": {"value": threshold, **{k: report["global"][k] for k in ("sensitivity", "specificity")}},
        "metrics": report["global"],
        **({"privacy": report["privacy"]} if "privacy" in report else {}),
        **({"synthetic_nodes": partly} if (partly := _partly_synthetic(report)) else {}),
        "versions": {name: version(name) for name in ("fedhealth", "numpy")},
    }
    return _write(study, fit.model, fit.reference, facts, report, runs)


def write_audited(folder: Path, leakage: Mapping[str, Any]) -> tuple[Bundle, Path]:
    """Write the run in ``folder`` anew beside it, with what an audit of leakage found in its facts and its card.

    Raises:
        BundleError: there is no report of a run in ``folder``.
    """
    old = load_bundle(folder)
    if not (folder / REPORT).is_file():
        raise BundleError(
            f"{folder}: no report.json here; to write a card, audit a run: fedhealth audit privacy runs/..."
        )
    report = {**json.loads((folder / REPORT).read_text(encoding="utf-8")), "leakage": leakage}
    facts = {**without_form(old.facts), "leakage": leakage}
    bundle, _, final = _write(old.study, old.model, old.reference, facts, report, folder.parent)
    return bundle, final


def _write(
    study: Study,
    model: RiskModel,
    reference: Mapping[str, Floats],
    facts: Mapping[str, Any],
    report: Mapping[str, Any],
    runs: Path,
) -> tuple[Bundle, dict[str, Any], Path]:
    rounded, folder = _rounded(facts), runs / ".new"
    bundle = write_bundle(folder, study, model, reference, rounded, model_card(study, rounded))
    final = runs / f"{study.name}-{bundle.version}"
    final.mkdir(parents=True, exist_ok=True)
    whole = {**report, "bundle": {"hash": bundle.hash, "version": bundle.version, "folder": str(final)}}
    (folder / REPORT).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    for file in folder.iterdir():
        file.replace(final / file.name)
    folder.rmdir()
    _mirror(whole, final, runs)
    return bundle, whole, final


def _partly_synthetic(report: dict[str, Any]) -> list[str]:
    """The nodes with generated rows, where others have real ones."""
    names: list[str] = report.get("synthetic_nodes", [])
    return names if len(names) < len(report["took_part"]) else []


def _mirror(report: dict[str, Any], folder: Path, runs: Path) -> None:
    """Record the run in MLflow where that is installed."""
    if find_spec("mlflow"):
        from fedhealth.registry.tracking import track

        track(report, folder, runs)


def write_network_run(
    study: Study, fit: NetworkFit, report: Mapping[str, Any], runs: Path, models: Path
) -> tuple[dict[str, Any], Path]:
    """Write ``global_model.pth`` and ``report.json`` to a folder of ``runs``, and the former to ``models`` too."""
    arrays = fit.model.arrays()
    digest = hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest()
    folder = runs / f"{study.name}-mlp-{digest[:12]}"
    for place in (folder, models):
        save_network(fit.model, place)
    whole = {**report, "bundle": None}
    (folder / REPORT).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    _mirror(whole, folder, runs)
    return whole, folder


def _rounded(value: Any) -> Any:
    """Numbers to nine decimals, so that the last bits of a sum do not change a bundle's hash."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, 9) if isinstance(value, float) else value


def inputs_hash(data: Path, study: str, outcome: str | None, model: str, seed: int) -> str:
    """A hash over a run's settings and the bytes of its tables."""
    loaded = load_study(study, outcome)
    digest = hashlib.sha256(json.dumps([loaded.hash, model, seed, version("fedhealth")]).encode())
    for path in (data / node.file for node in loaded.nodes):
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def remember_inputs(folder: Path, inputs: str) -> None:
    """Note the hash of the inputs that made the run in ``folder``."""
    (folder / INPUTS).write_text(inputs + "\n", encoding="utf-8")


def finished_run(runs: Path, inputs: str) -> Path | None:
    """The folder of a finished run made from exactly these inputs, if there is one."""
    matches = (p.parent for p in runs.glob(f"*/{INPUTS}") if p.read_text(encoding="utf-8").strip() == inputs)
    return next(matches, None)
