import datetime as dt
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.concepts import CONCEPTS, Concept, fed_features, wanted
from fedhealth.data.imports.run import import_files
from fedhealth.data.imports.tally import Tally
from fedhealth.study import Study, load_study

NOW = dt.datetime(2026, 1, 1)
Import = Callable[..., tuple[dict[str, Any], pl.DataFrame]]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Import paths into a node; give the report and the table, missing cells as null."""

    def run(
        *paths: Path | str, node: str = "node_1", study: Study | str = "health-risk", **told: Any
    ) -> tuple[dict[str, Any], pl.DataFrame]:
        loaded = load_study(study) if isinstance(study, str) else study
        kind = told.pop("kind", None)
        report = import_files(loaded, node, [Path(p) for p in paths], kind, tmp_path / "data", NOW, **told)
        return report, pl.read_csv(tmp_path / "data" / loaded.node(node).file)

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of a node's operator."""

    def file(name: str, content: str | bytes) -> Path:
        path = tmp_path / "exports" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return file


def dropped(report: dict[str, Any]) -> dict[str, int]:
    return {d["reason"]: d["readings"] for d in report["dropped"]}


def asked_of(concepts: Iterable[str] = (), node: str = "node_1", **told: Any) -> Asked:
    """What a reader is asked for: the concepts of a node, and others by name."""
    study = _study("health-risk")
    features = fed_features(study, study.node(node))
    more = {name: CONCEPTS.get(name, Concept(name, "1", "mean")) for name in concepts}
    return Asked(study, study.node(node), features, wanted(study, features) | more, Tally(), **told)


_study = cache(load_study)
