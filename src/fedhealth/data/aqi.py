"""The US EPA Air Quality Index (AQI) by the table in force since 6 May 2024.

A concentration is truncated to the pollutant's reporting step, then interpolated between breakpoints,

    AQI = (I_high - I_low) / (C_high - C_low) * (C - C_low) + I_low,

and rounded to the nearest integer. Source: 40 CFR part 58, appendix G, tables 1 and 2, as amended by 89 FR
16202.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Pollutant = Literal[
    "pm25_24h", "pm10_24h", "o3_8h_ppm", "o3_1h_ppm", "co_8h_ppm", "so2_1h_ppb", "so2_24h_ppb", "no2_1h_ppb"
]
POLLUTANTS: tuple[Pollutant, ...] = get_args(Pollutant)
CATEGORIES = (
    "Good",
    "Moderate",
    "Unhealthy for Sensitive Groups",
    "Unhealthy",
    "Very Unhealthy",
    "Hazardous",
)
INDEX_TOPS = (50, 100, 150, 200, 300, 500)
_ROUNDING_ERROR = 1e-6  # in steps: 0.07 ppm must count as 70 steps of 0.001, however the float falls


@dataclass(frozen=True)
class Breakpoints:
    """One pollutant's column of the table, in whole reporting steps.

    ``tops[i]`` is the highest concentration of category ``first + i``; each category begins one step above
    the top of the one below it, the first at ``start``. ``per_unit`` of the ``substance``'s readings (ug/m3 of
    particles, ppm of CO, ppb of the other gases) make one of the column's unit.
    """

    substance: str
    steps_per_unit: int
    tops: tuple[int, ...]
    start: int = 0
    first: int = 0
    per_unit: float = 1.0

    @property
    def starts(self) -> tuple[int, ...]:
        """Lowest concentration of each category, in steps."""
        return (self.start, *(top + 1 for top in self.tops[:-1]))

    @property
    def index_tops(self) -> tuple[int, ...]:
        """Highest index of each category."""
        return INDEX_TOPS[self.first : self.first + len(self.tops)]

    @property
    def index_starts(self) -> tuple[int, ...]:
        """Lowest index of each category."""
        return tuple(0 if top == INDEX_TOPS[0] else _index_below(top) + 1 for top in self.index_tops)


def _index_below(top: int) -> int:
    return INDEX_TOPS[INDEX_TOPS.index(top) - 1]


TABLE: Mapping[Pollutant, Breakpoints] = {
    "pm25_24h": Breakpoints("pm25", 10, (90, 354, 554, 1254, 2254, 3254)),
    "pm10_24h": Breakpoints("pm10", 1, (54, 154, 254, 354, 424, 604)),
    "o3_8h_ppm": Breakpoints("o3", 1000, (54, 70, 85, 105, 200), per_unit=1000.0),
    "o3_1h_ppm": Breakpoints("o3", 1000, (164, 204, 404, 604), start=125, first=2, per_unit=1000.0),
    "co_8h_ppm": Breakpoints("co", 10, (44, 94, 124, 154, 304, 504)),
    "so2_1h_ppb": Breakpoints("so2", 1, (35, 75, 185, 304)),
    "so2_24h_ppb": Breakpoints("so2", 1, (604, 1004), start=305, first=4),
    "no2_1h_ppb": Breakpoints("no2", 1, (53, 100, 360, 649, 1249, 2049)),
}
SUBSTANCES = tuple(dict.fromkeys(column.substance for column in TABLE.values()))
# What stands for a day: the 24-hour mean, the highest 8-hour mean or the highest hour of each substance.
OF_DAY: tuple[Pollutant, ...] = ("pm25_24h", "pm10_24h", "o3_8h_ppm", "co_8h_ppm", "so2_1h_ppb", "no2_1h_ppb")


def aqi(pollutant: Pollutant, concentration: ArrayLike) -> Floats:
    """Index of one pollutant, element by element.

    Args:
        pollutant: which averaging time and unit; ``pm25_24h`` and ``pm10_24h`` are in ug/m3, the others say
            theirs.
        concentration: any shape, at least 0; NaN means not measured.

    Returns:
        Whole numbers 0..500 in the shape of ``concentration``; NaN where not measured or where the table
        defines no index (1-hour ozone below 0.125 ppm, 24-hour SO2 below 305 ppb). Above a pollutant's last
        breakpoint its highest index stands: 500, but 300 for 8-hour ozone and 200 for 1-hour SO2, whose
        higher indices are defined by the other averaging time.

    Raises:
        ValueError: an unknown pollutant or a negative concentration.
    """
    if pollutant not in TABLE:
        raise ValueError(f"pollutant: got {pollutant!r}; expected one of {', '.join(POLLUTANTS)}")
    values = np.asarray(concentration, dtype=np.float64)
    if np.any(values < 0):
        raise ValueError(f"{pollutant}: got concentration {np.nanmin(values):g}; expected at least 0")
    return _interpolate(TABLE[pollutant], values)


def _interpolate(column: Breakpoints, values: Floats) -> Floats:
    steps = np.minimum(np.floor(values * column.steps_per_unit + _ROUNDING_ERROR), column.tops[-1])
    category = np.minimum(np.searchsorted(column.tops, steps), len(column.tops) - 1)
    low, high = (np.asarray(c, dtype=np.float64)[category] for c in (column.starts, column.tops))
    index_low, index_high = (
        np.asarray(i, dtype=np.float64)[category] for i in (column.index_starts, column.index_tops)
    )
    index = np.floor((index_high - index_low) / (high - low) * (steps - low) + index_low + 0.5)
    return np.where(steps >= column.start, index, np.nan)


def overall_aqi(concentrations: Mapping[Pollutant, ArrayLike]) -> Floats:
    """The index a station publishes: the highest of its pollutants' indices.

    Args:
        concentrations: per pollutant an array; all of one shape or broadcastable to it; NaN means not
            measured.

    Returns:
        Whole numbers 0..500; NaN where no pollutant has an index.

    Raises:
        ValueError: no pollutant, an unknown one or a negative concentration.
    """
    if not concentrations:
        raise ValueError(f"concentrations: got none; expected at least one of {', '.join(POLLUTANTS)}")
    highest: Floats = np.array(np.nan)
    for pollutant, values in concentrations.items():
        highest = np.asarray(np.fmax(highest, aqi(pollutant, values)))
    return highest


def index_of_days(days: Mapping[str, ArrayLike]) -> Floats:
    """The index of days, from the values that stand for each (``OF_DAY``), by substance; NaN where none is known.

    Units are those of the substances' readings; other names in ``days`` are passed over.

    Raises:
        ValueError: no substance, or a negative concentration.
    """
    known = [(pollutant, TABLE[pollutant]) for pollutant in OF_DAY if TABLE[pollutant].substance in days]
    return overall_aqi({pollutant: np.asarray(days[of.substance]) / of.per_unit for pollutant, of in known})


def category(index: float) -> str:
    """The EPA's name for the category of an index, rounded to the whole number that is shown: ``Moderate`` for 51..100.

    Raises:
        ValueError: the index is not within 0..500.
    """
    whole = round(index)
    if not 0 <= whole <= INDEX_TOPS[-1]:
        raise ValueError(f"index: got {index:g}; expected 0 to {INDEX_TOPS[-1]}")
    return CATEGORIES[int(np.searchsorted(INDEX_TOPS, whole))]
