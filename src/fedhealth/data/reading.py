"""A table read from a CSV or Parquet file, which can name the place of each of its rows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fedhealth.data.files import DataError, check_width, checked_names, csv_rows
from fedhealth.study import Source

UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)  # Polars panics at some damaged files


@dataclass(frozen=True)
class Table:
    """Cells of a file: ``origin`` names it in messages, ``lines`` (where known) is each row's line in it, from 1."""

    frame: pl.DataFrame
    origin: str
    lines: NDArray[np.int64] | None = None

    def place(self, row: int) -> str:
        """Where a row (from 0) is found, in words."""
        return f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"

    def column(self, name: str) -> pl.Series:
        """A column of the table.

        Raises:
            DataError: it is missing; the message lists the ones there are.
        """
        if name not in self.frame.columns:
            raise DataError(f"{self.origin}: column {name!r} is missing; the file has {', '.join(self.frame.columns)}")
        return self.frame[name]


def read_table(path: Path, source: Source) -> Table:
    """Read a CSV (every cell as text) or Parquet file.

    Raises:
        DataError: no such file (with the command that makes it, where the study names one), no rows, or a broken line.
    """
    if not path.is_file():
        hint = f"; to get it: {source.hint}" if source.hint else ""
        raise DataError(f"{path}: no such file{hint}")
    table = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path, source)
    if not table.frame.height:
        raise DataError(f"{path}: the file has no rows")
    return table


def _read_parquet(path: Path) -> Table:
    try:
        return Table(pl.read_parquet(path), str(path))
    except UNREADABLE as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from None


def _read_csv(path: Path, source: Source) -> Table:
    rows = list(csv_rows(path))
    if not rows:
        raise DataError(f"{path}: the file is empty")
    names = checked_names(rows[0][0] if source.header else source.columns, path)
    rows = rows[1:] if source.header else rows
    for row, line in rows:
        check_width(row, names, path, line)
    columns = zip(*(row for row, _ in rows), strict=True) if rows else [()] * len(names)
    frame = pl.DataFrame({n: pl.Series(list(c), dtype=pl.String) for n, c in zip(names, columns, strict=True)})
    return Table(frame, str(path), np.array([line for _, line in rows], dtype=np.int64))
