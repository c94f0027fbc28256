"""One value a day from a day's readings.

Every rule takes readings of one concept (columns ``who``, ``start``, ``end`` in UTC, ``local`` and ``local_end`` on the
clock where they were taken, ``date`` of ``local``, ``value``, ``source``) and gives ``who, date, value``, a row a day.
"""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fedhealth.data.imports.concepts import Rule

WEAR_HOURS = 4  # different hours of a day that must have heart rates before the lowest of them mean rest
LOWEST_SHARE = 0.05
NIGHT = (22, 8)  # o'clock; the night belongs to the day on which it ends
SESSION_GAP = 1  # hours; longer awake than this, and a new sleep begins
MOST_SOURCES = 50  # of a day; those that counted least are taken together
HOURS_NEEDED = 18  # of 24, for a day's mean or maximum (75 %, 40 CFR part 50, appendix N)
WINDOW_NEEDED = 6  # of the 8 hours of a window
OZONE_WINDOWS = (7, 13)  # o'clock of a day's first window, and how many are needed (40 CFR part 50, appendix U)
ALL_WINDOWS = (0, 18)
Readings = pl.DataFrame
_DAY = ["who", "date"]


def mean(readings: Readings) -> pl.DataFrame:
    """Mean of the day's readings."""
    return readings.group_by(_DAY).agg(pl.col("value").mean())


def lowest(readings: Readings) -> pl.DataFrame:
    """Heart rate at rest from that of the whole day: its 5 % quantile, where at least four hours have readings."""
    hours = pl.col("local").dt.hour().n_unique()
    quantile = pl.col("value").quantile(LOWEST_SHARE, "nearest")
    return readings.group_by(_DAY).agg(quantile, hours=hours).filter(pl.col("hours") >= WEAR_HOURS).drop("hours")


def night(readings: Readings) -> pl.DataFrame:
    """Mean of the night that ends on the day; of the day's readings where there is none at night."""
    hour = pl.col("local").dt.hour()
    late, early = hour >= NIGHT[0], hour < NIGHT[1]
    date = pl.when(late).then(pl.col("date").dt.offset_by("1d")).otherwise("date")
    found = readings.with_columns(date=date, night=late | early)
    at_night = pl.col("value").filter("night").mean()
    return found.group_by(_DAY).agg(pl.coalesce(at_night, pl.col("value").mean()))


def largest(readings: Readings) -> pl.DataFrame:
    """The highest of the day's totals: devices write the day's total so far, again and again."""
    return readings.group_by(_DAY).agg(pl.col("value").max())


def total(readings: Readings) -> pl.DataFrame:
    """Sum of a source's readings by the day on which they end; of several sources the highest.

    Of readings that overlap, the later counts for the share of its time that is new.
    """
    found = readings.sort("who", "source", "start", "value", descending=[False, False, False, True])
    found = found.with_columns(before=pl.col("end").cum_max().forward_fill().shift(1).over("who", "source"))
    length, new = pl.col("end") - pl.col("start"), pl.col("end") - pl.max_horizontal("start", "before")
    share = pl.when(length > pl.duration(seconds=0)).then((new / length).clip(0)).otherwise(1.0)
    ended = found.with_columns(date=pl.coalesce("local_end", "local").dt.date(), value=pl.col("value") * share)
    return ended.group_by(*_DAY, "source").agg(pl.col("value").sum()).group_by(_DAY).agg(pl.col("value").max())


def sleep(readings: Readings) -> pl.DataFrame:
    """Hours asleep by wake date: stretches that overlap count once; those less than an hour apart are one sleep."""
    found = readings.sort("who", "start").with_columns(before=pl.col("end").cum_max().shift(1).over("who"))
    begins = (pl.col("start") - pl.col("before") > pl.duration(hours=SESSION_GAP)).fill_null(True)
    new = pl.max_horizontal("start", pl.coalesce("before", "start"))
    hours = ((pl.col("end") - new).dt.total_seconds() / 3600).clip(lower_bound=0)
    found = found.with_columns(session=begins.cum_sum(), hours=hours)
    last = pl.col("local_end").get(pl.col("end").arg_max()).dt.date()
    sessions = found.group_by("who", "session").agg(date=last, value=pl.col("hours").sum())
    return sessions.group_by(_DAY).agg(pl.col("value").sum())


