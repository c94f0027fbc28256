"""The node's table from canonical readings: a row per person and day, or per city and day at a node without people."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from fedhealth.data.files import DataError
from fedhealth.data.imports.air import daily_index, index_now
from fedhealth.data.imports.concepts import (
    FACTS,
    POLLUTANTS,
    Concept,
    Rule,
    concepts_of,
    fed_features,
    outcome_concepts,
)
from fedhealth.data.imports.daily import DAILY, EACH_DAY
from fedhealth.data.imports.facts import KNOWN
from fedhealth.data.imports.tally import Tally
from fedhealth.data.imports.times import UNDATED
from fedhealth.data.imports.units import conversion
from fedhealth.study import Feature, Node, Study

AT_ONCE = 500_000  # readings of people that are summed up together
SLICE = 200_000  # readings of one concept that are, where days do not depend on each other
NO_ROWS = pl.DataFrame(schema={"who": pl.String, "date": pl.Date, "city": pl.String})
DAYS = pl.Schema({"who": pl.String, "date": pl.Date, "value": pl.Float64})
SAME = ("who", "start", "end", "value", "source")  # readings that agree in these are one (by a hash of 64 bits)
_DAY = ["who", "date"]
_AGAIN = " again"
Readings = Mapping[str, pl.DataFrame]
AirNow = Mapping[str, tuple[str, float]]  # by city, the hour and the index


@dataclass(frozen=True)
class Assembly:
    """A node's canonical readings in ``folder``, to be summed up by day."""

    study: Study
    node: Node
    folder: Path
    concepts: Mapping[str, Concept]
    tally: Tally

    def table(self, context: pl.DataFrame) -> tuple[pl.DataFrame, AirNow]:
        """The table, and the air quality index of the latest hour.

        Columns: ``who``, ``date``, ``city``, anchors and features by name, outcomes; null where unknown. ``context``
        (``city``, ``date``, environment features) fills in the air of a person's city.
        """
        if not any(self.folder.iterdir()):
            return NO_ROWS, {}
        of_places = self._all_readings(pl.col("person").is_null(), "city", by_day=True)
        places, now = self._places(of_places), index_now(of_places)
        if not self.node.person:
            return _labelled(places, self._outcomes(of_places)).with_columns(city=pl.col("who")), now
        air = _joined([places.rename({"who": "city"}), context], on=["city", "date"])
        people = pl.concat([NO_ROWS, *map(self._people, self._batches())], how="diagonal")
        return _joined([people, air], on=["city", "date"], how="left"), now

    def _all_readings(self, chosen: pl.Expr, who: str, by_day: bool = False) -> dict[str, pl.DataFrame]:
        """Readings by concept; those that are summed up ``by_day`` only if asked for."""
        names = (name for name, concept in self.concepts.items() if by_day or concept.rule not in DAILY)
        found = {name: self._readings(name, chosen, who) for name in names if self.tally.kept[name]}
        return {name: readings for name, readings in found.items() if readings.height}

    def _places(self, readings: Readings) -> pl.DataFrame:
        """A row per city and day."""
        daily = self._daily(readings)
        polluted = {name: readings[name] for name in POLLUTANTS if name in readings}
        if polluted and "aqi" in self.concepts:
            daily["aqi"] = _first([*([daily["aqi"]] if "aqi" in daily else []), daily_index(polluted)])
        return _wide(self._values(daily))

    def _people(self, batch: Sequence[str]) -> pl.DataFrame:
        """The rows of some people."""
        chosen = pl.col("person").is_in(batch)
        readings = self._all_readings(chosen, "person")
        values = self._values(self._daily_in_slices(chosen))
        days = self._days(values, readings)
        for f in self._features:
            known = [c for c in concepts_of(f) if c.name in readings and c.rule in FACTS]
            if known:
                found = [self._plausible(f, c, KNOWN[c.rule](readings[c.name], days)) for c in known]
                values[f.name] = _first(found)
        rows = _joined([days, _wide(values)], on=_DAY, how="left")
        outcomes = self._outcomes(readings).group_by(_DAY).agg(pl.exclude("id", *_DAY).max())
        return _labelled(_joined([rows, self._cities(chosen)], on=["who"], how="left"), outcomes)

    @property
    def _features(self) -> tuple[Feature, ...]:
        return fed_features(self.study, self.node)

    def _daily_in_slices(self, chosen: pl.Expr) -> dict[str, pl.DataFrame]:
        """A value a day by concept, with few readings in memory at a time."""
        rules = {name: c.rule for name, c in self.concepts.items() if c.rule in DAILY and self.tally.kept[name]}
        found = {
            name: pl.concat(
                [DAILY[rule](self._readings(name, part, "person")) for part in self._slices(name, rule, chosen)]
            )
            for name, rule in rules.items()
        }
        return {name: days for name, days in found.items() if days.height}

    def _slices(self, name: str, rule: Rule, chosen: pl.Expr) -> list[pl.Expr]:
        """What selects the readings of a concept, all of them or by stretches of days."""
        if rule not in EACH_DAY or self.tally.kept[name] <= SLICE:
            return [chosen]
        day = (pl.col("start") + pl.duration(minutes=pl.col("offset"))).dt.date()
        counts = self._scan().filter(chosen, pl.col("feature") == name).group_by(day=day).len().collect().sort("day")
        parts = counts.group_by(pl.col("len").cum_sum() // SLICE, maintain_order=True)
        return [chosen & day.is_between(part["day"].min(), part["day"].max()) for _, part in parts]

    def _daily(self, readings: Readings) -> dict[str, pl.DataFrame]:
        """A value a day by concept."""
        rules = {name: self.concepts[name].rule for name in readings}
        return {name: DAILY[rule](readings[name]) for name, rule in rules.items() if rule in DAILY}

    def _values(self, daily: Readings) -> dict[str, pl.DataFrame]:
        """A value a day by feature."""
        return {f.name: self._of_feature(f, daily) for f in self._features}

    def _of_feature(self, feature: Feature, daily: Readings) -> pl.DataFrame:
        """A value a day of ``feature``, from the first concept that has one."""
        fed = [c for c in concepts_of(feature) if c.name in daily]
        return _first([self._plausible(feature, c, daily[c.name]) for c in fed])

    def _plausible(self, feature: Feature, concept: Concept, days: pl.DataFrame) -> pl.DataFrame:
        """Days in the feature's unit, without those outside its range."""
        found = conversion(concept.of_day or concept.unit, feature.unit)
        if found is None:
            raise DataError(
                f"study {self.study.name!r}: feature {feature.name!r}: unit {feature.unit!r} cannot hold "
                f"{concept.name}, which comes in {concept.of_day or concept.unit!r}"
            )
        days = days.select(*_DAY, pl.col("value") * found.factor + found.shift)
        inside = days.filter(pl.col("value").is_between(feature.low - 1e-9, feature.high + 1e-9))
        self.tally.outside[feature.name] += days.height - inside.height
        return inside

    def _days(self, values: Readings, readings: Readings) -> pl.DataFrame:
        """Days on which something that the node observes was read, on that day itself."""
        own = [f for f in self._features if f.name in self.node.features]
        read = [c.name for f in own for c in concepts_of(f) if c.name in readings and c.rule in ("last", "aged")]
        dated = [*(values[f.name] for f in own), *(readings[name] for name in read)]
        days = pl.concat([days.select(_DAY) for days in dated]).unique().sort(_DAY)
        return days.filter(pl.col("date").dt.to_string() != UNDATED)

    def _outcomes(self, readings: Readings) -> pl.DataFrame:
        """Outcome columns by day; ``id`` tells rows of one day apart."""
        columns = {name: c.name for name, c in outcome_concepts(self.study).items() if c.name in readings}
        found = [
            readings[concept].select(*_DAY, "id", pl.col("value").alias(name)) for name, concept in columns.items()
        ]
        return _joined(found, on=[*_DAY, "id"])

    def _readings(self, name: str, chosen: pl.Expr, who: str) -> pl.DataFrame:
        """Readings of one concept, each once, with their times on the clock where they were taken."""
        columns = ("start", "end", "offset", "value", "source", "id")
        found = (
            self._scan().filter(chosen, pl.col("feature") == name).select(pl.col(who).alias("who"), *columns).collect()
        )
        once = found
        if found["id"].null_count() < found.height:
            once = found.filter(pl.col("id").is_null() | pl.col("id").is_last_distinct())
        if not self._calls(name, who):
            first = once.select(pl.struct(SAME).hash().is_first_distinct()).to_series()
            once = once if first.all() else once.filter(first)
        self.tally.drop("duplicate", found.height - once.height, name)
        self.tally.kept[name] -= found.height - once.height
        east = pl.duration(minutes=pl.col("offset"))
        once = once.with_columns(local=pl.col("start") + east, local_end=pl.col("end") + east)
        return once.with_columns(date=pl.col("local").dt.date(), end_date=pl.col("local_end").dt.date())

    def _calls(self, name: str, who: str) -> bool:
        """Whether equal readings may be about different people."""
        return who == "city" and self.concepts[name].rule == "outcome"

    def _batches(self) -> Iterator[list[str]]:
        """People, in groups that have about ``AT_ONCE`` readings together."""
        counts = self._scan().filter(pl.col("person").is_not_null()).group_by("person").len().collect().sort("person")
        place = counts["len"].cum_sum() // AT_ONCE
        for _, group in counts.group_by(place.alias("batch"), maintain_order=True):
            yield group["person"].to_list()

    def _cities(self, chosen: pl.Expr) -> pl.DataFrame:
        """The city of each person, the first that is named."""
        city = pl.col("city").drop_nulls().first()
        return self._scan().filter(chosen).group_by(pl.col("person").alias("who")).agg(city).collect()

    def _scan(self) -> pl.LazyFrame:
        return pl.scan_parquet(self.folder / "*.parquet")


def _first(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """A value of each day, from the first frame that has one."""
    found = pl.concat([DAYS.to_frame(), *(f.select(*_DAY, "value") for f in frames)])
    return found.unique(_DAY, keep="first", maintain_order=True)


def _wide(values: Readings) -> pl.DataFrame:
    """A column for each feature that has values."""
    return _joined([days.rename({"value": name}) for name, days in values.items() if days.height], on=_DAY)


def _joined(frames: Iterable[pl.DataFrame], on: list[str], how: Literal["full", "left"] = "full") -> pl.DataFrame:
    """Frames side by side; a column that several have is taken from the first that knows a value."""
    found: pl.DataFrame | None = None
    for frame in frames:
        if found is None:
            found = frame
            continue
        shared = [c for c in frame.columns if c in found.columns and c not in on]
        found = found.join(frame, on=on, how=how, coalesce=True, suffix=_AGAIN)
        found = found.with_columns(pl.coalesce(c, c + _AGAIN) for c in shared).drop(c + _AGAIN for c in shared)
    return DAYS.to_frame().drop("value") if found is None else found


def _labelled(rows: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """``rows`` with the outcomes of their days; a row for each where a day has several."""
    return rows if outcomes.is_empty() else rows.join(outcomes.drop("id", strict=False), on=_DAY, how="left")
