"""A city's air day by day, and its index."""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from fedhealth.data.aqi import Pollutant, overall_aqi
from fedhealth.data.imports.daily import Readings, max_1h, max_8h, mean_24h

PPB = 1000.0  # in a ppm
# What the index of a day is made of: concept, average, and the concept's units in one of the table's.
AVERAGES: Mapping[Pollutant, tuple[str, Callable[[Readings], pl.DataFrame], float]] = {
    "pm25_24h": ("pm25", mean_24h, 1.0),
    "pm10_24h": ("pm10", mean_24h, 1.0),
    "o3_8h_ppm": ("o3", max_8h, PPB),
    "o3_1h_ppm": ("o3", max_1h, PPB),
    "co_8h_ppm": ("co", max_8h, 1.0),
    "so2_1h_ppb": ("so2", max_1h, 1.0),
    "so2_24h_ppb": ("so2", mean_24h, 1.0),
    "no2_1h_ppb": ("no2", max_1h, 1.0),
}


def daily_index(readings: Mapping[str, Readings]) -> pl.DataFrame:
    """``who, date, value``: the air quality index of each day with a valid average of at least one pollutant.

    ``readings`` maps concepts (``pm25``, ``o3``, ...) to their readings, as the rules of a day take them.
    """
    averages = [
        average(readings[concept]).select("who", "date", (pl.col("value") / units).alias(pollutant))
        for pollutant, (concept, average, units) in AVERAGES.items()
        if concept in readings
    ]
    if not averages:
        return pl.DataFrame(schema={"who": pl.String, "date": pl.Date, "value": pl.Float64})
    days = pl.concat(averages, how="diagonal").group_by("who", "date").max()
    measured = {p: days[p].fill_null(np.nan).to_numpy() for p in AVERAGES if p in days.columns}
    index = pl.Series("value", overall_aqi(measured)).fill_nan(None)
    return days.select("who", "date", index).drop_nulls("value")
