"""Times as files write them, with and without an offset from UTC."""

import datetime as dt
import re

import polars as pl

from fedhealth.data.files import DataError

LONGEST_OFFSET = 14 * 60  # minutes; no place on Earth is further from UTC
_ISO = r"^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(?:[.,]\d+)?)?\s*(Z|[+-][0-9]{2}:?[0-9]{2})?$"
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
    parts = text.str.extract_groups(_ISO).struct.unnest()
    parts.columns = ["day", "clock", "second", "offset"]
    parts = parts.with_columns(pl.col("clock").fill_null("00:00"), pl.col("second").fill_null(":00"))
    local = pl.concat_str("day", pl.lit("T"), "clock", "second").str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False)
    found = parts.select(local=local, instant=pl.col("offset") == "Z", offset=_minutes(pl.col("offset")))
    east = pl.duration(minutes=pl.col("offset"))
    found = found.with_columns(utc=pl.col("local") - east, zoned=pl.col("offset").is_not_null())
    if not found["zoned"].all():
        utc = pl.when("instant").then("local").otherwise(_at_place(pl.col("local"), zone))
        found = found.with_columns(pl.coalesce("utc", utc))
        ahead = (_clock(pl.col("utc"), zone) - pl.col("utc")).dt.total_minutes()
        found = found.with_columns(pl.coalesce("offset", ahead))
    return found.select("utc", pl.col("offset").cast(pl.Int16), "zoned").with_columns(
        pl.when(pl.col("offset").abs() <= LONGEST_OFFSET).then(pl.col("utc")).alias("utc")
    )


def _minutes(offset: pl.Expr) -> pl.Expr:
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    hours, minutes = (
        offset.str.slice(1, 2).cast(pl.Int32, strict=False),
        offset.str.slice(-2).cast(pl.Int32, strict=False),
    )
    return sign * (hours * 60 + minutes)


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