def intervals(readings: Readings) -> pl.DataFrame:
    """Sum of counts over stretches of time, where several sources count the same thing.

    By day, sources come in order of their totals, the highest first. A reading counts for the share of its time in
    which no source before its own counted; sources beyond the first 50 are taken for one.
    """
    totals = readings.group_by(*_DAY, "source").agg(total=pl.col("value").sum())
    ranks = totals.sort(*_DAY, "total", "source", descending=[False, False, True, False])
    ranks = ranks.with_columns(rank=pl.int_range(pl.len()).over(_DAY).clip(upper_bound=MOST_SOURCES)).drop("total")
    found = readings.join(ranks, on=[*_DAY, "source"], nulls_equal=True)
    counted = found["value"].to_numpy() * _own_share(found)
    return found.with_columns(value=counted).group_by(_DAY).agg(pl.col("value").sum().round())


def _own_share(found: Readings) -> NDArray[np.float64]:
    """The share of each reading's time that no source of a lower rank covers, 0..1."""
    people = found["who"].rank("dense").to_numpy().astype(np.int64) * 10**11
    start = people + found["start"].dt.epoch("s").to_numpy()
    end = people + found.select(pl.coalesce("end", "start")).to_series().dt.epoch("s").to_numpy()
    rank, share = found["rank"].to_numpy(), np.ones(found.height)
    taken = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    for place in range(int(rank.max(initial=-1)) + 1):
        here = rank == place
        length = end[here] - start[here]
        hidden = _covered(taken, end[here]) - _covered(taken, start[here])
        moment = _inside(taken, start[here])
        share[here] = 1 - np.where(length > 0, hidden / np.maximum(length, 1), moment)
        taken = _union(np.concatenate([taken[0], start[here]]), np.concatenate([taken[1], end[here]]))
    return share


