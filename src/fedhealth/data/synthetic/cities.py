"""The nine cities of the synthetic world and what their air is like.

Populations are real (2023 census of Pakistan, rounded). Climate and pollution levels are round
figures in the neighbourhood of published annual means and seasons; no day of any city is taken from a
measurement.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class City:
    """How many live in a city, and its typical air.

    Attributes:
        city_id: three letters, as the city department's table has them.
        name: the city's name.
        millions: inhabitants, in millions; the share of people drawn from the city.
        region: cities of one region share their weather's ups and downs.
        temperature: annual mean, Cel.
        swing: half the difference between summer's and winter's mean temperature, Cel.
        humidity: relative humidity without monsoon and fog, %.
        monsoon: what the monsoon adds to it at its height, %.
        fog: what winter fog adds to it at its height, %.
        wind: mean wind speed, m/s.
        pm25: median outside the smog season, ug/m3.
        smog: rise of log PM2.5 at the height of the smog season.
        coarse: median of particles between 2.5 and 10 um, ug/m3.
        no2: median daily maximum, ppb.
        o3: mean daily 8-hour maximum over the year, ppb.
    """

    city_id: str
    name: str
    millions: float
    region: str
    temperature: float
    swing: float
    humidity: float
    monsoon: float
    fog: float
    wind: float
    pm25: float
    smog: float
    coarse: float
    no2: float
    o3: float


# fmt: off
CITIES = (
    City("KHI", "Karachi", 18.9, "sindh", 26.5, 6.5, 56, 18, 0, 4.2, 24, 1.15, 52, 26, 33),
    City("LHE", "Lahore", 13.0, "punjab", 24.5, 10.5, 48, 24, 22, 1.8, 46, 1.50, 62, 36, 44),
    City("ISB", "Islamabad", 1.1, "north", 21.5, 10.0, 46, 26, 12, 1.9, 24, 0.95, 34, 22, 46),
    City("UET", "Quetta", 1.6, "west", 16.0, 11.0, 36, 6, 8, 2.6, 21, 0.75, 54, 20, 42),
    City("PEW", "Peshawar", 1.9, "north", 22.5, 11.0, 46, 14, 10, 1.7, 42, 0.90, 62, 30, 43),
    City("MUX", "Multan", 2.2, "punjab", 26.0, 11.0, 42, 18, 20, 2.0, 45, 1.30, 75, 26, 43),
    City("LYP", "Faisalabad", 3.7, "punjab", 24.7, 10.8, 45, 20, 20, 1.9, 46, 1.40, 66, 28, 44),
    City("RWP", "Rawalpindi", 3.4, "north", 21.8, 10.0, 46, 26, 12, 1.8, 29, 1.00, 40, 28, 43),
    City("HDD", "Hyderabad", 1.9, "sindh", 27.8, 7.5, 48, 18, 3, 3.8, 29, 0.95, 62, 21, 36),
)
# fmt: on


def per_city(attribute: Callable[[City], float]) -> Floats:
    """One number of each city, shape ``(9,)``, in the order of ``CITIES``."""
    return np.array([attribute(city) for city in CITIES], dtype=np.float64)
