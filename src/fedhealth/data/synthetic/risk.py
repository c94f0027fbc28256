"""The true risk of the synthetic world, written down.

The log-odds of an event within seven days are a sum of named terms over the observed features: curves for
age, heart rate, oxygen, steps, sleep, PM2.5, ozone and temperature, constants for smoking, chronic disease,
sex and symptoms, and four interactions. Labels are drawn from the risk. No term is a medical finding:
directions are those of common knowledge, sizes were chosen so that the world is learnable but not easy.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
INTERCEPT = -3.82


def true_risk(x: Mapping[str, Floats]) -> Floats:
    """Probability of an event within seven days, for every row of the study's features (all of one shape)."""
    return 1 / (1 + np.exp(-sum(log_odds_terms(x).values())))


def log_odds_terms(x: Mapping[str, Floats]) -> dict[str, Floats]:
    """What each term adds to the log-odds, by the term's name."""
    years, air, low_oxygen = (x["age"] - 50) / 20, irritation(x["pm25"]), _below(x["spo2"], 94.5)
    short_sleep = np.maximum(7.3 - x["sleep_hours"], 0)
    return {
        "intercept": np.full_like(x["age"], INTERCEPT),
        "age": 0.62 * years + 0.15 * years**2,
        "sex": 0.25 * x["sex"],
        "smoker": 0.55 * x["smoker"],
        "chronic": 0.5 * x["chronic"],
        "heart_rate": 0.35 * (x["heart_rate"] - 72) / 10 + 0.03 * _above(x["heart_rate"], 92.0),
        "spo2": 0.35 * low_oxygen,
        "steps": -0.5 * np.log((x["steps"] + 800) / 6800),
        "sleep_hours": 0.6 * (np.sqrt(1 + (x["sleep_hours"] - 7.3) ** 2) - 1),
        "pm25": 1.5 * air,
        "o3": 0.025 * _above(x["o3"], 55.0),
        "temperature": 0.1 * _above(x["temperature"], 34.0) + 0.08 * _below(x["temperature"], 7.0),
        "humidity": 0.006 * np.maximum(x["humidity"] - 75, 0),
        "cough": 0.3 * x["cough_flag"],
        "breathless": 0.9 * x["breathless_flag"],
        "pm25 × chronic": 1.2 * air * x["chronic"],
        "spo2 × smoker": 0.1 * low_oxygen * x["smoker"],
        "heat × age": 0.06 * _above(x["temperature"], 34.0) * np.maximum(years, 0),
        "sleep × chronic": 0.2 * short_sleep * x["chronic"],
    }


def irritation(pm25: Floats) -> Floats:
    """How much PM2.5 (ug/m3) irritates, 0..1: steep at first, saturating in heavy smog."""
    return 1 - np.exp(-pm25 / 110)


def _above(value: Floats, knee: float) -> Floats:
    """Softplus: about 0 below the knee, rising by one per unit above it."""
    return np.logaddexp(0, value - knee)


def _below(value: Floats, knee: float) -> Floats:
    return np.logaddexp(0, knee - value)
