"""Fitbit's CSV files: of several people (column ``Id``; Furberg et al. 2016), and those of an account's archive."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from fedhealth.data.files import DataError
from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.columns import csv_batches
from fedhealth.data.imports.fitbit_archive import ARCHIVE
from fedhealth.data.imports.raw import as_raw
from fedhealth.data.imports.times import EPOCH_DAY, days_since_epoch, on_clock

PERSON = "Id"
US_TIME, US_DAY = "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y"
SEXES = {"MALE": 1.0, "FEMALE": 0.0}


@dataclass(frozen=True)
class Table:
    """A kind of table: its column of times, how they are written, how long a reading lasts, and its values."""

    time: str
    values: Mapping[str, tuple[str, str]]
    clock: Literal["US", "UTC", "day"] = "US"
    minutes: int = 0


TABLES = (
    Table("ActivityDate", {"TotalSteps": ("daily_steps", "{steps}/d")}),
    Table("SleepDay", {"TotalMinutesAsleep": ("sleep_duration", "min")}),
    Table("Time", {"Value": ("heart_rate", "/min")}),
    Table("ActivityHour", {"StepTotal": ("steps", "{steps}")}, minutes=60),
    Table("ActivityMinute", {"Steps": ("steps", "{steps}")}, minutes=1),
    Table("Date", {"WeightKg": ("29463-7", "kg"), "BMI": ("39156-5", "kg/m2")}),
)
OF_ARCHIVE = (
    Table("timestamp", {"average_value": ("spo2", "%")}, "day"),
    Table("timestamp", {"value": ("spo2", "%")}, "UTC"),
)


def is_table(names: Sequence[str]) -> bool:
    """Whether a CSV file with these names is one of several people's."""
    return PERSON in names and _table(names, TABLES) is not None


def read_table(path: Path, person: str, asked: Asked) -> Iterator[pl.DataFrame]:
    """Readings of a table; ``person`` is whose archive it is from, empty where the table says.

    Raises:
        DataError: its columns are of no kind that is known, or a line is broken.
    """
    for names, frame in csv_batches(path, asked):
        table = _table(names, OF_ARCHIVE if person else TABLES)
        asked.tally.found(*((ARCHIVE, path.name.partition(" - ")[0]) if person else (path.name, "rows")), frame.height)
        if person and {"date_of_birth", "gender"} <= set(names):
            yield _profile(frame, person, asked)
        elif table and (person or PERSON in names):
            yield from _readings(path, frame, table, person, asked)
        else:
            expected = "; ".join(f"{PERSON}, {one.time}, {', '.join(one.values)}" for one in TABLES)
            raise DataError(
                f"{path}: columns {', '.join(names)} are of no Fitbit table that is read; expected {expected}"
            )


def _table(names: Sequence[str], tables: Sequence[Table]) -> Table | None:
    return next((one for one in tables if one.time in names and set(one.values) & set(names)), None)


def _readings(path: Path, frame: pl.DataFrame, table: Table, person: str, asked: Asked) -> Iterator[pl.DataFrame]:
    text = frame[table.time].str.strip_chars()
    start, end = (_written(text, table, minutes, asked.zone) for minutes in (0, table.minutes))
    base = frame.with_columns(
        pl.lit(person).alias("person") if person else pl.col(PERSON).str.strip_chars().alias("person"),
        city=pl.lit(asked.city), start=start, end=end if table.minutes else pl.lit(None),
        source=pl.lit(f"Fitbit {table.time}"),
    )  # fmt: skip
    if {"TotalSteps", "SedentaryMinutes"} <= set(frame.columns):
        worn = ~((pl.col("TotalSteps") == "0") & (pl.col("SedentaryMinutes") == "1440"))
        asked.tally.drop("not worn that day (no step, 1440 minutes at rest)", base.filter(~worn).height)
        base = base.filter(worn)
    for column, (concept, unit) in table.values.items():
        if column in frame.columns and concept in asked.concepts:
            known = base.filter(pl.col(column).str.strip_chars() != "")
            asked.tally.found(path.name, f"without {column}", base.height - known.height)
            value = pl.col(column).str.strip_chars().cast(pl.Float64, strict=False)
            told = {"value": value, "concept": pl.lit(concept), "unit": pl.lit(unit)}
            yield as_raw(known.select("person", "city", "start", "end", "source", **told))


def _written(text: pl.Series, table: Table, minutes: int, zone: str) -> pl.Series:
    """Times in the form that records have."""
    if table.clock == "day":
        return text.str.slice(0, len("YYYY-MM-DD"))
    if table.clock == "UTC":
        return on_clock(text.str.strip_suffix("Z"), "%Y-%m-%dT%H:%M:%S%.f", zone)
    found = text.str.to_datetime(US_TIME, strict=False)
    day = text.str.to_date(US_DAY, strict=False).cast(pl.Datetime("us"))
    return found.fill_null(day).dt.offset_by(f"{minutes}m").dt.to_string("%Y-%m-%dT%H:%M:%S")


def _profile(frame: pl.DataFrame, person: str, asked: Asked) -> pl.DataFrame:
    """Birth date and sex from the account's profile."""
    born, sex = days_since_epoch(frame["date_of_birth"][0] or ""), SEXES.get((frame["gender"][0] or "").upper())
    return asked.facts(person, "Fitbit profile", {"birth_date": (born, EPOCH_DAY), "sex": (sex, "1")})
