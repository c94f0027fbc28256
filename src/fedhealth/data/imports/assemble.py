"""The node's table from canonical readings: a row per person and day, or per city and day at a node without people."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from fedhealth.data.aqi import SUBSTANCES
from fedhealth.data.files import DataError
from fedhealth.data.imports.air import daily_index, index_now
from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.concepts import FACTS, Concept, concepts_of, outcome_concepts
from fedhealth.data.imports.daily import DAILY, TOO_FEW
from fedhealth.data.imports.facts import KNOWN
from fedhealth.data.imports.gathered import Gathered
from fedhealth.data.imports.times import UNDATED
from fedhealth.data.imports.units import conversion
from fedhealth.study import Feature

NO_ROWS = pl.DataFrame(schema={"who": pl.String, "date": pl.Date, "city": pl.String})
DAYS = pl.Schema({"who": pl.String, "date": pl.Date, "value": pl.Float64})
_DAY = ["who", "date"]
_AGAIN = " again"
Readings = Mapping[str, pl.DataFrame]
AirNow = Mapping[str, tuple[str, float]]  # by city, the hour and the index


@dataclass(frozen=True)
class Assembly:
    """A node's readings, to be summed up by day."""

    asked: Asked
    gathered: Gathered

    def table(self, context: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, AirNow]:
        """The table, the air that it was joined with, and the air quality index of the latest hour.

        Columns: ``who``, ``date``, ``city``, anchors and features by name, outcomes; null where unknown. ``context``
        (``city``, ``date``, environment features) fills in the air of a person's city.
        """
        if not self.asked.tally.kept.total():
            return NO_ROWS, context, {}
        of_places = self._all_readings(pl.col("person").is_null(), "city", by_day=True)
        places, now = self._places(of_places), index_now(of_places)
        if not self.asked.node.person:
            return _labelled(places, self._outcomes(of_places, places)).with_columns(city=pl.col("who")), context, now
        air = _joined([places.rename({"who": "city"}), context], on=["city", "date"])
        people = pl.concat([NO_ROWS, *map(self._people, self.gathered.people())], how="diagonal")
        return _joined([people, air], on=["city", "date"], how="left"), air, now

    def _all_readings(self, chosen: pl.Expr, who: str, by_day: bool = False) -> dict[str, pl.DataFrame]:
        """Readings by concept; those that are summed up ``by_day`` only if asked for."""
        names = (name for name, concept in self.asked.concepts.items() if by_day or concept.rule not in DAILY)
        found = {name: self.gathered.readings(name, chosen, who) for name in names if self.asked.tally.kept[name]}
        return {name: readings for name, readings in found.items() if readings.height}

    def _places(self, readings: Readings) -> pl.DataFrame:
        """A row per city and day."""
        daily = self._daily(readings)
        polluted = {name: readings[name] for name in SUBSTANCES if name in readings}
        if polluted and "aqi" in self.asked.concepts:
            daily["aqi"] = _first([*([daily["aqi"]] if "aqi" in daily else []), daily_index(polluted)])
        return _wide(self._values(daily))

    def _people(self, batch: Sequence[str]) -> pl.DataFrame:
        """The rows of some people."""
        chosen = pl.col("person").is_in(batch)
        readings = self._all_readings(chosen, "person")
        values = self._values(self._daily_in_slices(chosen))
        days = self._days(values, readings)
        for f in self.asked.features:
            known = [c for c in concepts_of(f) if c.name in readings and c.rule in FACTS]
            if known:
                found = [self._plausible(f, c, KNOWN[c.rule](readings[c.name], days)) for c in known]
                values[f.name] = _first(found)
        rows = _joined([days, _wide(values)], on=_DAY, how="left")
        outcomes = self._outcomes(readings, days).group_by(_DAY).agg(pl.exclude("id", *_DAY).max())
        return _labelled(_joined([rows, self.gathered.cities(batch, days)], on=_DAY, how="left"), outcomes)

    def _daily_in_slices(self, chosen: pl.Expr) -> dict[str, pl.DataFrame]:
        """A value a day by concept, with few readings in memory at a time."""
        daily = [c for c in self.asked.concepts.values() if c.rule in DAILY and self.asked.tally.kept[c.name]]
        found = {
            c.name: pl.concat(
                self._days_of(c, self.gathered.readings(c.name, part, "person"))
                for part in self.gathered.slices(c.name, chosen)
            )
            for c in daily
        }
        return {name: days for name, days in found.items() if days.height}

    def _daily(self, readings: Readings) -> dict[str, pl.DataFrame]:
        """A value a day by concept."""
        daily = [c for name, c in self.asked.concepts.items() if name in readings and c.rule in DAILY]
        return {c.name: self._days_of(c, readings[c.name]) for c in daily}

    def _days_of(self, concept: Concept, readings: pl.DataFrame) -> pl.DataFrame:
        """A value a day of one concept; days that have too few readings are counted."""
        days = DAILY[concept.rule](readings)
        if concept.rule in TOO_FEW:
            short = readings.select(_DAY).n_unique() - days.height
            self.asked.tally.unusable[f"{concept.name}: {TOO_FEW[concept.rule]}"] += short
        return days

    def _values(self, daily: Readings) -> dict[str, pl.DataFrame]:
        """A value a day by feature."""
        return {f.name: self._of_feature(f, daily) for f in self.asked.features}

    def _of_feature(self, feature: Feature, daily: Readings) -> pl.DataFrame:
        """A value a day of ``feature``, from the first concept that has one."""
        fed = [c for c in concepts_of(feature) if c.name in daily]
        return _first([self._plausible(feature, c, daily[c.name]) for c in fed])

    def _plausible(self, feature: Feature, concept: Concept, days: pl.DataFrame) -> pl.DataFrame:
        """Days in the feature's unit, without those outside its range."""
        found = conversion(concept.of_day or concept.unit, feature.unit)
        if found is None:
            raise DataError(
                f"study {self.asked.study.name!r}: feature {feature.name!r}: unit {feature.unit!r} cannot hold "
                f"{concept.name}, which comes in {concept.of_day or concept.unit!r}"
            )
        days = days.select(*_DAY, pl.col("value") * found.factor + found.shift)
        inside = days.filter(pl.col("value").is_between(feature.low - 1e-9, feature.high + 1e-9))
        self.asked.tally.unusable[f"{feature.name}: outside the plausible range"] += days.height - inside.height
        return inside

    def _days(self, values: Readings, readings: Readings) -> pl.DataFrame:
        """Days on which something that the node observes was read, on that day itself."""
        own = [f for f in self.asked.features if f.name in self.asked.node.features]
        read = [c.name for f in own for c in concepts_of(f) if c.name in readings and c.rule in ("last", "aged")]
        dated = [*(values[f.name] for f in own), *(readings[name] for name in read)]
        days = pl.concat([days.select(_DAY) for days in dated]).unique().sort(_DAY)
        return days.filter(pl.col("date").dt.to_string() > UNDATED)

    def _outcomes(self, readings: Readings, days: pl.DataFrame) -> pl.DataFrame:
        """Outcome columns of ``days``; ``id`` tells rows of one day apart."""
        found = []
        for name, concept in outcome_concepts(self.asked.study).items():
            if concept.name in readings:
                told = readings[concept.name]
                known = told.join(days, on=_DAY, how="semi")
                self.gathered.leave_out(concept.name, "outcome of a day without readings", told, known)
                found.append(known.select(*_DAY, "id", pl.col("value").alias(name)))
        return _joined(found, on=[*_DAY, "id"])


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
