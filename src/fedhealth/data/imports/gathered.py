"""The canonical readings of an import, each once: what is repeated, or was withdrawn later, is left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import polars as pl

from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.daily import EACH_DAY
from fedhealth.data.imports.records import CANONICAL
from fedhealth.data.imports.times import parse_times

AT_ONCE = 500_000  # readings of people that are summed up together
SLICE = 150_000  # readings of one concept that are, where days do not depend on each other
SAME = ("who", "start", "end", "value", "source")  # readings that agree in these are one (by a hash of 64 bits)
_LOCAL = pl.col("start") + pl.duration(minutes=pl.col("offset"))  # on the clock where a reading was taken


@dataclass(frozen=True)
class Gathered:
    """Readings in the Parquet files of ``folder``; ``left_out`` are the numbers of rows that do not count."""

    folder: Path
    asked: Asked
    left_out: list[pl.Series] = field(default_factory=list)

    def readings(self, name: str, chosen: pl.Expr, who: str) -> pl.DataFrame:
        """Readings of one concept, each once, with their times on the clock where they were taken."""
        columns = ("start", "end", "offset", "value", "source", "id", "updated", "row")
        found = self._scan().filter(chosen, pl.col("feature") == name).select(pl.col(who).alias("who"), *columns)
        known = self._still_so(name, found.collect())
        once = self._once(name, who, known)
        self.leave_out(name, "duplicate", known, once)
        east = pl.duration(minutes=pl.col("offset"))
        once = once.with_columns(local=pl.col("start") + east, local_end=pl.col("end") + east)
        return once.with_columns(date=pl.col("local").dt.date(), end_date=pl.col("local_end").dt.date())

    def _still_so(self, name: str, found: pl.DataFrame) -> pl.DataFrame:
        """Without readings of records that were withdrawn after them."""
        if not self.asked.withdrawn:
            return found
        ended = pl.col("ended") >= pl.col("updated")
        gone = found.join(self._withdrawn, on="id").filter(ended.fill_null(True))["row"]
        known = found.filter(~pl.col("row").is_in(gone.implode()))
        self.leave_out(name, "withdrawn later", found, known)
        return known

    @cached_property
    def _withdrawn(self) -> pl.DataFrame:
        told = pl.Series(self.asked.withdrawn.values(), dtype=pl.String)
        return pl.DataFrame({"id": self.asked.withdrawn.keys(), "ended": parse_times(told, self.asked.zone)["utc"]})

    def _once(self, name: str, who: str, found: pl.DataFrame) -> pl.DataFrame:
        """The last version of each record, and one of readings that are the same."""
        once = found
        if found["id"].null_count() < found.height:
            if found["updated"].null_count() < found.height:
                once = found.sort("updated", maintain_order=True)
            once = once.filter(pl.col("id").is_null() | pl.col("id").is_last_distinct())
        if who == "city" and self.asked.concepts[name].rule == "outcome":
            return once  # equal readings may be about different people
        first = once.select(pl.struct(SAME).hash().is_first_distinct()).to_series()
        return once if first.all() else once.filter(first)

    def leave_out(self, name: str, reason: str, found: pl.DataFrame, kept: pl.DataFrame) -> None:
        """Count as dropped, and do not write, what is in ``found`` and not in ``kept``."""
        count = found.height - kept.height
        if count:
            self.left_out.append(found.filter(~pl.col("row").is_in(kept["row"].implode()))["row"])
        self.asked.tally.drop(reason, count, name)
        self.asked.tally.kept[name] -= count

    def slices(self, name: str, chosen: pl.Expr) -> list[pl.Expr]:
        """What selects the readings of a concept: all of them, or stretches of days where each can be read alone."""
        if self.asked.concepts[name].rule not in EACH_DAY or self.asked.tally.kept[name] <= SLICE:
            return [chosen]
        day = _LOCAL.dt.date()
        days = self._scan().filter(chosen, pl.col("feature") == name).group_by(day=day)
        counts = days.agg(pl.len(), ids=pl.col("id").count()).collect().sort("day")
        if counts["ids"].sum():  # versions of one record may be of different days
            return [chosen]
        parts = counts.group_by(pl.col("len").cum_sum() // SLICE, maintain_order=True)
        return [chosen & day.is_between(part["day"].min(), part["day"].max()) for _, part in parts]

    def people(self) -> Iterator[list[str]]:
        """People, in groups that have about ``AT_ONCE`` readings together."""
        counts = self._scan().filter(pl.col("person").is_not_null()).group_by("person").len().collect().sort("person")
        place = counts["len"].cum_sum() // AT_ONCE
        for _, group in counts.group_by(place.alias("batch"), maintain_order=True):
            yield group["person"].to_list()

    def cities(self, people: Sequence[str], days: pl.DataFrame) -> pl.DataFrame:
        """``who, date, city`` of days: the city that was told last, on days before that the first."""
        told = self._scan().filter(pl.col("person").is_in(people), pl.col("city").is_not_null())
        told = told.group_by(_LOCAL.dt.date().alias("date"), who="person").agg(pl.col("city").first())
        named = told.collect().sort("date")
        latest = days.sort("date").join_asof(named, on="date", by="who", strategy="backward", check_sortedness=False)
        first = named.group_by("who").agg(first=pl.col("city").first())
        return latest.join(first, on="who", how="left").select("who", "date", city=pl.coalesce("city", "first"))

    def write(self, path: Path) -> None:
        """Write the readings that count, but no birth dates, as a Parquet file."""
        gone = pl.concat([pl.Series([], dtype=pl.get_index_type()), *self.left_out])
        counting = self._scan().filter(pl.col("feature") != "birth_date", ~pl.col("row").is_in(gone.implode()))
        counting.select(CANONICAL.names()).sink_parquet(path)

    def _scan(self) -> pl.LazyFrame:
        return pl.scan_parquet(self.folder / "*.parquet", row_index_name="row")
