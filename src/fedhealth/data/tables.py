"""Read a node's own table (CSV or Parquet) into arrays, by the study's definition of each column."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fedhealth.data.shard import Floats, Shard, assign_folds
from fedhealth.study import Feature, Node, Outcome, Source, Study

MAX_OUT_OF_RANGE = 0.2


class DataError(ValueError):
    """A node's data cannot be used as it is; the message names file, line or column, and what was expected."""


def read_shard(study: Study, node: Node, folder: Path, seed: int) -> Shard:
    """Read the table of ``node`` below ``folder`` and split it; ``seed`` keys the split.

    Raises:
        DataError: the file or a column is missing, a line is broken, or a column looks like another unit.
    """
    path = folder / node.file
    table = read_table(path, study.source)
    return shard_from_table(study, node, table, seed, str(path))


def shard_from_table(
    study: Study, node: Node, table: pl.DataFrame, seed: int, origin: str, held_out: float = 0.2
) -> Shard:
    """Turn a table of texts or numbers into a shard; ``origin`` names it in messages.

    Columns of the node's features are required; the study's anchors are used where the table has them.

    Raises:
        DataError: see :func:`read_shard`.
    """
    label = _label(study.outcome, study.source, table, origin)
    names = [f.name for f in study.features if f.name in node.features or (f.anchor and f.column in table.columns)]
    x = np.zeros((table.height, len(study.names)))
    observed = np.zeros(x.shape, dtype=bool)
    notes: list[str] = []
    for name in names:
        column = study.index(name)
        values, note = _values(study.features[column], study.source, table, origin)
        observed[:, column] = ~np.isnan(values)
        x[:, column] = np.nan_to_num(values)
        notes += note
    known = ~np.isnan(label)
    if not known.all():
        notes.append(f"{origin}: {np.count_nonzero(~known)} rows have no label and are not used")
    people = table[node.person].to_numpy() if node.person in table.columns else np.arange(table.height)
    site = np.full(table.height, study.nodes.index(node), dtype=np.int16)
    fold = assign_folds(people, seed, node.name, held_out, fixed=node.held_out)
    stratum = _strata(study, table, origin)
    return Shard(node.name, x, observed, np.nan_to_num(label), fold, site, stratum, tuple(notes)).rows(known)


def _strata(study: Study, table: pl.DataFrame, origin: str) -> NDArray[np.int16]:
    """City and month of each row where the table has ``city`` and ``date`` columns; -1 elsewhere."""
    if not study.cities or not {"city", "date"} <= set(table.columns):
        return np.full(table.height, -1, dtype=np.int16)
    date = table["date"].cast(pl.String).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if (bad := date.is_null() & table["date"].is_not_null()).any():
        row = int(bad.arg_max() or 0)
        raise DataError(f"{origin}: row {row + 1}, column 'date': got {table['date'][row]!r}; expected YYYY-MM-DD")
    places = {name: i for i, name in enumerate(study.cities)}
    city = table["city"].cast(pl.String).replace_strict(places, default=None, return_dtype=pl.Int16)
    found = (city * 12 + date.dt.month().cast(pl.Int16) - 1).fill_null(-1)
    return found.to_numpy().astype(np.int16)


def read_table(path: Path, source: Source) -> pl.DataFrame:
    """Read a CSV (every cell as text) or Parquet file.

    Raises:
        DataError: no such file (with the command that makes it, where the study names one), or a broken line.
    """
    if not path.is_file():
        hint = f"; make it with: {source.hint}" if source.hint else ""
        raise DataError(f"{path}: no such file{hint}")
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    _check_lines(path, source)
    try:
        return pl.read_csv(path, has_header=source.header, new_columns=list(source.columns) or None, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path}: not a readable CSV file: {error}") from None


