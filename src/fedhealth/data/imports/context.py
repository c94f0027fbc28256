"""The environment of each city and day: made by a node that has it, pulled whole by nodes of people, joined there.

The table has columns ``city``, ``date`` and ``NAME@UNIT`` for features of the study, a row per city and day. Whoever
pulls it asks for all cities, so that nobody learns where their people live.
"""

import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path

import numpy as np
import polars as pl

from fedhealth.data.aqi import index_of_days
from fedhealth.data.files import DataError, check_width, checked_names, csv_rows, replacing
from fedhealth.data.imports.asked import node_of
from fedhealth.data.imports.concepts import CONCEPTS
from fedhealth.data.imports.units import conversion
from fedhealth.data.reading import read_table as read_node_table
from fedhealth.study import Feature, Study

FILE = "context.csv"  # beside the table of the node that pulled it
LARGEST = 256 << 20  # bytes
TIMEOUT = 60  # seconds without a byte
INDEX = "aqi"
_KEYS = ["city", "date"]
NO_CONTEXT = pl.DataFrame(schema={"city": pl.String, "date": pl.Date})


def city_days(study: Study, node_name: str, data: Path) -> pl.DataFrame:
    """What an environment node can publish: ``city``, ``date`` and its features, the mean of each city and day.

    The air quality index is computed from the pollutants that the node has.

    Raises:
        DataError: the node has people, or its table cannot be read or names no city and date.
    """
    node = node_of(study, node_name)
    if node.person:
        raise DataError(f"{node.name} holds rows of people; only a node of places, such as a city's, publishes context")
    table = read_node_table(data / node.file, study.source)
    if not set(_KEYS) <= set(table.frame.columns):
        raise DataError(f"{table.origin}: no columns city and date; the file has {', '.join(table.frame.columns)}")
    features = [f for f in _environment(study).values() if f.column in table.frame.columns]
    if not features:
        raise DataError(f"{table.origin}: has no environment feature of study {study.name!r}")
    found = table.frame.select(
        pl.col("city").cast(pl.String).str.strip_chars(),
        pl.col("date").cast(pl.String).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False),
        *(_plausible(f, pl.col(f.column).cast(pl.String)).alias(f.name) for f in features),
    )
    days = found.drop_nulls(_KEYS).group_by(_KEYS).mean().sort(_KEYS)
    return days if INDEX in days.columns or INDEX not in _environment(study) else _with_index(study, days)


def _environment(study: Study) -> Mapping[str, Feature]:
    return {f.name: f for f in study.features if f.modality == "environment"}


def _plausible(feature: Feature, text: pl.Expr, factor: float = 1.0, shift: float = 0.0) -> pl.Expr:
    """Texts as numbers in the feature's unit; null where they are none or outside its range."""
    value = text.str.strip_chars().cast(pl.Float64, strict=False) * factor + shift
    return pl.when(value.is_between(feature.low - 1e-9, feature.high + 1e-9)).then(value)


def _with_index(study: Study, days: pl.DataFrame) -> pl.DataFrame:
    known = {}
    for name, feature in _environment(study).items():
        concept = CONCEPTS.get(name)
        found = conversion(feature.unit, concept.unit, concept.molar_mass) if concept else None
        if name in days.columns and found:
            known[name] = (days[name] * found.factor + found.shift).fill_null(np.nan).to_numpy()
    return days.with_columns(pl.Series(INDEX, index_of_days(known)).fill_nan(None)) if known else days


def write_context(study: Study, days: pl.DataFrame, path: Path) -> None:
    """Write city-days as a CSV file whose header says the units; a file that is there is replaced at once."""
    units = {f.name: f.unit for f in study.features}
    values = [pl.col(c).round(4).alias(f"{c}@{units[c]}") for c in days.columns if c not in _KEYS]
    with replacing(path) as part:
        days.select(*_KEYS, *values).write_csv(part)


def pull_context(study: Study, node_name: str, data: Path, source: str) -> pl.DataFrame:
    """Keep the city-days of ``source``, a path or an http(s) address, beside the node's table; all of them.

    Raises:
        DataError: the source cannot be had, or is not such a table; what was there before stays.
    """
    place = (data / node_of(study, node_name).file).with_name(FILE)
    with replacing(place) as part:
        part.write_bytes(_bytes(source))
        return _read(study, part, source)


def read_context(study: Study, table: Path) -> pl.DataFrame:
    """The city-days that were pulled beside a node's table; none where nobody did.

    Raises:
        DataError: the file is broken.
    """
    path = table.with_name(FILE)
    return _read(study, path, str(path)) if path.is_file() else NO_CONTEXT


def _bytes(source: str) -> bytes:
    if "://" in source and not source.lower().startswith(("http://", "https://")):
        raise DataError(f"{source}: expected a path, or an address that begins with http:// or https://")
    try:
        if "://" in source:
            with urllib.request.urlopen(source, timeout=TIMEOUT) as answer:
                text: bytes = answer.read(LARGEST + 1)
        else:
            text = Path(source).read_bytes()
    except (OSError, ValueError, HTTPException) as error:
        raise DataError(f"{source}: cannot be read: {getattr(error, 'reason', None) or error}") from None
    if len(text) > LARGEST:
        raise DataError(f"{source}: more than {LARGEST >> 20} MB; expected a table of city and day")
    return text


def _read(study: Study, path: Path, source: str) -> pl.DataFrame:
    """The table at ``path``, which is called ``source`` in messages."""
    try:
        rows = list(csv_rows(path))
        names = checked_names(rows[0][0] if rows else [], path)
        for cells, line in rows[1:]:
            check_width(cells, names, path, line)
    except DataError as error:
        raise DataError(str(error).replace(str(path), source)) from None
    if not {*_KEYS} < set(names):
        raise DataError(f"{source}: got columns {', '.join(names) or 'none'}; expected city, date and NAME@UNIT")
    frame = pl.DataFrame([cells for cells, _ in rows[1:]], schema=dict.fromkeys(names, pl.String), orient="row")
    features = [_column(study, name, source) for name in names if name not in _KEYS]
    days = frame.select(
        pl.col("city").str.strip_chars(), pl.col("date").str.to_date("%Y-%m-%d", strict=False), *features
    )
    _check(days, source)
    return days


def _column(study: Study, name: str, source: str) -> pl.Expr:
    told, _, unit = name.partition("@")
    feature = _environment(study).get(told)
    if feature is None:
        raise DataError(
            f"{source}: column {name!r} is no environment feature of study {study.name!r}; expected some of "
            + ", ".join(f"{f.name}@{f.unit}" for f in _environment(study).values())
        )
    concept = CONCEPTS.get(told)
    found = conversion(unit, feature.unit, concept.molar_mass if concept else 0.0)
    if found is None:
        raise DataError(f"{source}: column {name!r}: unit {unit!r} does not become {feature.unit!r}")
    return _plausible(feature, pl.col(name), found.factor, found.shift).alias(feature.name)


def _check(days: pl.DataFrame, source: str) -> None:
    if days["date"].null_count() or days["city"].null_count():
        row = days.filter(pl.col("date").is_null() | pl.col("city").is_null()).row(0, named=True)
        raise DataError(f"{source}: a row for city {row['city']!r} has no date; expected YYYY-MM-DD")
    again = days.filter(days.select(_KEYS).is_duplicated())
    if again.height:
        raise DataError(
            f"{source}: {again['city'][0]}, {again['date'][0]} occurs twice; expected each city and day once"
        )
    if not days.height:
        raise DataError(f"{source}: no rows; expected a row per city and day")
