"""Files: CSV as people's programs write it, and which line is broken where one is; and writing one whole or not."""

import csv
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO


class DataError(ValueError):
    """A node's data cannot be used as it is; the message names file, line or column, and what was expected."""


LONGEST_LINE = 1 << 22  # characters
# Control characters but tab and line end; what stands for bytes that are not UTF-8.
NOT_PRINTABLE = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")


def printable(text: str) -> str:
    """Text that can be shown and written, with � for what cannot be, as in names of files."""
    return NOT_PRINTABLE.sub("�", text)


def csv_rows(path: Path) -> Iterator[tuple[list[str], int]]:
    """The rows of a CSV file that are not blank, and the line that each ends on, from 1.

    Raises:
        DataError: the text is not UTF-8, a quoted cell is broken, or a line is too long.
    """
    with path.open(newline="", encoding="utf-8-sig") as text:
        reader = csv.reader(_lines(path, text), strict=True)
        try:
            for row in reader:
                if row:
                    yield row, reader.line_num
        except UnicodeDecodeError:
            raise DataError(f"{path}: near line {reader.line_num + 1}: not UTF-8 text; save it as UTF-8") from None
        except csv.Error as error:
            raise DataError(f"{path}: line {reader.line_num}: {error}") from None


def _lines(path: Path, text: TextIO) -> Iterator[str]:
    for number, line in enumerate(iter(partial(text.readline, LONGEST_LINE + 1), ""), start=1):
        if len(line) > LONGEST_LINE:
            raise DataError(
                f"{path}: line {number}: more than {LONGEST_LINE:,} characters; expected a row in each line"
            )
        yield line


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; on success it takes its place, else it is removed.

    The folder is made if missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def checked_names(cells: Sequence[str], path: Path) -> list[str]:
    """The names in a file's first row.

    Raises:
        DataError: a name occurs twice.
    """
    names = [name.strip() for name in cells]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: column {twice!r} occurs twice; expected each name once")
    return names


def check_width(cells: Sequence[str], names: Sequence[str], path: Path, line: int) -> None:
    """Refuse a row that has more or fewer cells than there are names.

    Raises:
        DataError: it has.
    """
    if len(cells) != len(names):
        raise DataError(f"{path}: line {line}: got {len(cells)} cells; expected {len(names)}")
