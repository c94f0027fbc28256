"""CSV and Parquet files with a row per observation, and a column for each name of the study (or told by a map)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from fedhealth.data.files import DataError, check_width, checked_names, csv_rows, printable
from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.concepts import PLACE_RULES, Concept, concepts_of, outcome_concepts
from fedhealth.data.imports.magic import PARQUET, begins_with
from fedhealth.data.imports.maps import CITY, DATE, PERSON, feature_where, used_columns, where
from fedhealth.data.imports.raw import BATCH, as_raw
from fedhealth.data.imports.units import conversion
from fedhealth.data.reading import UNREADABLE
from fedhealth.data.tables import MAX_OUT_OF_RANGE
from fedhealth.study import Feature

MIDNIGHT = r"[T ]00:00(:00(\.0+)?)?$"


@dataclass
class _Column:
    """A column of values: what they are, and how many of them cannot be."""

    name: str
    concept: Concept
    unit: str
    missing: frozenset[str]
    codes: Mapping[str, float]
    feature: Feature | None = None
    seen: int = 0
    outside: int = 0


def read_columns(path: Path, asked: Asked) -> Iterator[pl.DataFrame]:
    """Readings of a CSV (UTF-8) or Parquet file; dates are ``YYYY-MM-DD``, with or without a time.

    Raises:
        DataError: a column that is needed is missing, a line is broken, or a column is in another unit than it seems.
    """
    columns: list[_Column] = []
    batches = _parquet(path, asked) if begins_with(path, PARQUET) else csv_batches(path, asked)
    for names, frame in dated(batches, where(DATE, asked)[0]):
        asked.columns_found.update(names)
        columns = columns or _value_columns(path, names, asked)
        asked.tally.found(path.name, "rows", frame.height)
        base = _base(path, names, frame, asked)
        for column in columns:
            found = _readings(printable(path.name), base, frame[column.name], column, asked)
            _check_totals(path, found, column, asked)
            yield found
    for column in columns:
        _check_unit(path, column)


def is_columns(names: Sequence[str], asked: Asked) -> bool:
    """Whether a file's names are a date's and at least one that is looked for."""
    features = {feature_where(f, asked)[0] for f in asked.features}
    outcomes = {where(column, asked)[0] for column in asked.study.outcome.columns}
    return where(DATE, asked)[0] in names and not (features | outcomes).isdisjoint(names)


def csv_batches(path: Path, asked: Asked) -> Iterator[tuple[list[str], pl.DataFrame]]:
    """Names and rows of a CSV file, batch by batch, every cell as text; the line of each in the column ``#``.

    Raises:
        DataError: the file is empty, or a line is broken.
    """
    names: list[str] = []
    batch: list[list[str]] = []
    size = done = 0
    for cells, line in csv_rows(path):
        if not names:
            names = checked_names(cells, path)
            continue
        check_width(cells, names, path, line)
        batch.append([*cells, str(line)])
        size += sum(map(len, cells)) + len(cells)
        if len(batch) == BATCH:
            yield names, _texts(batch, names)
            asked.advance(size - done)
            done, batch = size, []
    if not names:
        raise DataError(f"{path}: the file is empty")
    if batch:
        yield names, _texts(batch, names)


def dated(batches: Iterable[tuple[list[str], pl.DataFrame]], date: str) -> Iterator[tuple[list[str], pl.DataFrame]]:
    """Batches with dates alone in the column ``date``, if the first tells no other time of day than midnight."""
    whole_days: bool | None = None
    for names, frame in batches:
        if date in names:
            text = frame[date].str.strip_chars()
            alone = text.str.replace(MIDNIGHT, "")
            if whole_days is None:
                whole_days = bool((alone.str.len_chars() <= len("YYYY-MM-DD")).all())
            frame = frame.with_columns((alone if whole_days else text).alias(date))
        yield names, frame


def _texts(rows: list[list[str]], names: list[str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys([*names, "#"], pl.String), orient="row")


def _parquet(path: Path, asked: Asked) -> Iterator[tuple[list[str], pl.DataFrame]]:
    try:
        scan = pl.scan_parquet(path)
        names = scan.collect_schema().names()
        height = scan.select(pl.len()).collect().item()
        wanted = used_columns(asked)
        used = scan.select([name for name in names if name in wanted])  # others may be no text at all
        for start in range(0, height, BATCH):
            frame = used.slice(start, BATCH).collect().with_columns(pl.col(pl.Boolean).cast(pl.Int8))
            number = pl.int_range(start + 1, start + frame.height + 1, eager=True).alias("#")
            yield names, frame.with_columns(pl.all().cast(pl.String), number.cast(pl.String))
    except UNREADABLE as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from None


def _base(path: Path, names: list[str], frame: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    """Who, where and when of each row."""

    def cells(name: str, otherwise: str | None) -> pl.Series:
        column = where(name, asked)[0]
        found = (
            frame[column].str.strip_chars()
            if column in names
            else pl.Series([otherwise] * frame.height, dtype=pl.String)
        )
        return found.set(found == "", None)

    date = where(DATE, asked)[0]
    if date not in names:
        raise DataError(
            f"{path}: column {date!r} is missing; name it: --map date=COLUMN; the file has {', '.join(names)}"
        )
    return pl.DataFrame(
        {
            "person": cells(PERSON, asked.person),
            "city": cells(CITY, asked.city),
            "start": frame[date],
            "place": printable(path.name) + " line " + frame["#"],
        }
    )


def _value_columns(path: Path, names: list[str], asked: Asked) -> list[_Column]:
    study = asked.study
    known = {f.name: f for f in asked.features}
    found = [_feature_column(path, f, *feature_where(f, asked)) for f in known.values()]
    missing = frozenset({"", *study.source.missing_values})
    for column, concept in outcome_concepts(study).items():
        found.append(_Column(where(column, asked)[0], concept, "1", missing, study.outcome.codes))
    found = [replace(c, missing=c.missing | missing) for c in found if c.name in names]
    if not found:
        wanted = ", ".join([f.column for f in known.values()])
        raise DataError(f"{path}: none of its columns ({', '.join(names)}) is one of {wanted}; use --map NAME=COLUMN")
    personal = [c for c in found if not c.concept.of_place]
    if personal and asked.node.person and not asked.person and where(PERSON, asked)[0] not in names:
        raise DataError(
            f"{path}: column {where(PERSON, asked)[0]!r} is missing, so nobody knows whom "
            f"{personal[0].name!r} is about; name it: --map person=COLUMN, or say --person"
        )
    return found


def _feature_column(path: Path, feature: Feature, column: str, unit: str) -> _Column:
    unit = unit or feature.unit
    concept = next((c for c in concepts_of(feature) if conversion(unit, c.unit, c.molar_mass)), None)
    if concept is None:
        raise DataError(
            f"{path}: column {column!r}: unit {unit!r} does not become {feature.unit!r}; see --map NAME=COLUMN@UNIT"
        )
    return _Column(column, concept, unit, frozenset(feature.missing_values), feature.written, feature)


def _readings(file: str, base: pl.DataFrame, cells: pl.Series, column: _Column, asked: Asked) -> pl.DataFrame:
    text = cells.str.strip_chars().str.replace(r"^(-?\d+)\.0*$", "$1")
    numbers = text.cast(pl.Float64, strict=False)
    if column.codes:
        numbers = text.replace_strict(column.codes, default=None, return_dtype=pl.Float64).fill_null(numbers)
    found = base.with_columns(text=text, value=numbers).filter(
        pl.col("text").is_not_null() & ~pl.col("text").is_in(list(column.missing))
    )
    asked.tally.found(file, f"without {column.name}", base.height - found.height)
    broken = found.filter(pl.col("value").is_null() | ~pl.col("value").is_finite())
    if broken.height:
        example = f"{broken['place'][0]}, column {column.name!r}: {broken['text'][0]!r}"
        asked.tally.drop("not a number", broken.height, example)
        found = found.filter(pl.col("value").is_finite())
    column.seen += found.height + broken.height
    column.outside += broken.height + _outside(found["value"], column)
    whole_day = pl.col("start").str.len_chars() <= len("YYYY-MM-DD")
    tomorrow = pl.col("start").str.to_date("%Y-%m-%d", strict=False).dt.offset_by("1d").dt.to_string("%Y-%m-%d")
    lasting = whole_day if column.concept.rule in PLACE_RULES else pl.lit(False)
    of_place = column.concept.rule in PLACE_RULES and not asked.node.person
    return as_raw(
        found.select(
            "city", "start", "value",
            person=pl.lit(None) if of_place else pl.col("person"),
            concept=pl.lit(column.concept.name),
            end=pl.when(lasting).then(tomorrow),
            unit=pl.lit(column.unit),
            source=pl.lit(file),
            id=pl.when(column.concept.rule == "outcome").then("place"),
        )
    )  # fmt: skip


def _outside(values: pl.Series, column: _Column) -> int:
    if column.feature is None or column.concept.name == "steps":
        return 0
    found = conversion(column.unit, column.feature.unit, column.concept.molar_mass)
    if found is None:
        return 0
    inside = (values * found.factor + found.shift).is_between(column.feature.low - 1e-9, column.feature.high + 1e-9)
    return int((~inside).sum())


def _check_totals(path: Path, found: pl.DataFrame, column: _Column, asked: Asked) -> None:
    """Refuse what may be a day's total or a part of it, where nobody told the unit."""
    feature = column.feature
    if feature is None or column.concept.rule != "largest" or feature_where(feature, asked)[1]:
        return
    days = found.drop_nulls("person").group_by("person", day=pl.col("start").str.slice(0, len("YYYY-MM-DD")))
    times = days.agg(first=pl.col("start").min(), last=pl.col("start").max()).filter(pl.col("first") < pl.col("last"))
    if times.height:
        part = next(c.unit for c in concepts_of(feature) if c.of_day)
        first, last = times.sort("first").row(0)[2:]
        told = f"--map {feature.name}={column.name}"
        raise DataError(
            f"{path}: column {column.name!r} has several values a day, such as at {first} and {last}; say whether they "
            f"add up, {told}@{part}, or each is the day's so far, {told}@{column.unit}"
        )


def _check_unit(path: Path, column: _Column) -> None:
    if column.feature and column.outside > MAX_OUT_OF_RANGE * column.seen:
        raise DataError(
            f"{path}: column {column.name!r}: {column.outside} of {column.seen} values are not "
            f"{column.feature.allowed}; say the unit that they are in: --map {column.feature.name}={column.name}@UNIT"
        )
