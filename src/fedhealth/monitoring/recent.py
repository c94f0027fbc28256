"""Recent readings, fetched fast, and what their air is made of."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session

from fedhealth.data.aqi import Pollutant, aqi
from fedhealth.monitoring.drift import Window, window_of
from fedhealth.monitoring.tables import Reading
from fedhealth.study import Study

FETCHED, COMPARED = 48_000, 16_000  # readings at most
# Feature, column of the index's table, and how many of the feature's units make one of the table's.
POLLUTANTS: tuple[tuple[str, Pollutant, float], ...] = (
    ("pm25", "pm25_24h", 1.0),
    ("pm10", "pm10_24h", 1.0),
    ("no2", "no2_1h_ppb", 1.0),
    ("o3", "o3_8h_ppm", 1000.0),
)


def recent_window(session: Session, study: Study, as_of: datetime, days: int) -> Window:
    """The readings of the ``days`` days up to ``as_of``, as arrays; of very many an even sample."""
    query = (
        select(Reading.city, Reading.day, Reading.person, cast(Reading.features, Text))
        .where(Reading.time > as_of - timedelta(days=days), Reading.time <= as_of)
        .order_by(Reading.time.desc())
        .limit(FETCHED)
    )
    found = [row for row in session.execute(query).all() if row[3] != "{}"]
    found = found[:: len(found) // COMPARED + 1]
    values = json.loads("[" + ",".join(text for *_, text in found) + "]")  # one call: thrice as fast as one each
    rows = [(city, day, person, one) for (city, day, person, _), one in zip(found, values, strict=True)]
    return window_of(study, rows)


def dominant_pollutant(features: Mapping[str, float]) -> str | None:
    """The pollutant with the highest index; None where no pollutant was measured."""
    known = [(float(aqi(column, features[name] / unit)), name) for name, column, unit in POLLUTANTS if name in features]
    return max(known)[1] if known else None