def _check_lines(path: Path, source: Source) -> None:
    with path.open(newline="", encoding="utf-8") as lines:
        try:
            reader = csv.reader(lines)
            width = len(source.columns) if not source.header else len(next(reader, []))
            for row in reader:
                if row and len(row) != width:
                    raise DataError(f"{path}: line {reader.line_num}: got {len(row)} cells; expected {width}")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 text (byte {error.start} of a block); save it as UTF-8") from None
        except csv.Error as error:
            raise DataError(f"{path}: line {reader.line_num}: {error}") from None


def _column(name: str, table: pl.DataFrame, origin: str) -> pl.Series:
    if name not in table.columns:
        raise DataError(f"{origin}: column {name!r} is missing; the file has {', '.join(table.columns)}")
    return table[name]


def _numbers(
    series: pl.Series,
    codes: Iterable[tuple[str, float]],
    missing: set[str],
    source: Source,
    origin: str,
    expected: str,
) -> Floats:
    """Cells as numbers, NaN where missing: codes first, then plain numbers; anything else names its line.

    A whole number is matched however it is written: ``3``, ``3.`` and ``3.0`` are one code.
    """
    text = series.cast(pl.String).str.strip_chars().str.replace(r"^(-?\d+)\.0*$", "$1")
    absent = text.is_null() | text.is_in(["", *missing])
    table = dict(codes)
    coded = (
        text.replace_strict(table, default=None, return_dtype=pl.Float64)
        if table
        else text.clear(len(text)).cast(pl.Float64)
    )
    values = coded.fill_null(text.cast(pl.Float64, strict=False)) if not _only_codes(table) else coded
    broken = (values.is_null() | ~values.is_finite().fill_null(True)) & ~absent
    if broken.any():
        row = int(broken.arg_max() or 0)
        line = row + (2 if source.header else 1)
        raise DataError(f"{origin}: line {line}, column {series.name!r}: got {text[row]!r}; expected {expected}")
    found: Floats = values.to_numpy().astype(np.float64)
    return np.where(absent.to_numpy(), np.nan, found)


def _only_codes(codes: dict[str, float]) -> bool:
    """Whether the codes leave no room for plain numbers (every level has a text of its own)."""
    return len(codes) > 1


def _values(feature: Feature, source: Source, table: pl.DataFrame, origin: str) -> tuple[Floats, list[str]]:
    codes = dict(feature.codes) or {level: float(i) for i, level in enumerate(feature.levels)}
    missing = {*source.missing_values, *feature.missing_values}
    series = _column(feature.column, table, origin)
    values = _numbers(series, codes.items(), missing, source, origin, feature.allowed)
    outside = (values < feature.low) | (values > feature.high)
    count, seen = int(np.count_nonzero(outside)), int(np.count_nonzero(~np.isnan(values)))
    if not count:
        return values, []
    example = f"such as {values[outside][0]:g} in line {int(outside.argmax()) + (2 if source.header else 1)}"
    if count > MAX_OUT_OF_RANGE * seen or feature.kind != "number":
        raise DataError(
            f"{origin}: column {feature.column!r}: {count} of {seen} values ({example}) are outside {feature.allowed}; "
            f"convert the column to {feature.unit if feature.kind == 'number' else feature.allowed}"
        )
    values[outside] = np.nan
    return values, [
        f"{origin}: column {feature.column!r}: {count} of {seen} values ({example}) are outside "
        f"{feature.allowed} and count as missing"
    ]


def _label(outcome: Outcome, source: Source, table: pl.DataFrame, origin: str) -> NDArray[np.float64]:
    missing = set(source.missing_values)
    columns = [
        _numbers(
            _column(c, table, origin),
            outcome.codes.items(),
            missing,
            source,
            origin,
            "a number for the label",
        )
        for c in outcome.columns
    ]
    values = np.column_stack(columns)
    positive = (values > outcome.positive_above).any(axis=1).astype(np.float64)
    return np.where(np.isnan(values).any(axis=1), np.nan, positive)
