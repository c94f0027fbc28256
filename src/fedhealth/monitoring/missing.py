"""Missingness: are more or fewer values missing than before, in the same cities?

What was missing in training says nothing here: nodes observe different things. So recent readings are compared with
those of the time before. Cities are mixed as recent readings mix them, and the difference is compared with what chance
does (:mod:`fedhealth.monitoring.chance`), at a nominal rate of 1 %.
"""

from dataclasses import dataclass

import numpy as np

from fedhealth.monitoring.chance import BOTH_SIDES_Z, Floats, spread
from fedhealth.monitoring.drift import FEWEST_READINGS, Status, Window, people_of
from fedhealth.study import Study

WORTH_A_LOOK = 0.05  # of the share missing


@dataclass(frozen=True)
class MissingDrift:
    """One feature's share missing now and before; ``threshold`` is of their difference, either way."""

    feature: str
    title: str
    n: int
    people: int
    now: float
    before: float
    threshold: float | None
    status: Status


def missing_drift(study: Study, before: Window, now: Window) -> list[MissingDrift]:
    """Every feature's share missing; readings of cities of which there are none ``before`` are left out."""
    known = np.isin(now.stratum // 12, before.stratum // 12)
    now = now.part(known)
    enough = min(len(before.x), len(now.x)) >= FEWEST_READINGS
    if not len(now.x):
        return [MissingDrift(f.name, f.title, 0, 0, 0.0, 0.0, None, "too few") for f in study.features]
    usual, weight = _by_city(before, now, len(study.cities))
    city, gone = now.stratum // 12, np.isnan(now.x).astype(np.float64)
    expected = usual[city].mean(axis=0)
    thresholds = _thresholds(before, now, usual, weight)
    found = []
    for i, feature in enumerate(study.features):
        share, chance = float(gone[:, i].mean()), float(thresholds[i])
        differs = abs(share - float(expected[i])) > chance
        status: Status = "too few" if not enough else "drift" if differs else "ok"
        threshold = chance if enough else None
        about = (feature.name, feature.title, len(gone), people_of(now.person))
        found.append(MissingDrift(*about, share, float(expected[i]), threshold, status))
    return found


def _by_city(before: Window, now: Window, cities: int) -> tuple[Floats, Floats]:
    """Each city's share missing before, ``(cities, d)``, and its share of now's readings over that of before's."""
    city = before.stratum // 12
    counts = np.bincount(city, minlength=cities).astype(np.float64)
    gone = np.isnan(before.x)
    usual = np.stack([np.bincount(city, column, cities) for column in gone.T], axis=1) / np.maximum(counts, 1)[:, None]
    share = np.bincount(now.stratum // 12, minlength=cities) / len(now.x)
    return usual, share / np.maximum(counts / len(before.x), 1e-12)


def _thresholds(before: Window, now: Window, usual: Floats, weight: Floats) -> Floats:
    variance = np.zeros(usual.shape[1])
    for window, factor in ((now, np.ones(len(usual))), (before, weight)):
        city = window.stratum // 12
        strayed = (np.isnan(window.x) - usual[city]) * factor[city][:, None]
        parts = spread(strayed, window.day, window.person)
        variance += np.diag(parts.independent + parts.people + parts.days)
    return np.maximum(BOTH_SIDES_Z * np.sqrt(variance), WORTH_A_LOOK)
