"""What an import is asked to do, as every reader sees it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from fedhealth.data.files import DataError, printable
from fedhealth.data.imports.concepts import Concept
from fedhealth.data.imports.raw import as_raw
from fedhealth.data.imports.tally import Tally
from fedhealth.data.imports.times import UNDATED
from fedhealth.study import Feature, Node, Study


@dataclass(frozen=True)
class Asked:
    """One import.

    Attributes:
        study: says what the features are.
        node: whose table is made.
        features: what the node observes, and the study's anchors.
        concepts: what feeds them; readers leave out the rest.
        tally: counts what is read.
        person: whom files are about that name no one.
        city: where files are from that name no city.
        zone: where clocks were that show no offset.
        columns: the column (and unit) of a CSV or Parquet file for a name in the study.
        advance: told how many bytes were read.
        owners: the file that each person's name was taken from.
        births: birth dates that were read, as days since 1970-01-01, by person, and when the record was last changed.
        columns_found: names of columns in CSV and Parquet files.
    """

    study: Study
    node: Node
    features: tuple[Feature, ...]
    concepts: Mapping[str, Concept]
    tally: Tally
    person: str | None = None
    city: str | None = None
    zone: str = "UTC"
    columns: Mapping[str, str] = field(default_factory=dict)
    advance: Callable[[int], None] = lambda _: None
    owners: dict[str, Path] = field(default_factory=dict)
    births: dict[str, tuple[float, str | None]] = field(default_factory=dict)
    columns_found: set[str] = field(default_factory=set)

    def about(self, path: Path) -> str:
        """The person of a file that names no one: as told, else the file's name without its ending.

        Raises:
            DataError: another file has that name too, and nobody says whether the person is the same.
        """
        if self.person:
            return self.person
        name = printable(path.name.split(".")[0])
        other = self.owners.setdefault(name, path)
        if other != path:
            raise DataError(
                f"{path}: would be about the same person as {other}; give the files names that tell people apart, or "
                "say --person for files of one person"
            )
        return name

    def facts(self, person: str, source: str, told: Mapping[str, tuple[float | None, str]]) -> pl.DataFrame:
        """What has always been so of a person, as raw readings: value and unit by concept, where known and wanted."""
        known = {c: told[c] for c in told if c in self.concepts and told[c][0] is not None}
        columns = {
            "concept": list(known),
            "value": [value for value, _ in known.values()],
            "unit": [unit for _, unit in known.values()],
        }
        return as_raw(
            pl.DataFrame(columns).with_columns(
                person=pl.lit(person), city=pl.lit(self.city), start=pl.lit(UNDATED), source=pl.lit(source)
            )
        )


def node_of(study: Study, name: str) -> Node:
    """The node of that name, if its rows are a table.

    Raises:
        DataError: the study's rows come from a package.
        StudyError: there is none.
    """
    if study.source.kind != "tables":
        raise DataError(f"study {study.name!r} reads its rows from a package; expected one whose nodes have tables")
    return study.node(name)
