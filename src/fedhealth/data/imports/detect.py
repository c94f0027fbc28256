"""What kind of export a file is, by what stands in it."""

import csv
import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from fedhealth.data.files import DataError
from fedhealth.data.imports.air_quality import is_air_quality
from fedhealth.data.imports.apple_health import ROOT, health_data
from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.columns import is_columns
from fedhealth.data.imports.fitbit import is_fitbit, is_in_archive, members
from fedhealth.data.imports.magic import PARQUET, ZIP
from fedhealth.data.imports.maps import PERSON, where
from fedhealth.data.imports.zips import opened_zip

HEAD = 65_536  # bytes that are looked at
EXPECTED = "CSV or Parquet, an Apple Health export, FHIR R4 (JSON, NDJSON), Fitbit's CSV or archive, a station's CSV"


def find_exports(paths: Iterable[Path], kind: str | None, asked: Asked) -> Iterator[tuple[Path, str]]:
    """The files to read, with the kind of each; in a folder what is no export is left out.

    Patients come first: whose birth date is known, the age at which a disease began tells its date.

    Args:
        paths: files and folders.
        kind: what the files are, if told.
        asked: says what columns are called; its tally is told what of a folder is left out.

    Raises:
        DataError: there is no such file, or nothing in it that can be read.
    """
    left_out: dict[str, list[Path]] = {}
    found = [one for path in paths for one in _exports(path, kind, asked, left_out)]
    yield from sorted(found, key=lambda one: "patient" not in one[0].name.lower())
    for why, those in left_out.items():
        asked.tally.found("other files", f"left out: {why}, such as {those[0].name}", len(those))


def _exports(path: Path, kind: str | None, asked: Asked, left_out: dict[str, list[Path]]) -> Iterator[tuple[Path, str]]:
    """The files at ``path`` in order; what is not read is noted in ``left_out``, by the reason."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_file():
        found = kind or kind_of(path, asked, alone=True)
        if found is None:
            raise DataError(
                f"{path}: not an export that is known; expected {EXPECTED}; or say the kind before the path"
            )
        yield path, found
        return
    some = False
    files, shut = _within(path)
    for file in sorted(files):
        found = kind_of(file, asked)
        if found and kind in (None, found):
            some = True
            yield file, found
        else:
            left_out.setdefault(f"{found}, not {kind}" if found else "not recognised", []).append(file)
    if shut:
        left_out.setdefault("folder that is a link or cannot be read", []).extend(shut)
    if not some:
        raise DataError(f"{path}: no {kind or 'export'} in this folder; expected {EXPECTED}")


def _within(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files below a folder, and those of its folders that are not looked into."""
    files: list[Path] = []
    shut: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=lambda error: shut.append(Path(error.filename))):
        shut.extend(Path(place, name) for name in folders if Path(place, name).is_symlink())
        files.extend(Path(place, name) for name in names if Path(place, name).is_file())
    return files, shut


def kind_of(path: Path, asked: Asked, alone: bool = False) -> str | None:
    """The kind of one file; None where it is none that is known.

    A table without any column that is looked for is CSV only where it stands ``alone``, not as one file of a folder.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(PARQUET):
        return "parquet"
    if head.startswith(ZIP):
        return _kind_of_archive(path)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return None if b"\0" in text else _kind_of_text(path, text, asked, alone)


def _kind_of_archive(path: Path) -> str | None:
    try:
        with opened_zip(path) as archive:
            return "apple-health" if health_data(archive) else "fitbit" if members(archive) else None
    except DataError:
        return "apple-health"  # whose reader says what is wrong with it


def _kind_of_text(path: Path, text: bytes, asked: Asked, alone: bool) -> str | None:
    if text[:1] == b"<":
        return "apple-health" if ROOT in text else None
    if text[:1] == b"{":
        return "fhir" if _holds(path, b'"resourceType"') else None
    if text[:1] == b"[":
        return "fitbit" if is_in_archive(path.name) else None
    names = _first_row(text)
    if is_air_quality(names) and where(PERSON, asked)[0] not in names:
        return "air-quality"
    if is_fitbit(path, names):
        return "fitbit"
    perhaps = alone and (path.suffix.lower() in (".csv", ".txt", ".tsv") or len(names) > 1)
    return "csv" if perhaps or is_columns(names, asked) else None


def _holds(path: Path, what: bytes) -> bool:
    """Whether these bytes are anywhere in a file, which is not empty."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(what) >= 0


def _first_row(text: bytes) -> list[str]:
    line = next(iter(text.splitlines()), b"").decode("utf-8", errors="replace")
    return [name.strip() for name in next(csv.reader([line]), [])]
