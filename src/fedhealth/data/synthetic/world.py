"""Draw rows of the synthetic world: a node's people on their days, all about them, and their true risk."""

import datetime as dt
from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fedhealth.data.synthetic.cities import CITIES
from fedhealth.data.synthetic.people import People, choose_days, live_days, meet_people
from fedhealth.data.synthetic.randomness import generator
from fedhealth.data.synthetic.risk import true_risk
from fedhealth.data.synthetic.weather import FIRST_DAY, simulate_weather
from fedhealth.study import load_study

Floats = NDArray[np.float64]
STUDY = "health-risk"
HOTLINE = "node_2"  # here a row is one call: nobody is seen twice
DAYS_PER_PERSON = 10
EPOCH = dt.date(1970, 1, 1)
ROWS_PER_CHUNK = 20_000
TENTHS = ("sleep_hours", "pm25", "pm10", "no2", "o3", "temperature", "humidity", "wind_speed")


def draw(node: str, rows: int, seed: int) -> pl.DataFrame:
    """Synthetic rows of a node with all features, also those that the node does not observe.

    Args:
        node: its name; nodes of different names hold different people of one population, in one weather.
            About ten days of each person, except at ``node_2``, where every row is another person's call to
            the hotline.
        rows: how many, at least 1. The first rows are the same however many are asked for.
        seed: of the world, at least 0; weather and people depend on it.

    Returns:
        Columns ``user_id, date, city, city_id``, every feature of the health-risk study in its order (rounded
        as files hold them), ``true_risk`` (0..1, computed from the rounded features) and ``health_risk`` (0
        or 1, drawn from it).
    """
    return pl.concat(list(draw_chunks(node, rows, seed)))


def draw_chunks(node: str, rows: int, seed: int) -> Iterator[pl.DataFrame]:
    """The rows of :func:`draw` in pieces of at most ``ROWS_PER_CHUNK``, for more rows than fit in memory."""
    if rows < 1:
        raise ValueError(f"rows: got {rows}; expected at least 1")
    weather = simulate_weather(seed)
    for chunk, start in enumerate(range(0, rows, ROWS_PER_CHUNK)):
        yield _draw_chunk(node, seed, chunk, weather).head(rows - start)


def _draw_chunk(node: str, seed: int, chunk: int, weather: Mapping[str, Floats]) -> pl.DataFrame:
    rng = generator(seed, "people", node, chunk)
    days_each = 1 if node == HOTLINE else DAYS_PER_PERSON
    people = meet_people(rng, ROWS_PER_CHUNK // days_each)
    day = choose_days(rng, len(people.age), days_each)
    air = {name: values[day, people.city] for name, values in weather.items()}
    columns = air | live_days(rng, people, day, air) | _facts(people, day.shape)
    columns["true_risk"] = true_risk(columns)
    columns["health_risk"] = (rng.random(day.shape) < columns["true_risk"]).astype(np.float64)
    first_person = chunk * len(people.age)
    return _table({name: values.T.ravel() for name, values in columns.items()}, node, day, people, first_person)


def _facts(people: People, shape: tuple[int, ...]) -> dict[str, Floats]:
    facts = {"age": people.age, "sex": people.sex, "smoker": people.smoker, "chronic": people.chronic}
    return {name: np.broadcast_to(values, shape) for name, values in facts.items()}


def _table(
    columns: Mapping[str, Floats], node: str, day: NDArray[np.int64], people: People, first_person: int
) -> pl.DataFrame:
    """Rows person by person, day by day."""
    person = np.repeat(np.arange(len(people.age)), day.shape[0])
    cities = pl.Series([city.name for city in CITIES])
    city_ids = pl.Series([city.city_id for city in CITIES])
    city = pl.Series(people.city[person])
    number = pl.Series(person + first_person + 1).cast(pl.String).str.zfill(7)
    heading = {
        "user_id": node + "-" + number,
        "date": pl.Series(day.T.ravel()).cast(pl.Int32).cast(pl.Date) + (FIRST_DAY - EPOCH),
        "city": cities.gather(city),
        "city_id": city_ids.gather(city),
    }
    features = {name: _typed(name, columns[name]) for name in load_study(STUDY).names}
    return pl.DataFrame(
        heading | features | {"true_risk": columns["true_risk"], "health_risk": _typed("", columns["health_risk"])}
    )


def _typed(name: str, values: Floats) -> NDArray[np.float64] | NDArray[np.int64]:
    return values if name in TENTHS else values.astype(np.int64)
