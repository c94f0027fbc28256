"""What is known of a person on a day from readings of that day or before."""

from collections.abc import Callable, Mapping

import polars as pl

from fedhealth.data.imports.concepts import Rule

YEAR = 365.25  # days

# Every rule takes readings of one concept (``who``, ``date``, ``end_date``, ``value``) and days (``who``, ``date``). It
# gives ``who, date, value`` for the days on which the fact is known.


def last(readings: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """The latest reading up to the day."""
    return _latest(readings, days).select("who", "date", "value").drop_nulls("value")


def aged(readings: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """The latest age up to the day, plus the full years since."""
    since = ((pl.col("date") - pl.col("read")).dt.total_days() / YEAR).floor()
    return _latest(readings, days).select("who", "date", value=pl.col("value") + since).drop_nulls("value")


def _latest(readings: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    known = readings.sort("date").select("who", "date", "value", read="date")
    return days.sort("date").join_asof(known, on="date", by="who", strategy="backward", check_sortedness=False)


def birth(readings: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """Full years since the day of birth (value: days since 1970-01-01)."""
    born = readings.group_by("who").agg(born=pl.col("value").last().cast(pl.Int32).cast(pl.Date))
    joined = days.join(born, on="who")
    now, then = pl.col("date"), pl.col("born")
    had_birthday = _day_of_year(now) >= _day_of_year(then)
    years = now.dt.year() - then.dt.year() - pl.when(had_birthday).then(0).otherwise(1)
    return joined.filter(now >= then).select("who", "date", value=years.cast(pl.Float64))


def _day_of_year(date: pl.Expr) -> pl.Expr:
    """Month and day as one number that rises through the year."""
    return date.dt.month().cast(pl.Int32) * 100 + date.dt.day()


def ever(readings: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """1 while a reading of 1 lasts (without an end: for good), 0 on other days of people with any reading.

    Of people who also have a reading without a value, it is not known on other days.
    """
    ill = readings.filter(pl.col("value") == 1)
    during = days.join(ill.select("who", "date", "end_date"), on="who", suffix="_read")
    during = during.filter(
        pl.col("date_read") <= pl.col("date"), pl.col("end_date").is_null() | (pl.col("date") <= pl.col("end_date"))
    )
    others = readings.group_by("who").agg(pl.when(pl.col("value").is_not_null().all()).then(0.0).alias("other"))
    ones = during.select("who", "date").unique().with_columns(value=pl.lit(1.0))
    found = days.join(others, on="who").join(ones, on=["who", "date"], how="left")
    return found.select("who", "date", pl.coalesce("value", "other").alias("value")).drop_nulls("value")


KNOWN: Mapping[Rule, Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]] = {
    "birth": birth,
    "aged": aged,
    "last": last,
    "ever": ever,
}
