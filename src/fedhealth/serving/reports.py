"""Finished training runs, as the folders below ``FEDHEALTH_RUNS`` hold them, and the routes over them."""

import json
import logging
import os
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException

from fedhealth.registry.bundle import REPORT
from fedhealth.serving.answers import Runs
from fedhealth.serving.errors import MISSING

logger = logging.getLogger(__name__)


def runs_folder() -> Path:
    """Where runs are looked for: ``FEDHEALTH_RUNS``, else ``runs`` in the working directory."""
    return Path(os.environ.get("FEDHEALTH_RUNS") or "runs")


def finished_runs(folder: Path) -> list[tuple[str, float]]:
    """Name and time of every run with a report, newest first; none where there is no such folder."""
    found = [(path.parent.name, path.stat().st_mtime) for path in folder.glob("*/report.json")]
    return sorted((run for run in found if not run[0].startswith(".")), key=lambda run: run[1], reverse=True)


def read_reports(folder: Path) -> list[tuple[str, float, dict[str, Any]]]:
    """Name, time and report of every run, newest first; a report that cannot be read is left out, and logged."""
    reports = []
    for name, time in finished_runs(folder):
        try:
            content = report(folder, name, time)
            _summary(name, time, content)
            reports.append((name, time, content))
        except (OSError, ValueError, LookupError, TypeError) as error:
            logger.warning("run %s is not listed, its report cannot be read: %r", name, error)
    return reports


def run_summaries(folder: Path) -> list[dict[str, Any]]:
    """What a list of runs shows of each."""
    return [_summary(*one) for one in read_reports(folder)]


@lru_cache(maxsize=256)
def report(folder: Path, name: str, time: float) -> dict[str, Any]:
    """The report of a run as it was at ``time``.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a JSON object.
    """
    content = json.loads((folder / name / REPORT).read_text(encoding="utf-8"), parse_constant=_refuse)
    if not isinstance(content, dict):
        raise ValueError("a report is a JSON object")
    return content


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _summary(name: str, time: float, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": name,
        "study": content["study"],
        "seed": content["seed"],
        "model": content["model"],
        "runtime": content["runtime"],
        "finished": datetime.fromtimestamp(int(time), UTC),
        "nodes": [node["name"] for node in content["nodes"]],
        "rounds": max((one["round"] for one in content["rounds"]), default=0),
        "global_auroc": content["global"]["auroc"],
    }


def add_runs(router: APIRouter) -> None:
    """Add the routes to ``router``."""

    @router.get("/runs")
    def runs() -> Runs:
        """Finished training runs, newest first."""
        return Runs.model_validate({"runs": run_summaries(runs_folder())})

    @router.get("/runs/{name}", responses=MISSING)
    def run(name: str) -> dict[str, Any]:
        """The report of a run; ``latest`` is the newest."""
        folder = runs_folder()
        found = finished_runs(folder)
        for known, time in found[:1] if name == "latest" else found:
            if name in ("latest", known):
                try:
                    return report(folder, known, time)
                except (OSError, ValueError) as error:
                    logger.warning("the report of run %s cannot be read: %r", known, error)
                    raise HTTPException(404, f"the report of run {known!r} cannot be read") from None
        raise HTTPException(404, f"there is no run {name[:64]!r} with a report in {folder}")
