"""Two years of daily weather and air quality over the nine cities.

Each quantity is a season plus an autocorrelated deviation, part of which neighbouring cities share. Smog
builds in winter and on calm days, coarse dust in the dry spring and on windy ones, ozone in summer and on
warm days.
"""

import datetime as dt
import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fedhealth.data.aqi import index_of_days
from fedhealth.data.synthetic.cities import CITIES, per_city
from fedhealth.data.synthetic.randomness import autoregression, generator

Floats = NDArray[np.float64]
FIRST_DAY = dt.date(2024, 1, 1)
LAST_DAY = dt.date(2025, 12, 31)
DAYS = (LAST_DAY - FIRST_DAY).days + 1
YEAR = 365.25
PEAKS = {"smog": 350, "dry": 140, "summer": 168, "monsoon": 220}  # day of the year
# What is usual in each city, shape (cities,); see City.
TEMPERATURE = per_city(lambda city: city.temperature)
SWING = per_city(lambda city: city.swing)
HUMIDITY = per_city(lambda city: city.humidity)
MONSOON = per_city(lambda city: city.monsoon)
FOG = per_city(lambda city: city.fog)
WIND = per_city(lambda city: city.wind)
PM25 = per_city(lambda city: city.pm25)
SMOG = per_city(lambda city: city.smog)
COARSE = per_city(lambda city: city.coarse)
NO2 = per_city(lambda city: city.no2)
O3 = per_city(lambda city: city.o3)


def simulate_weather(seed: int) -> Mapping[str, Floats]:
    """Daily values of the world ``seed`` by feature name, each of shape ``(days, cities)``, to tenths.

    ``pm25``, ``pm10`` (24-hour means, ug/m3), ``no2`` (daily 1-hour maximum, ppb), ``o3`` (daily 8-hour
    maximum, ppb), ``temperature`` (Cel), ``humidity`` (%), ``wind_speed`` (m/s), and ``aqi``, the US EPA
    index of the four pollutants.
    """
    warmth, calm = _deviation(seed, "temperature", 0.8), _deviation(seed, "wind", 0.5)
    particles = 0.8 * _deviation(seed, "pm25", 0.75) + 0.6 * calm
    days = {
        "pm25": _pm25(particles),
        "temperature": _temperature(warmth),
        "humidity": _humidity(warmth, _deviation(seed, "humidity", 0.7)),
        "wind_speed": _wind_speed(calm),
        "no2": _no2(0.5 * particles + 0.87 * _deviation(seed, "no2", 0.6)),
        "o3": _o3(warmth, _deviation(seed, "o3", 0.6)),
    }
    days["pm10"] = days["pm25"] + _coarse(0.9 * _deviation(seed, "dust", 0.6) - 0.4 * calm)
    rounded = {name: np.round(values, 1) for name, values in days.items()}
    return MappingProxyType({**rounded, "aqi": index_of_days(rounded)})


def _deviation(seed: int, name: str, persistence: float) -> Floats:
    """An AR(1) deviation of variance 1 per city, shape ``(days, cities)``; 60 % of it is the region's."""
    regions = sorted({city.region for city in CITIES})
    shared = autoregression(generator(seed, "weather", name, "region"), persistence, (DAYS, len(regions)))
    local = autoregression(generator(seed, "weather", name, "city"), persistence, (DAYS, len(CITIES)))
    region_of_city = [regions.index(city.region) for city in CITIES]
    deviation: Floats = np.sqrt(0.6) * shared[:, region_of_city] + np.sqrt(0.4) * local
    return deviation


def _phase(peak: str) -> Floats:
    day_of_year = np.arange(1, DAYS + 1, dtype=np.float64)[:, None]
    return 2 * np.pi * (day_of_year - PEAKS[peak]) / YEAR


def _bump(peak: str, sharpness: float) -> Floats:
    """A season that rises to 1 at its peak and falls towards 0 half a year away, shape ``(days, 1)``."""
    lowest = math.exp(-2 * sharpness)
    return (np.exp(sharpness * (np.cos(_phase(peak)) - 1)) - lowest) / (1 - lowest)


def _temperature(warmth: Floats) -> Floats:
    season = SWING * np.cos(_phase("summer")) - 0.1 * MONSOON * _bump("monsoon", 4)
    return np.clip(TEMPERATURE + season + 2.2 * warmth, -20, 50)


def _humidity(warmth: Floats, moist: Floats) -> Floats:
    season = MONSOON * _bump("monsoon", 4) + FOG * _bump("smog", 3) - 12 * _bump("dry", 3)
    return np.clip(HUMIDITY + season - 4 * warmth + 7 * moist, 5, 100)


def _wind_speed(calm: Floats) -> Floats:
    return np.clip(WIND * (0.85 + 0.35 * _bump("summer", 1)) * np.exp(-0.32 * calm), 0.1, 40)


def _pm25(particles: Floats) -> Floats:
    season = SMOG * _bump("smog", 1.6) - 0.012 * MONSOON * _bump("monsoon", 4)
    return np.clip(PM25 * np.exp(season + 0.42 * particles), 3, 900)


def _coarse(dust: Floats) -> Floats:
    season = 0.4 * _bump("dry", 2) - 0.02 * MONSOON * _bump("monsoon", 4)
    return np.clip(COARSE * np.exp(season + 0.42 * dust), 5, 600)


def _no2(traffic: Floats) -> Floats:
    return np.clip(NO2 * (0.8 + 0.45 * _bump("smog", 1.5)) * np.exp(0.3 * traffic), 2, 300)


def _o3(warmth: Floats, sun: Floats) -> Floats:
    season = O3 * (1 + 0.38 * np.cos(_phase("summer")))
    return np.clip(season + 2.5 * warmth + 6.5 * sun, 4, 180)
