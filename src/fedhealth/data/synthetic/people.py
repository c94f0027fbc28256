"""People and their days: who they are stays, what a wearable and a clinic see drifts from day to day.

A person's signals share a slow "strain" (a cold coming on, a lung having a bad week), so that heart rate,
oxygen, steps, sleep and symptoms move together and tomorrow looks like today. Polluted air adds to strain,
more so in people with a chronic heart or lung disease.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedhealth.data.synthetic.cities import per_city
from fedhealth.data.synthetic.randomness import autoregression
from fedhealth.data.synthetic.risk import irritation
from fedhealth.data.synthetic.weather import DAYS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
NIGHT_TO_NIGHT = 0.6
STRAIN_PERSISTENCE = 0.8


@dataclass(frozen=True)
class People:
    """Who they are; every array has shape ``(people,)``.

    ``city`` is the position in ``CITIES``; ``age`` whole years 18..88; ``sex`` 1 = male, 0 = female;
    ``smoker`` and ``chronic`` 0 or 1.
    """

    city: Integers
    age: Floats
    sex: Floats
    smoker: Floats
    chronic: Floats


def meet_people(rng: np.random.Generator, count: int) -> People:
    """Draw ``count`` people from the nine cities' adults."""
    weights = per_city(lambda city: city.millions)
    city = rng.choice(len(weights), size=count, p=weights / weights.sum())
    age = np.floor(18 + 71 * rng.beta(1.4, 2.1, count))
    sex = (rng.random(count) < 0.5).astype(np.float64)
    smoker = _happens(rng, -3.1 + 2.1 * sex - 0.0006 * (age - 45) ** 2)
    chronic = _happens(rng, -2.5 + 0.045 * (age - 45) + 0.5 * smoker)
    return People(city, age, sex, smoker, chronic)


def choose_days(rng: np.random.Generator, people: int, days: int) -> Integers:
    """Days on which each person is seen, counted from 0, shape ``(days, people)``: mostly consecutive."""
    gaps = rng.choice([1, 2, 3], size=(days, people), p=[0.85, 0.1, 0.05])
    gaps[0] = 0
    since_start = np.cumsum(gaps, axis=0)
    day: Integers = since_start + rng.integers(0, DAYS - since_start[-1])
    return day


def live_days(rng: np.random.Generator, people: People, day: Integers, air: Mapping[str, Floats]) -> dict[str, Floats]:
    """Signals and symptoms of people on their days.

    Args:
        rng: the stream to draw from.
        people: who, ``p`` of them.
        day: when, shape ``(d, p)``.
        air: weather and pollution around each person on each day, every array of shape ``(d, p)``.

    Returns:
        ``heart_rate`` (/min), ``spo2`` (%), ``steps`` (/d), ``sleep_hours`` (h), ``cough_flag`` and
        ``breathless_flag`` (0 or 1), each of shape ``(d, p)``, rounded as a device shows them.
    """
    gap = np.diff(day, axis=0, prepend=day[:1])
    burden = irritation(air["pm25"]) * (1 + people.chronic)
    strain = autoregression(rng, STRAIN_PERSISTENCE**gap, day.shape) + 0.5 * burden
    habit = rng.standard_normal((4, len(people.age)))
    noise = autoregression(rng, (NIGHT_TO_NIGHT**gap)[..., None], (*day.shape, 4))
    signals = {
        "spo2": _spo2(people, strain, habit[0], noise[..., 0]),
        "heart_rate": _heart_rate(people, strain, habit[1], noise[..., 1], air["temperature"]),
        "steps": _steps(people, strain, habit[2], noise[..., 2], air["temperature"]),
        "sleep_hours": _sleep_hours(people, strain, habit[3], noise[..., 3]),
    }
    return signals | _symptoms(rng, people, strain, signals["spo2"], burden)


def _happens(rng: np.random.Generator, log_odds: Floats) -> Floats:
    return (rng.random(log_odds.shape) < 1 / (1 + np.exp(-log_odds))).astype(np.float64)


def _spo2(people: People, strain: Floats, habit: Floats, noise: Floats) -> Floats:
    lungs = 0.009 * (people.age - 45) + 0.2 * people.smoker + 0.5 * people.chronic + 0.3 * habit
    shortfall = 1.8 * np.exp(lungs + (0.32 + 0.1 * people.chronic) * strain + 0.25 * noise)
    return np.clip(np.round(99.4 - shortfall), 65, 100)


def _heart_rate(people: People, strain: Floats, habit: Floats, noise: Floats, temperature: Floats) -> Floats:
    usual = 72 + 4 * people.chronic + 3 * people.smoker - 3 * people.sex - 0.04 * (people.age - 45) + 7 * habit
    heat = 0.25 * np.maximum(temperature - 30, 0)
    return np.clip(np.round(usual + 2.5 * strain + heat + 4 * noise), 40, 190)


def _steps(people: People, strain: Floats, habit: Floats, noise: Floats, temperature: Floats) -> Floats:
    years = np.maximum(people.age - 40, 0)
    usual = 0.4 * habit - 0.01 * years - 0.25 * people.chronic + 0.1 * people.sex
    heat = 0.02 * np.maximum(temperature - 30, 0)
    return np.clip(np.round(7000 * np.exp(usual - 0.1 * strain - heat + 0.35 * noise)), 0, 45_000)


def _sleep_hours(people: People, strain: Floats, habit: Floats, noise: Floats) -> Floats:
    usual = 7.1 - 0.006 * (people.age - 45) - 0.2 * people.smoker - 0.3 * people.chronic + 0.7 * habit
    return np.clip(np.round(usual - 0.2 * strain + 0.9 * noise, 1), 0.5, 15)


def _symptoms(
    rng: np.random.Generator, people: People, strain: Floats, spo2: Floats, burden: Floats
) -> dict[str, Floats]:
    low = np.maximum(95 - spo2, 0)
    cough = -2.9 + 0.8 * people.smoker + 0.8 * people.chronic + 0.6 * burden + 0.5 * strain + 0.08 * low
    breathless = -3.9 + 0.5 * people.smoker + 1.1 * people.chronic + 0.5 * burden + 0.6 * strain + 0.25 * low
    return {"cough_flag": _happens(rng, cough), "breathless_flag": _happens(rng, breathless)}
