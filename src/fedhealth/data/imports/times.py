"""Times as files write them, with and without an offset from UTC."""

import datetime as dt
import re

import polars as pl

from fedhealth.data.files import DataError

LONGEST_OFFSET = 14 * 60  # minutes; no place on Earth is further from UTC
_ISO = r"^D{4}-DD-DD(?:[T ]DD:DD(?::DD)?(?:[.,]D+)?)?\s*(?:Z|[+-]DD:?DD)?$".replace("D", "[0-9]")
_TO_THE_SECOND = r"^.{10}[T ].{5}:"
_SHORTER = ((r"^(.{10})(\s*(?:[Z+-].*)?)$", "${1}T00:00:00${2}"), (r"^(.{10}[T ].{5})([^:].*)?$", "${1}:00${2}"))
_SECONDS = len("YYYY-MM-DD hh:mm:ss")
UNDATED = "1900-01-01"  # the start of what has always been so
EPOCH = dt.date(1970, 1, 1)
EPOCH_DAY = "{epoch_days}"  # a date as a number: days since 1970-01-01
_PARTIAL = re.compile(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?")


def check_zone(zone: str) -> None:
    """Refuse a time zone that there is not.

    Raises:
        DataError: it is not in the Time Zone Database.
    """
    try:
        pl.Series([dt.datetime(2000, 1, 1)]).dt.replace_time_zone(zone)
    except pl.exceptions.PolarsError:
        raise DataError(f"time zone {zone!r} is not known; expected a name such as Asia/Karachi or UTC") from None


def parse_times(text: pl.Series, zone: str) -> pl.DataFrame:
    """ISO 8601 texts (also with a blank for the ``T`` and before the offset) as times.

    Args:
        text: a date, or a date with time of day, fraction and offset.
        zone: where clocks were that show no offset, or only UTC (``Z``), such as ``Asia/Karachi``.

    Returns:
        ``utc`` (datetime in microseconds), ``offset`` (minutes east of UTC), ``zoned`` (whether the text said so); null
        where the text is no time.
    """
    told = pl.DataFrame({"text": text}).select(pl.when(pl.col("text").str.contains(_ISO)).then("text"))
    if not told.select(pl.col("text").str.contains(_TO_THE_SECOND).all()).item():
        for short, whole in _SHORTER:
            told = told.with_columns(pl.col("text").str.replace(short, whole))
    clock = pl.col("text").str.slice(0, _SECONDS).str.replace("T", " ", literal=True)
    local = clock.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, cache=False)
    told = told.select(local=local, end=pl.col("text").str.slice(_SECONDS))
    offsets = _offsets(told.select(pl.col("end").unique()))
    found = told.join(offsets, on="end", how="left", maintain_order="left", nulls_equal=True)
    east = pl.duration(minutes=pl.col("offset"))
    found = found.with_columns(utc=pl.col("local") - east, zoned=pl.col("offset").is_not_null())
    if not found.select((pl.col("zoned") | pl.col("local").is_null()).all()).item():
        utc = pl.when("instant").then("local").otherwise(_at_place(pl.col("local"), zone))
        found = found.with_columns(pl.coalesce("utc", utc))
        ahead = (_clock(pl.col("utc"), zone) - pl.col("utc")).dt.total_minutes()
        found = found.with_columns(pl.coalesce("offset", ahead))
    possible = pl.col("offset").abs() <= LONGEST_OFFSET
    return found.select(pl.when(possible).then("utc"), pl.col("offset").cast(pl.Int16), "zoned")


def _offsets(ends: pl.DataFrame) -> pl.DataFrame:
    """What each ``end`` of a time, after its seconds, says: ``offset`` in minutes, and ``instant`` for ``Z``."""
    found = ends.with_columns(text=pl.col("end").str.extract("(Z|[+-].*)$"))
    text = pl.col("text")
    sign = pl.when(text.str.starts_with("-")).then(-1).otherwise(1)
    hours, minutes = (part.cast(pl.Int32, strict=False) for part in (text.str.slice(1, 2), text.str.slice(-2)))
    return found.select("end", instant=text == "Z", offset=sign * (hours * 60 + minutes))


def _at_place(local: pl.Expr, zone: str) -> pl.Expr:
    """UTC of a clock's time; of one that it skips, an hour later; of one that it shows twice, the first."""

    def utc(time: pl.Expr) -> pl.Expr:
        there = time.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        return there.dt.convert_time_zone("UTC").dt.replace_time_zone(None)

    return pl.coalesce(utc(local), utc(local + pl.duration(hours=1)))


def _clock(utc: pl.Expr, zone: str) -> pl.Expr:
    """What a clock in ``zone`` shows."""
    return utc.dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.replace_time_zone(None)


def on_clock(text: pl.Series, form: str, zone: str, minutes: int = 0) -> pl.Series:
    """Texts of UTC times, written as ``form`` says, as texts of the clock in ``zone``; ``minutes`` later."""
    there = text.str.to_datetime(form, strict=False, time_zone="UTC").dt.offset_by(f"{minutes}m")
    return there.dt.convert_time_zone(zone).dt.to_string("%Y-%m-%dT%H:%M:%S%z")


def days_since_epoch(text: str) -> float | None:
    """A date ``YYYY-MM-DD`` as days since 1970-01-01; of a month or year its middle; None where it is no date."""
    found = _PARTIAL.fullmatch(text)
    if not found:
        return None
    year, month, day = found.groups()
    try:
        date = dt.date(int(year), int(month or 7), int(day or (15 if month else 1)))
    except ValueError:
        return None
    return float((date - EPOCH).days)


def date_of(days: float) -> str:
    """A date ``YYYY-MM-DD`` from days since 1970-01-01."""
    return str(EPOCH + dt.timedelta(days=days))
