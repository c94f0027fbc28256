"""What an import is asked to do, as every reader sees it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from fedhealth.data.files import DataError
from fedhealth.data.imports.concepts import Concept
from fedhealth.data.imports.records import RAW
from fedhealth.data.imports.tally import Tally
from fedhealth.study import Feature, Node, Study

BATCH = 20_000  # readings that a reader holds


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

    def about(self, path: Path) -> str:
        """The person of a file that names no one: as told, else the file's name without its ending.

        Raises:
            DataError: another file has that name too, and nobody says whether the person is the same.
        """
        if self.person:
            return self.person
        name = path.name.split(".")[0]
        other = self.owners.setdefault(name, path)
        if other != path:
            raise DataError(
                f"{path}: would be about the same person as {other}; give the files names that tell people apart, or "
                "say --person for files of one person"
            )
        return name


def node_of(study: Study, name: str) -> Node:
    """The node of that name, if its rows are a table.

    Raises:
        DataError: there is none, or the study's rows come from a package.
    """
    if study.source.kind != "tables":
        raise DataError(f"study {study.name!r} reads its rows from a package; expected one whose nodes have tables")
    try:
        return study.node(name)
    except KeyError as error:
        raise DataError(str(error.args[0])) from None


def raw(rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    """Rows in the order of :data:`~fedhealth.data.imports.records.RAW` as a batch."""
    columns = zip(*rows, strict=True) if rows else [()] * len(RAW)
    return pl.DataFrame([pl.Series(name, cells, RAW[name]) for name, cells in zip(RAW, columns, strict=True)])
