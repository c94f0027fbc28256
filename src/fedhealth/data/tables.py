"""Turn a node's table into arrays, by the study's definition of each column."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fedhealth.data.files import DataError
from fedhealth.data.reading import Table, read_table
from fedhealth.data.shard import Floats, Shard, assign_folds, hashes
from fedhealth.study import Feature, Node, Study

MAX_OUT_OF_RANGE = 0.2

__all__ = ["DataError", "read_shard", "shard_from_table"]


def read_shard(study: Study, node: Node, folder: Path, seed: int) -> Shard:
    """Read the table of ``node`` below ``folder`` and split it; ``seed`` keys the split.

    Raises:
        DataError: the file or a column is missing, a line is broken, a column looks like another unit, or all labels
            are equal.
    """
    return _shard(study, node, read_table(folder / node.file, study.source), seed)


def shard_from_table(
    study: Study, node: Node, frame: pl.DataFrame, seed: int, origin: str, held_out: float = 0.2
) -> Shard:
    """Turn a table of texts or numbers into a shard; ``origin`` names it in messages.

    Columns of the node's features are required; the study's anchors are used where the table has them.

    Raises:
        DataError: see :func:`read_shard`.
    """
    return _shard(study, node, Table(frame, origin), seed, held_out)


def _shard(study: Study, node: Node, table: Table, seed: int, held_out: float = 0.2) -> Shard:
    label, notes = _label(study, table)
    x = np.zeros((len(label), len(study.names)))
    observed = np.zeros(x.shape, dtype=bool)
    for column, feature in enumerate(study.features):
        if feature.name in node.features or (feature.anchor and feature.column in table.frame.columns):
            values, remarks = _values(study, feature, table)
            observed[:, column] = ~np.isnan(values)
            x[:, column] = np.nan_to_num(values)
            notes += remarks
    lines = _lines(table)
    fold = assign_folds(_people(node, table) or lines, seed, node.name, held_out, fixed=_fixed(node, table))
    site = np.full(len(label), [n.name for n in study.nodes].index(node.name), dtype=np.int16)
    told = np.nan_to_num(label), fold, site, _strata(study, table), hashes(lines)
    shard = Shard(node.name, x, observed, *told, tuple(notes)).rows(~np.isnan(label))
    if not len(shard.held_out) or not len(shard.training):
        side = "held-out" if len(shard.training) else "training"
        raise DataError(f"{table.origin}: seed {seed} leaves no {side} rows of {len(shard)}; choose another --seed")
    return shard


def _lines(table: Table) -> list[str]:
    """All that the table says in each row, as one text, however columns are ordered and numbers are written."""
    plain = {name: dtype for name, dtype in table.frame.schema.items() if not dtype.is_nested() and dtype != pl.Binary}
    cells = [_texts(table.frame[name]).fill_null("").alias(name) for name in sorted(plain)]
    return pl.DataFrame(cells).select(pl.concat_str(sorted(plain), separator="\0")).to_series().to_list()


def _people(node: Node, table: Table) -> list[str]:
    """Who each row is about; nobody where the study names no person column, so that each row stands for itself."""
    if not node.person:
        return []
    people = table.column(node.person).cast(pl.String).str.strip_chars()
    absent = people.is_null() | (people == "")
    if absent.any():
        place = table.place(int(absent.arg_max() or 0))
        raise DataError(f"{table.origin}: {place}, column {node.person!r}: empty; expected a name or number")
    return people.to_list()


def _fixed(node: Node, table: Table) -> tuple[int, ...]:
    if node.held_out and max(node.held_out) >= table.frame.height:
        raise DataError(
            f"{table.origin}: held_out of node {node.name!r} names row {max(node.held_out)}; "
            f"the file has {table.frame.height} rows, counted from 0"
        )
    return node.held_out


def _strata(study: Study, table: Table) -> NDArray[np.int16]:
    """City and month of each row where the table has ``city`` and ``date`` columns; -1 elsewhere."""
    if not study.cities or not {"city", "date"} <= set(table.frame.columns):
        return np.full(table.frame.height, -1, dtype=np.int16)
    text = table.column("date").cast(pl.String).str.strip_chars()
    text = text.set(text == "", None)
    date = text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if (bad := date.is_null() & text.is_not_null()).any():
        row = int(bad.arg_max() or 0)
        raise DataError(f"{table.origin}: {table.place(row)}, column 'date': got {text[row]!r}; expected YYYY-MM-DD")
    places = {name: i for i, name in enumerate(study.cities)}
    city = table.column("city").cast(pl.String).replace_strict(places, default=None, return_dtype=pl.Int16)
    found = (city * 12 + date.dt.month().cast(pl.Int16) - 1).fill_null(-1)
    return found.to_numpy().astype(np.int16)


def _numbers(table: Table, column: str, codes: Mapping[str, float], missing: set[str], expected: str) -> Floats:
    """Cells as numbers, NaN where missing; anything else names its line.

    Two or more codes leave no room for other numbers. A whole number is matched however it is written: ``3``, ``3.``
    and ``3.0`` are one code.
    """
    text = _texts(table.column(column))
    absent = text.is_null() | text.is_in(["", *missing])
    values = text.cast(pl.Float64, strict=False)
    if codes:
        coded = text.replace_strict(codes, default=None, return_dtype=pl.Float64)
        values = coded if len(codes) > 1 else coded.fill_null(values)
    broken = (values.is_null() | ~values.is_finite().fill_null(True)) & ~absent
    if broken.any():
        row = int(broken.arg_max() or 0)
        place = table.place(row)
        raise DataError(f"{table.origin}: {place}, column {column!r}: got {text[row]!r}; expected {expected}")
    return np.where(absent.to_numpy(), np.nan, values.to_numpy().astype(np.float64))


def _texts(series: pl.Series) -> pl.Series:
    if series.dtype == pl.Boolean:
        series = series.cast(pl.Int8)
    if series.dtype.is_float():
        series = series.fill_nan(None)
    return series.cast(pl.String).str.strip_chars().str.replace(r"^(-?\d+)\.0*$", "$1")


def _values(study: Study, feature: Feature, table: Table) -> tuple[Floats, list[str]]:
    """A feature's values, NaN where missing or out of range, and remarks on the latter."""
    missing = {*study.source.missing_values, *feature.missing_values}
    values = _numbers(table, feature.column, feature.written, missing, feature.allowed)
    outside = (values < feature.low) | (values > feature.high)
    if feature.kind != "number":
        outside |= ~np.isnan(values) & (values != np.round(values))
    count, seen = int(np.count_nonzero(outside)), int(np.count_nonzero(~np.isnan(values)))
    if not count:
        return values, []
    example = f"such as {values[outside][0]:g} in {table.place(int(outside.argmax()))}"
    found = f"{table.origin}: column {feature.column!r}: {count} of {seen} values ({example}) are outside"
    if count > MAX_OUT_OF_RANGE * seen or feature.kind != "number":
        target = feature.unit if feature.kind == "number" else feature.allowed
        raise DataError(f"{found} {feature.allowed}; convert the column to {target}")
    values[outside] = np.nan
    return values, [f"{found} {feature.allowed} and count as missing"]


def _label(study: Study, table: Table) -> tuple[Floats, list[str]]:
    """The label, 0 or 1, NaN where unknown, and a remark on rows without."""
    outcome, missing = study.outcome, set(study.source.missing_values)
    columns = [_numbers(table, c, outcome.codes, missing, "a number for the label") for c in outcome.columns]
    values = np.column_stack(columns)
    unknown = np.isnan(values).any(axis=1)
    label = np.where(unknown, np.nan, (values > outcome.positive_above).any(axis=1))
    if len(np.unique(label[~unknown])) < 2:
        names = ", ".join(repr(c) for c in outcome.columns)
        raise DataError(f"{table.origin}: column {names}: no two different labels; expected both 0 and 1")
    count = int(np.count_nonzero(unknown))
    return label, [f"{table.origin}: {count} rows have no label and are not used"] if count else []
