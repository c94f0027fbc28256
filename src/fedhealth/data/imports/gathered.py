"""The canonical readings of an import, each once: what is repeated, or has another version later, is left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.daily import EACH_DAY
from fedhealth.data.imports.records import CANONICAL

AT_ONCE = 500_000  # readings of people that are summed up together
SLICE = 150_000  # readings of one concept that are, where days do not depend on each other
SAME = ("who", "start", "end", "value", "source")  # readings that agree in these are one (by a hash of 64 bits)
_LOCAL = pl.col("start") + pl.duration(minutes=pl.col("offset"))  # on the clock where a reading was taken


@dataclass(frozen=True)
class Gathered:
    """Readings in the Parquet files of ``folder``; numbers of rows that do not count are in ``left_out``.

    ``older`` are those that a newer version of the same record stands against, be it of another concept.
    """

    folder: Path
    asked: Asked
    left_out: list[pl.Series] = field(default_factory=list)
    older: list[pl.Series] = field(default_factory=list)

    def readings(self, name: str, chosen: pl.Expr, who: str) -> pl.DataFrame:
        """Readings of one concept, each once, with their times on the clock where they were taken."""
        columns = ("feature", "start", "end", "offset", "value", "source", "id", "updated", "row")
        of_it = (pl.col("feature") == name) | pl.col("feature").is_null()
        found = self._scan().filter(chosen, of_it).select(pl.col(who).alias("who"), *columns).collect()
        once = self._once(name, who, self._last_versions(name, found))
        east = pl.duration(minutes=pl.col("offset"))
        once = once.with_columns(local=pl.col("start") + east, local_end=pl.col("end") + east)
        return once.with_columns(date=pl.col("local").dt.date(), end_date=pl.col("local_end").dt.date())

    def _last_versions(self, name: str, found: pl.DataFrame) -> pl.DataFrame:
        """Readings of the last version of each record; for the rule "ever" those without a value too."""
        if found["id"].null_count() == found.height:
            return found
        if found["updated"].null_count() < found.height:
            newer = found.filter(~pl.col("row").is_in(_numbers(self.older).implode()))
            self.leave_out(name, "duplicate", found, newer)
            found = newer.sort("updated", maintain_order=True)
        last = found.filter(pl.col("id").is_null() | pl.col("id").is_last_distinct())
        ended = last.filter(pl.col("value").is_null())["id"]
        known = found.filter(~pl.col("id").is_in(ended.implode()).fill_null(False))
        self.leave_out(name, "withdrawn later", found, known)
        current = last.drop_nulls("feature" if self.asked.concepts[name].rule == "ever" else "value")
        self.leave_out(name, "duplicate", known, current)
        return current

    def _once(self, name: str, who: str, known: pl.DataFrame) -> pl.DataFrame:
        """One of readings that are the same."""
        if who == "city" and self.asked.concepts[name].rule == "outcome":
            return known  # equal readings may be about different people
        first = known.select(pl.struct(SAME).hash().is_first_distinct()).to_series()
        once = known if first.all() else known.filter(first)
        self.leave_out(name, "duplicate", known, once)
        return once

    def leave_out(self, name: str, reason: str, found: pl.DataFrame, kept: pl.DataFrame) -> None:
        """Count as dropped, and do not write, what is in ``found`` and not in ``kept``."""
        count = found["value"].count() - kept["value"].count()
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
        named = self._scan().filter(pl.col("person").is_not_null()).group_by("person")
        counts = named.agg(pl.len(), dated=pl.col("updated").count()).collect().sort("person")
        place = counts["len"].cum_sum() // AT_ONCE
        for _, group in counts.group_by(place.alias("batch"), maintain_order=True):
            if group["dated"].sum():
                self._pass_over(pl.col("person").is_in(group["person"].to_list()))
            yield group["person"].to_list()

    def _pass_over(self, chosen: pl.Expr) -> None:
        """Note the older versions of records, which may be of something else."""
        columns = ("id", "updated", "feature", "row")
        told = self._scan().filter(chosen, pl.col("feature").is_not_null(), pl.col("updated").is_not_null())
        found = told.select(columns).collect()
        self.older.append(found.filter(pl.col("updated") < pl.col("updated").max().over("id"))["row"])

    def cities(self, people: Sequence[str], days: pl.DataFrame) -> pl.DataFrame:
        """``who, date, city`` of days: the city that was told last, on days before that the first."""
        told = self._scan().filter(pl.col("person").is_in(people), pl.col("city").is_not_null(), self._counts())
        told = told.group_by(_LOCAL.dt.date().alias("date"), who="person").agg(pl.col("city").sort_by("start").last())
        named = told.collect().sort("date")
        latest = days.sort("date").join_asof(named, on="date", by="who", strategy="backward", check_sortedness=False)
        first = named.group_by("who").agg(first=pl.col("city").first())
        return latest.join(first, on="who", how="left").select("who", "date", city=pl.coalesce("city", "first"))

    def write(self, path: Path) -> None:
        """Write the readings that count, but no birth dates, as a Parquet file."""
        counting = self._scan().filter(pl.col("value").is_not_null(), pl.col("feature") != "birth_date", self._counts())
        counting.select(CANONICAL.names()).sink_parquet(path)

    def _counts(self) -> pl.Expr:
        """Rows that are not among those left out."""
        return ~pl.col("row").is_in(_numbers(self.left_out).implode())

    def _scan(self) -> pl.LazyFrame:
        return pl.scan_parquet(self.folder / "*.parquet", row_index_name="row")


def _numbers(rows: Sequence[pl.Series]) -> pl.Series:
    return pl.concat([pl.Series([], dtype=pl.get_index_type()), *rows])
