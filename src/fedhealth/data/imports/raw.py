"""Raw readings: what every reader gives, batch by batch, as it stands in the file."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

BATCH = 30_000  # readings that a reader holds
# person: as the file names them; null for a place. city: where, if known. end: null for a moment. id: of the record in
# the file, if it has one; updated: when that was last changed. A row without a value whose unit is NO_VALUE is no
# reading, and counted by the reader: it stands for a version of a record; without a concept, of one that is withdrawn.
NO_VALUE = ""
RAW = pl.Schema(
    {
        "person": pl.String(),
        "city": pl.String(),
        "concept": pl.String(),
        "start": pl.String(),
        "end": pl.String(),
        "value": pl.Float64(),
        "unit": pl.String(),
        "source": pl.String(),
        "id": pl.String(),
        "updated": pl.String(),
    }
)


def as_raw(found: pl.DataFrame) -> pl.DataFrame:
    """The columns of a batch in their order and types; null where ``found`` has none."""
    return found.select(pl.col(c) if c in found.columns else pl.lit(None).alias(c) for c in RAW).cast(RAW)


def in_columns(cells: Sequence[Any], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """A batch from its cells, row after row in one list: that fills, and turns into columns, faster than rows do."""
    width = len(schema)
    return pl.DataFrame([pl.Series(c, cells[place::width], schema[c]) for place, c in enumerate(schema)])