def _union(start: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stretches that may overlap, as ones that do not, in order."""
    order = np.argsort(start, kind="stable")
    start, end = start[order], np.maximum.accumulate(end[order])
    first = np.r_[True, start[1:] > end[:-1]]
    return start[first], end[np.r_[first[1:], True]]


def _covered(taken: tuple[NDArray[np.int64], NDArray[np.int64]], time: NDArray[np.int64]) -> NDArray[np.int64]:
    """How much of ``taken`` lies before each time."""
    start, end = taken
    if not len(start):
        return np.zeros(len(time), dtype=np.int64)
    before = np.r_[0, np.cumsum(end - start)]
    place = np.searchsorted(start, time, side="right")
    part = np.where(place > 0, np.minimum(time, end[place - 1]) - start[place - 1], 0)
    return np.asarray(before[np.maximum(place - 1, 0)] + part)


def _inside(taken: tuple[NDArray[np.int64], NDArray[np.int64]], time: NDArray[np.int64]) -> NDArray[np.bool_]:
    start, end = taken
    if not len(start):
        return np.zeros(len(time), dtype=np.bool_)
    place = np.searchsorted(start, time, side="right")
    return np.asarray((place > 0) & (time < end[place - 1]))


def _hours_and_days(readings: Readings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Readings of hours (``who, date, hour, value, hours``) and of whole days (``who, date, value``).

    Stations of one place are averaged, each kind by itself.
    """
    hours = ((pl.col("end") - pl.col("start")).dt.total_seconds() / 3600).fill_null(1.0).clip(1.0, 24.0)
    found = readings.with_columns(hours=hours)
    whole = found.filter(pl.col("hours") >= HOURS_NEEDED).group_by(_DAY).agg(pl.col("value").mean())
    shorter = found.filter(pl.col("hours") < HOURS_NEEDED)
    hourly = shorter.group_by("who", "date", hour=pl.col("local").dt.truncate("1h"))
    return hourly.agg(pl.col("value").mean(), pl.col("hours").max()), whole


def _of_hours(days: pl.DataFrame, whole: pl.DataFrame) -> pl.DataFrame:
    """What hours tell of a day; where they do not suffice, what was told of the whole day."""
    return pl.concat([days, whole]).unique(_DAY, keep="first", maintain_order=True)


def mean_24h(readings: Readings) -> pl.DataFrame:
    """Mean over the hours of the day, where at least 18 of them were measured."""
    hourly, whole = _hours_and_days(readings)
    weighted = (pl.col("value") * pl.col("hours")).sum() / pl.col("hours").sum()
    found = hourly.group_by(_DAY).agg(value=weighted, hours=pl.col("hours").sum())
    return _of_hours(found.filter(pl.col("hours") >= HOURS_NEEDED).drop("hours"), whole)


def max_1h(readings: Readings) -> pl.DataFrame:
    """The highest hour of the day, where at least 18 were measured."""
    hourly, whole = _hours_and_days(readings)
    found = hourly.group_by(_DAY).agg(pl.col("value").max(), hours=pl.col("hours").sum())
    return _of_hours(found.filter(pl.col("hours") >= HOURS_NEEDED).drop("hours"), whole)


def max_8h(readings: Readings) -> pl.DataFrame:
    """The highest mean of 8 hours in a row, of those that start from 7 to 23 o'clock; 13 of these 17 must be known."""
    return _windows(readings, *OZONE_WINDOWS)


def max_8h_all(readings: Readings) -> pl.DataFrame:
    """The highest mean of 8 hours in a row, of those that start on the day; 18 of these 24 must be known."""
    return _windows(readings, *ALL_WINDOWS)


def _windows(readings: Readings, first: int, needed: int) -> pl.DataFrame:
    """The highest of the means that start from ``first`` o'clock to 23, where so many as ``needed`` are known.

    A mean needs 6 of its 8 hours. Readings of a whole day count as they are, where the hours of it do not suffice.
    """
    hourly, whole = _hours_and_days(readings)
    if not hourly.height:
        return whole
    series = (
        hourly.sort("who", "hour")
        .select("who", "hour", "value")
        .upsample("hour", every="1h", group_by="who", maintain_order=True)
    )
    series = series.with_columns(pl.col("who").forward_fill())
    rolled = pl.col("value").rolling_mean(8, min_samples=WINDOW_NEEDED).shift(-7).over("who")
    windows = series.with_columns(value=rolled, date=pl.col("hour").dt.date())
    windows = windows.filter(pl.col("hour").dt.hour() >= first, pl.col("value").is_not_null())
    found = windows.group_by(_DAY).agg(pl.col("value").max(), known=pl.len())
    return _of_hours(found.filter(pl.col("known") >= needed).drop("known"), whole)


DAILY: Mapping[Rule, Callable[[Readings], pl.DataFrame]] = {
    "mean": mean,
    "lowest": lowest,
    "night": night,
    "largest": largest,
    "total": total,
    "sleep": sleep,
    "intervals": intervals,
    "mean_24h": mean_24h,
    "max_1h": max_1h,
    "max_8h": max_8h,
    "max_8h_all": max_8h_all,
}
# What a day lacks of which a rule makes no value, though it has readings.
TOO_FEW: Mapping[Rule, str] = {
    "lowest": f"readings in fewer than {WEAR_HOURS} different hours",
    "mean_24h": f"fewer than {HOURS_NEEDED} hours",
    "max_1h": f"fewer than {HOURS_NEEDED} hours",
    "max_8h": f"fewer than {OZONE_WINDOWS[1]} means of 8 hours from {OZONE_WINDOWS[0]} to 23 o'clock",
    "max_8h_all": f"fewer than {ALL_WINDOWS[1]} means of 8 hours",
}
EACH_DAY: tuple[Rule, ...] = ("mean", "lowest", "largest", "intervals")  # need the readings of the day alone
