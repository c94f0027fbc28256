"""The synthetic cities on today's calendar: who would send which reading when. No person is real."""

import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedhealth.data.synthetic.cities import CITIES, City
from fedhealth.data.synthetic.people import People, live_days, meet_people
from fedhealth.data.synthetic.randomness import generator
from fedhealth.data.synthetic.weather import FIRST_DAY, simulate_weather

Floats = NDArray[np.float64]
BLOCK = 10  # days that each person is seen, one reading a day
SYMPTOMS_TOLD = 0.4  # share of readings that say whether there are symptoms
SYMPTOMS = ("cough_flag", "breathless_flag")
SECONDS = 24 * 60 * 60
FACTS = ("age", "sex", "smoker", "chronic")


def replay(seed: int, start: dt.datetime, end: dt.datetime, per_day: int) -> Iterator[dict[str, Any]]:
    """Readings of all nine cities from ``start`` (not itself) to ``end``, in order of time, as the API takes them.

    Args:
        seed: of the world. The same seed and ``per_day`` give the same readings, under the same ids.
        start: with a time zone.
        end: with a time zone.
        per_day: readings of each city and day.
    """
    weather = simulate_weather(seed)
    first, last = (moment.astimezone(dt.UTC).date().toordinal() for moment in (start, end))
    for block in range(first // BLOCK, last // BLOCK + 1):
        cities = [_Block.draw(seed, block, place, per_day, weather) for place in range(len(CITIES))]
        for day in range(max(first, block * BLOCK), min(last, block * BLOCK + BLOCK - 1) + 1):
            found = [reading for city in cities for reading in city.readings(day)]
            found.sort(key=lambda reading: str(reading["time"]))
            yield from (r for r in found if start < dt.datetime.fromisoformat(r["time"]) <= end)


def position(day: dt.date) -> int:
    """The day of the two synthetic years that stands for ``day``: the same date of an even or odd year, from 0."""
    return (day.replace(year=FIRST_DAY.year + day.year % 2) - FIRST_DAY).days


@dataclasses.dataclass(frozen=True)
class _Block:
    """One city's people over ``BLOCK`` days: values ``(days, people)`` by feature, second of the day of each."""

    city: City
    first: int
    key: str
    values: dict[str, Floats]
    told: NDArray[np.bool_]
    second: NDArray[np.int64]

    @classmethod
    def draw(cls, seed: int, block: int, place: int, per_day: int, weather: Any) -> "_Block":
        rng = generator(seed, "replay", CITIES[place].city_id, block, per_day)
        people = dataclasses.replace(meet_people(rng, per_day), city=np.full(per_day, place))
        first = block * BLOCK
        day = np.tile(np.arange(BLOCK)[:, None], per_day)
        dates = [position(dt.date.fromordinal(first + i)) for i in range(BLOCK)]
        air = {name: np.tile(values[dates, place][:, None], per_day) for name, values in weather.items()}
        values = {**air, **live_days(rng, people, day, air), **_facts(people, day.shape)}
        told = rng.random(day.shape) < SYMPTOMS_TOLD
        key = f"feed-{seed}-{per_day}-{CITIES[place].city_id}-{block}"
        return cls(CITIES[place], first, key, values, told, rng.integers(0, SECONDS, day.shape))

    def readings(self, day: int) -> Iterator[dict[str, Any]]:
        """The readings of one day of the block."""
        i = day - self.first
        midnight = dt.datetime.combine(dt.date.fromordinal(day), dt.time(), dt.UTC)
        values = {name: column[i].tolist() for name, column in self.values.items()}
        for person, (told, second) in enumerate(zip(self.told[i], self.second[i].tolist(), strict=True)):
            time = midnight + dt.timedelta(seconds=second)
            yield {
                "id": f"{self.key}-{i}-{person}",
                "person": f"{self.key}-{person}",
                "city": self.city.name,
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "features": {n: column[person] for n, column in values.items() if told or n not in SYMPTOMS},
                "source": "synthetic",
            }


def _facts(people: People, shape: tuple[int, ...]) -> dict[str, Floats]:
    return {name: np.broadcast_to(getattr(people, name), shape) for name in FACTS}
