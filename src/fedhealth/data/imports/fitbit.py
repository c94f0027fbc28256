"""Fitbit: tables of several people, as studies share them, and the archive of an account, from Fitbit or Google.

An archive is a folder or a zip with files such as ``steps-2020-01-01.json``. The parts of a large one, zips whose names
differ in a number at the end, are of one person.
"""

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from fedhealth.data.files import DataError
from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.fitbit_archive import FILES, read_json
from fedhealth.data.imports.fitbit_tables import is_table, read_table
from fedhealth.data.imports.magic import ZIP, begins_with
from fedhealth.data.imports.zips import opened_zip

LARGEST = 512 << 20  # bytes of a file in a zip
IN_ARCHIVE = re.compile(
    rf"((?:{'|'.join(FILES)})-\d{{4}}-\d\d-\d\d\.json|(?:Daily|Minute) SpO2 - .*\.csv|Profile\.csv)"
)
# Folders that are the same in every archive; the one around them is the account's.
INSIDE = (
    "Fitbit", "Global Export Data", "Heart Rate", "Oxygen Saturation (SpO2)", "Physical Activity", "Sleep",
    "Personal & Account", "Takeout", "Your Profile", "user-site-export",
)  # fmt: skip


def read_fitbit(path: Path, asked: Asked) -> Iterator[pl.DataFrame]:
    """Readings of the people in a table, or of the one whose archive it is: as told, else by the folder's name.

    Times of day in an archive are UTC but for sleep; they count on the clock of the import's time zone.

    Raises:
        DataError: zip, JSON or a line is broken (and where), or nothing in it is known.
    """
    if begins_with(path, ZIP):
        yield from _read_zip(path, asked)
    else:
        person = asked.about(_account(path)) if is_in_archive(path.name) else ""
        yield from _read_file(path, person, asked)
        if path.suffix.lower() == ".json":
            asked.advance(path.stat().st_size)  # tables tell by themselves


def is_fitbit(path: Path, names: Sequence[str]) -> bool:
    """Whether a CSV file with these names in its first row is Fitbit's."""
    return is_table(names) or (is_in_archive(path.name) and bool({"timestamp", "date_of_birth"} & set(names)))


def is_in_archive(name: str) -> bool:
    """Whether a file of that name (its folders left out) is one of an account's that is read."""
    return IN_ARCHIVE.fullmatch(name) is not None


def _account(path: Path) -> Path:
    return next((folder for folder in path.resolve().parents if folder.name not in INSIDE), path)


def _read_file(path: Path, person: str, asked: Asked) -> Iterator[pl.DataFrame]:
    if path.suffix.lower() == ".json":
        yield read_json(path, person, asked)
    else:
        yield from read_table(path, person, asked)


def _read_zip(path: Path, asked: Asked) -> Iterator[pl.DataFrame]:
    """File after file, each unpacked for as long as it is read."""
    person = asked.about(path.with_name(re.sub(r"-\d{3}\.zip$", ".zip", path.name)))
    with opened_zip(path) as archive, tempfile.TemporaryDirectory() as folder:
        for entry in members(archive):
            if entry.file_size > LARGEST:
                raise DataError(f"{path}: {entry.filename} has more than {LARGEST >> 20} MB; unpack the zip first")
            unpacked = Path(folder) / Path(entry.filename).name
            with archive.open(entry) as source, unpacked.open("wb") as target:
                shutil.copyfileobj(source, target)
            try:
                yield from _read_file(unpacked, person, asked)
            except DataError as error:
                raise DataError(str(error).replace(str(unpacked), f"{path}: {entry.filename}")) from None
            unpacked.unlink()
            asked.advance(entry.compress_size)


def members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of an account's archive that are read."""
    return [entry for entry in archive.infolist() if is_in_archive(Path(entry.filename).name)]
