"""One person's own export, read for that person and nobody else: nothing is left behind."""

import datetime as dt
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from fedhealth.data.files import DataError
from fedhealth.data.imports.run import import_files
from fedhealth.data.imports.zips import opened_zip
from fedhealth.study import Feature, Node, Study

__all__ = ["DataError", "own_days"]

LARGEST_UNPACKED = 4 << 30  # bytes
YOU = "you"


def own_days(study: Study, path: Path, now: dt.datetime, zone: str) -> list[dict[str, Any]]:
    """A person's days from an export of theirs, in order: ``date`` (ISO) and the study's features that the day has.

    Whatever is written on the way lies in a temporary folder that is gone at the end.

    Args:
        study: its features, but those of the environment, are looked for.
        path: the export, of any kind that a node can import.
        now: UTC without a zone; readings after it are dropped.
        zone: where clocks were that show no offset, such as ``Asia/Karachi``.

    Raises:
        DataError: the file is no export, is broken, holds nothing of these features, or is of several people.
    """
    names = tuple(f.name for f in study.features if f.modality != "environment")
    node = Node(YOU, "You", names, f"{YOU}.csv", person="who")
    _refuse_bombs(path)
    with tempfile.TemporaryDirectory() as folder:
        alone = replace(study, nodes=(node,), subgroups=())
        report = import_files(alone, YOU, [path], None, Path(folder), now, person=YOU, zone=zone)
        if report["people"] > 1:
            raise DataError(f"{path}: holds readings of {report['people']} people; expected the export of one")
        table = pl.read_csv(Path(folder) / node.file, infer_schema=False)
    features = [f for f in study.features if f.column in table.columns]
    return [_day(row, features) for row in table.sort("date").iter_rows(named=True)]


def _day(row: dict[str, Any], features: list[Feature]) -> dict[str, Any]:
    known = {f.name: _value(f, row[f.column]) for f in features if row[f.column] not in (None, "")}
    return {"date": row["date"], **known}


def _value(feature: Feature, text: str) -> float:
    return feature.written[text] if text in feature.written else float(text)


def _refuse_bombs(path: Path) -> None:
    if zipfile.is_zipfile(path):
        with opened_zip(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST_UNPACKED:
            raise DataError(f"{path}: unpacks to {size >> 30} GB; expected at most {LARGEST_UNPACKED >> 30} GB")
