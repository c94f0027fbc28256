"""Zip archives as people download them, cut off or damaged now and then."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedhealth.data.files import DataError

# What the standard library raises over a damaged archive, directory and content.
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, RuntimeError, NotImplementedError, ValueError, IndexError, OverflowError),
)


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive to read from.

    Raises:
        DataError: it is cut off or damaged, found now or while it is read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except DataError:
        raise
    except BROKEN as error:
        what = "is cut off or broken (no directory at its end)" if _cut_off(path) else f"cannot be read ({error})"
        raise DataError(f"{path}: the zip {what}; export it again") from None


def _cut_off(path: Path) -> bool:
    return not zipfile.is_zipfile(path)
