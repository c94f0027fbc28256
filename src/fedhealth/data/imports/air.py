"""A city's air day by day, its index, and the index of the hour (NowCast)."""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fedhealth.data.aqi import TABLE, Pollutant, index_of_days, overall_aqi
from fedhealth.data.imports.daily import Readings, max_1h, max_8h, max_8h_all, mean_24h

Floats = NDArray[np.float64]
AVERAGES: Mapping[Pollutant, Callable[[Readings], pl.DataFrame]] = {
    "pm25_24h": mean_24h,
    "pm10_24h": mean_24h,
    "o3_8h_ppm": max_8h,
    "o3_1h_ppm": max_1h,
    "co_8h_ppm": max_8h_all,
    "so2_1h_ppb": max_1h,
    "so2_24h_ppb": mean_24h,
    "no2_1h_ppb": max_1h,
}
PARTICLES = ("pm25", "pm10")
NOWCAST_HOURS = 12
LOWEST_WEIGHT = 0.5


def daily_index(readings: Mapping[str, Readings]) -> pl.DataFrame:
    """``who, date, value``: the air quality index of each day with a valid average of at least one pollutant.

    ``readings`` maps concepts (``pm25``, ``o3``, ...) to their readings, as the rules of a day take them.
    """
    averages = [
        AVERAGES[p](readings[column.substance]).select("who", "date", (pl.col("value") / column.per_unit).alias(p))
        for p, column in TABLE.items()
        if column.substance in readings
    ]
    if not averages:
        return pl.DataFrame(schema={"who": pl.String, "date": pl.Date, "value": pl.Float64})
    days = pl.concat(averages, how="diagonal").group_by("who", "date").max()
    measured = {p: days[p].fill_null(np.nan).to_numpy() for p in TABLE if p in days.columns}
    index = pl.Series("value", overall_aqi(measured)).fill_nan(None)
    return days.select("who", "date", index).drop_nulls("value")


def nowcast(hours: Floats) -> float:
    """NowCast of particles (PM2.5, PM10): the recent hours' mean, weighted towards the last where they change.

    With ``w = min / max`` of the hours, but at least 0.5, the weights are ``w ** age in hours`` (US EPA, Technical
    Assistance Document for the Reporting of Daily Air Quality, EPA-454/B-24-002, 2024).

    Args:
        hours: concentrations of the latest hours, the newest last, at most 12 are used; NaN where not measured.

    Returns:
        In the unit of ``hours``; NaN where two of the latest three hours are missing.
    """
    newest_first = hours[::-1][:NOWCAST_HOURS]
    known = ~np.isnan(newest_first)
    if np.count_nonzero(known[:3]) < 2:
        return float("nan")
    values = newest_first[known]
    weight = max(float(values.min() / values.max()), LOWEST_WEIGHT) if values.max() > 0 else 1.0
    weights = weight ** np.flatnonzero(known)
    return float((weights * values).sum() / weights.sum())


def index_now(readings: Mapping[str, Readings]) -> dict[str, tuple[str, float]]:
    """By city, the latest hour with particles on its own clock, and the index of their NowCast in that hour.

    Cities without a valid NowCast are left out, so are readings that stand for a whole day.
    """
    hour = pl.col("local").dt.truncate("1h")
    hourly = pl.col("end").is_null() | (pl.col("end") - pl.col("start") <= pl.duration(hours=1))
    series = [
        readings[concept].filter(hourly).group_by("who", hour=hour).agg(pl.col("value").mean().alias(concept))
        for concept in PARTICLES
        if concept in readings
    ]
    if not series:
        return {}
    hours = pl.concat(series, how="diagonal").group_by("who", "hour").max().sort("who", "hour")
    found = {str(city): _latest(group) for (city,), group in hours.group_by("who", maintain_order=True)}
    return {city: latest for city, latest in found.items() if not np.isnan(latest[1])}


def _latest(hours: pl.DataFrame) -> tuple[str, float]:
    """The last hour of one city, as text, and its index."""
    age = ((hours["hour"][-1] - hours["hour"]).dt.total_hours()).to_numpy()
    recent = age < NOWCAST_HOURS
    now: dict[str, float] = {}
    for concept in PARTICLES:
        if concept in hours.columns:
            line = np.full(NOWCAST_HOURS, np.nan)
            line[NOWCAST_HOURS - 1 - age[recent]] = hours[concept].fill_null(np.nan).to_numpy()[recent]
            now[concept] = nowcast(line)
    return f"{hours['hour'][-1]:%Y-%m-%d %H:00}", float(index_of_days(now))
