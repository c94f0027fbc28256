"""The canonical form of every reading, whatever file it comes from, and what is refused on the way to it.

Readers give batches of raw readings. They leave as canonical ones, in Parquet files of a folder, so that memory does
not grow with the export.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.concepts import FACTS, Concept, concepts_of
from fedhealth.data.imports.pseudonyms import Pseudonyms
from fedhealth.data.imports.raw import NO_VALUE
from fedhealth.data.imports.times import UNDATED, parse_times
from fedhealth.data.imports.units import conversion
from fedhealth.study import Feature

CANONICAL = pl.Schema(
    {
        "person": pl.String(),
        "city": pl.String(),
        "feature": pl.String(),
        "start": pl.Datetime("us"),
        "end": pl.Datetime("us"),
        "offset": pl.Int16(),
        "value": pl.Float64(),
        "unit": pl.String(),
        "source": pl.String(),
    }
)
GATHERED = pl.Schema({**CANONICAL, "id": pl.String(), "updated": pl.Datetime("us")})
NONE = pl.col("value").is_null() & pl.col("unit").eq_missing(NO_VALUE)
LONGEST = 25.0  # hours that one reading of an interval may last: those of the day on which clocks are set back
FIRST = dt.datetime(1900, 1, 1) - dt.timedelta(days=1)
CLOCK_NOT_SET = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class Records:
    """Where readings go: a folder of Parquet files of :data:`GATHERED`.

    What is dropped of a record that has an id stays as a row without a value: an older version does not count either.
    """

    folder: Path
    asked: Asked
    pseudonym: Pseudonyms
    now: dt.datetime
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for feature in (*self.asked.features, *self.asked.study.features):
            for concept in concepts_of(feature):
                self.bounds.setdefault(concept.name, _bounds(feature, concept))
        for concept in self.asked.concepts.values():
            self.bounds.setdefault(concept.name, (0.0, concept.highest))

    def add(self, batch: pl.DataFrame) -> None:
        """Keep what can be used of a batch of raw readings, and count the rest by reason."""
        batch = batch.with_row_index("place")
        kept = self._converted(self._timed(batch.filter(~NONE)))
        if kept.height < batch.height:
            kept = pl.concat([kept, self._without_value(batch, kept)], how="diagonal_relaxed").sort("place")
        if kept.height:
            hidden = [self._hidden(kept[name]) for name in ("person", "source")]
            kept = kept.with_columns(hidden).select(GATHERED.names()).cast(GATHERED)
            kept.write_parquet(self.folder / f"{len(list(self.folder.iterdir())):06}.parquet", compression="lz4")
            counts = kept.drop_nulls("value")["feature"].value_counts().iter_rows()
            self.asked.tally.kept.update({str(name): count for name, count in counts})

    def _without_value(self, batch: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
        """The rest of a batch, as far as it says something: whose record it is of, and when that was changed."""
        rest = batch.filter(pl.col("id").is_not_null() | NONE).join(kept, on="place", how="anti")
        updated = parse_times(rest["updated"], self.asked.zone)["utc"]
        return rest.select("place", "person", "id", feature="concept").with_columns(updated.alias("updated"))

    def _hidden(self, names: pl.Series) -> pl.Series:
        hidden = {name: self.pseudonym(name) for name in names.unique().drop_nulls()}
        return names.replace_strict(hidden, default=None, return_dtype=pl.String)

    def _timed(self, batch: pl.DataFrame) -> pl.DataFrame:
        start, end, updated = self._times(batch)
        found = batch.with_columns(
            start["utc"].alias("start"), end["utc"].alias("end"), updated["utc"].alias("updated"),
            start["offset"], start["zoned"], written=batch["start"], ended=batch["end"],
        ).rename({"concept": "feature"})  # fmt: skip
        self._count_offsets(found)
        hours = (pl.col("end") - pl.col("start")).dt.total_seconds() / 3600
        asleep, interval = pl.col("feature") == "sleep", pl.col("feature").is_in(["steps", "daily_steps", "sleep"])
        found = found.with_columns(pl.when(asleep).then(hours).otherwise("value").alias("value"))
        today = (pl.col("start") + pl.duration(minutes=pl.col("offset"))).dt.date()
        absent = pl.col("start").is_null() | (pl.col("end").is_null() & pl.col("ended").is_not_null())
        nobody, nowhere = self._unnamed()
        dated = ~pl.col("feature").is_in([c.name for c in self.asked.concepts.values() if c.rule in FACTS])
        return self._drop(
            found,
            {
                "nobody is named": nobody,
                "no city is named": nowhere,
                "time not readable": absent,
                "before 1900": pl.col("start") < FIRST,
                "in the future": pl.col("start") > self.now,
                "clock not set (1970-01-01)": dated & (today == CLOCK_NOT_SET),
                "ends before it starts": pl.col("end") < pl.col("start"),
                "longer than a day": interval & (hours > LONGEST),
            },
            pl.col("written"),
        )

    def _unnamed(self) -> tuple[pl.Expr, pl.Expr]:
        """Whether a reading that is about a person names none, and whether one of a place names none."""
        of_place = pl.col("feature").is_in([c.name for c in self.asked.concepts.values() if c.of_place])
        nobody = pl.col("person").fill_null("") == ""
        personal = ~of_place if self.asked.node.person else pl.lit(False)
        return nobody & personal, nobody & ~personal & pl.col("city").is_null()

    def _times(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, ...]:
        """Start, end and change of each reading; read in one go, which is much faster."""
        times = parse_times(pl.concat([batch["start"], batch["end"], batch["updated"]]), self.asked.zone)
        return tuple(times.slice(place * batch.height, batch.height) for place in range(3))

    def _count_offsets(self, found: pl.DataFrame) -> None:
        dated = found.lazy().filter(pl.col("start").is_not_null() & (pl.col("written") != UNDATED))
        offsets = dated.group_by(pl.when("zoned").then("offset")).len().collect()
        self.asked.tally.offsets.update({_offset_name(minutes): count for minutes, count in offsets.iter_rows()})

    def _converted(self, found: pl.DataFrame) -> pl.DataFrame:
        pairs = found.group_by("feature", "unit").len()
        rows = [(name, unit, *self._conversion(name, unit, count)) for name, unit, count in pairs.iter_rows()]
        numbers = dict.fromkeys(("factor", "shift", "low", "high"), pl.Float64)
        schema = {"feature": pl.String, "unit": pl.String, "to": pl.String, **numbers}
        table = pl.DataFrame(rows, schema=schema, orient="row")
        found = found.join(table, on=["feature", "unit"], how="left", maintain_order="left", nulls_equal=True)
        found = found.with_columns(pl.col("value") * pl.col("factor") + pl.col("shift"))
        value, unknown = pl.col("value"), pl.col("factor").is_null()
        possible = value.is_between(pl.col("low") - 1e-9, pl.col("high") + 1e-9)
        what = pl.col("feature") + " " + value.round(4).cast(pl.String) + " " + pl.col("to")
        kept = self._drop(
            found,
            {
                "unit not understood": unknown,
                "not a number": value.is_null() | value.is_nan(),
                "impossible value": ~possible | value.is_infinite(),
            },
            pl.when(unknown).then(pl.col("feature") + " in " + pl.col("unit").fill_null("no unit")).otherwise(what),
        )
        return kept.with_columns(unit=pl.col("to"))

    def _conversion(self, name: str, unit: str | None, count: int) -> tuple[str | float | None, ...]:
        """Unit, factor and shift to it, and the plausible values in it."""
        concept = self.asked.concepts[name]
        found = conversion(unit or "", concept.unit, concept.molar_mass)
        if found is None:
            return concept.unit, None, None, None, None
        if unit != concept.unit:
            self.asked.tally.converted[f"{name}: {unit} to {concept.unit}"] += count
        return concept.unit, found.factor, found.shift, *self.bounds[name]

    def _drop(self, found: pl.DataFrame, reasons: Mapping[str, pl.Expr], example: pl.Expr) -> pl.DataFrame:
        """Without the rows that meet one of ``reasons``; each row counts for the first it meets."""
        first = pl.coalesce(pl.when(met).then(pl.lit(reason)) for reason, met in reasons.items())
        found = found.with_columns(why=first)
        if found["why"].null_count() < found.height:
            bad = found.filter(pl.col("why").is_not_null()).group_by("why", maintain_order=True)
            for reason, count, what in bad.agg(pl.len(), example.fill_null("").first()).iter_rows():
                self.asked.tally.drop(reason, count, what)
            found = found.filter(pl.col("why").is_null())
        return found


def _bounds(feature: Feature, concept: Concept) -> tuple[float, float]:
    """The plausible values of one reading: the feature's; what adds up to a day's value may be less."""
    found = conversion(feature.unit, concept.unit)
    if concept.rule == "birth":
        return -float("inf"), float("inf")
    if concept.name == "steps" or found is None:
        return 0.0, feature.high
    low, high = (found.factor * bound + found.shift for bound in (feature.low, feature.high))
    return (0.0 if concept.name in ("sleep", "sleep_duration") else low), high


def _offset_name(minutes: int | None) -> str:
    if minutes is None:
        return "none"
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
