"""Air-quality stations: hourly tables in the form of China's PRSA data, and daily tables of one pollutant.

Hourly: columns ``year, month, day, hour`` on the station's clock, then ``PM2.5, PM10, SO2, NO2, CO, O3`` in ug/m3,
``TEMP`` and ``DEWP`` in Cel, ``WSPM`` in m/s, ``station`` (Zhang et al. 2017, UCI data set 501). Daily: ``date`` and
columns such as ``pm25_concentration_ug_per_m3`` or ``no2_ppb``.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from fedhealth.data.files import DataError, printable
from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.columns import csv_batches, dated
from fedhealth.data.imports.maps import CITY
from fedhealth.data.imports.raw import as_raw

CLOCK = ("year", "month", "day", "hour")
STATION_COLUMNS = {
    "PM2.5": ("pm25", "ug/m3"),
    "PM10": ("pm10", "ug/m3"),
    "SO2": ("so2", "ug/m3"),
    "NO2": ("no2", "ug/m3"),
    "CO": ("co", "ug/m3"),
    "O3": ("o3", "ug/m3"),
    "TEMP": ("temperature", "Cel"),
    "WSPM": ("wind_speed", "m/s"),
}
GASES = ("so2", "no2", "co", "o3")
AT_25_DEGREES = 273.15 / 298.15  # GB 3095-2012 states ug/m3 of gases at 0 °C, everything here is at 25 °C
DAILY_COLUMN = re.compile(
    r"(pm25|pm2\.5|pm10|so2|no2|co|o3)(?:_concentration|_mean)?_(ug_per_m3|mg_per_m3|ppb|ppm)", re.I
)
UNITS = {"ug_per_m3": "ug/m3", "mg_per_m3": "mg/m3", "ppb": "[ppb]", "ppm": "[ppm]"}
MISSING = ("", "NA", "NaN")


def read_air_quality(path: Path, asked: Asked) -> Iterator[pl.DataFrame]:
    """Readings of places. A reading of a day lasts the day, one of an hour the hour.

    Raises:
        DataError: the columns are of neither form, a line is broken, or nobody says which city it is.
    """
    for names, frame in dated(csv_batches(path, asked), "date"):
        read = _hourly if set(CLOCK) <= set(names) else _daily
        asked.tally.found(path.name, "hours" if read is _hourly else "days", frame.height)
        yield from read(path, names, frame, asked)


def is_air_quality(names: Sequence[str]) -> bool:
    """Whether a CSV file's names are those of a station."""
    hourly = set(CLOCK) <= set(names) and bool(set(STATION_COLUMNS) & set(names))
    return hourly or any(DAILY_COLUMN.fullmatch(name) for name in names)


def _hourly(path: Path, names: list[str], frame: pl.DataFrame, asked: Asked) -> Iterator[pl.DataFrame]:
    year, month, day, hour = (pl.col(c).str.strip_chars().str.zfill(4 if c == "year" else 2) for c in CLOCK)
    written = pl.concat_str(year, pl.lit("-"), month, pl.lit("-"), day, pl.lit(" "), hour, pl.lit(":00"))
    station = pl.col("station") if "station" in names else pl.lit(printable(path.name))
    by_station = "station" in names and CITY not in names and asked.city is None
    city = station if by_station else _city(path, names, asked)
    base = frame.with_columns(start=written, end=_later(written, "%Y-%m-%d %H:%M", "1h"), city=city, source=station)
    for name, (concept, unit) in STATION_COLUMNS.items():
        if name in names and concept in asked.concepts:
            yield _readings(path.name, base, name, concept, unit, asked, AT_25_DEGREES if concept in GASES else 1.0)
    if {"TEMP", "DEWP"} <= set(names) and "humidity" in asked.concepts:
        yield _readings(path.name, base.with_columns(humidity=_humidity()), "humidity", "humidity", "%", asked)


def _humidity() -> pl.Expr:
    """Relative humidity, %, from temperature and dew point (Magnus form of Alduchov and Eskridge 1996)."""
    pressure = [
        (17.625 * degrees / (243.04 + degrees)).exp()
        for degrees in (pl.col(name).cast(pl.Float64, strict=False) for name in ("DEWP", "TEMP"))
    ]
    return (100 * pressure[0] / pressure[1]).cast(pl.String)


def _daily(path: Path, names: list[str], frame: pl.DataFrame, asked: Asked) -> Iterator[pl.DataFrame]:
    matches = [match for name in names if (match := DAILY_COLUMN.fullmatch(name))]
    if "date" not in names or not matches:
        raise DataError(
            f"{path}: columns {', '.join(names)}; expected year, month, day, hour, PM2.5, ... of a station, or date "
            "and one such as pm25_concentration_ug_per_m3; for other names use kind csv with --map"
        )
    base = frame.with_columns(
        start="date",
        end=_later(pl.col("date"), "%Y-%m-%d", "1d"),
        city=_city(path, names, asked),
        source=pl.lit(printable(path.name)),
    )
    for match in matches:
        concept = match[1].lower().replace(".", "")
        if concept in asked.concepts:
            yield _readings(path.name, base, match[0], concept, UNITS[match[2].lower()], asked)


def _city(path: Path, names: Sequence[str], asked: Asked) -> pl.Expr:
    """The city of each row: its own, else the one that was told."""
    if CITY in names:
        own = pl.col(CITY).str.strip_chars()
        return pl.when(own != "").then(own).otherwise(pl.lit(asked.city))
    if asked.city is None:
        raise DataError(f"{path}: names no city; say which it is: --city NAME")
    return pl.lit(asked.city)


def _later(text: pl.Expr, form: str, by: str) -> pl.Expr:
    return text.str.to_datetime(form, strict=False).dt.offset_by(by).dt.to_string(form)


def _readings(
    file: str, base: pl.DataFrame, column: str, concept: str, unit: str, asked: Asked, factor: float = 1.0
) -> pl.DataFrame:
    text = pl.col(column).str.strip_chars()
    known = base.filter(~text.is_in(MISSING))
    asked.tally.found(file, f"without {column}", base.height - known.height)
    found = known.with_columns(value=text.cast(pl.Float64, strict=False) * factor)
    broken = found.filter(~pl.col("value").is_finite().fill_null(False))
    example = f"line {broken['#'][0]}, column {column!r}: {broken[column][0]!r}" if broken.height else ""
    asked.tally.drop("not a number", broken.height, example)
    kept = found.filter(pl.col("value").is_finite())
    return as_raw(kept.select("city", "start", "end", "value", "source", concept=pl.lit(concept), unit=pl.lit(unit)))
