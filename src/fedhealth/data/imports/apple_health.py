"""Apple Health exports: ``export.xml``, by any name, or the zip that holds it; read as a stream.

The file's document type is skipped: in some versions of iOS it is not well-formed, so that a strict parser refuses the
whole file, and nothing in it is needed.
"""

import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import polars as pl
from lxml import etree

from fedhealth.data.files import DataError
from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.magic import ZIP, begins_with
from fedhealth.data.imports.raw import BATCH, as_raw, in_columns
from fedhealth.data.imports.times import EPOCH_DAY, days_since_epoch
from fedhealth.data.imports.zips import opened_zip

ROOT = b"<HealthData"
CHUNK = 1 << 18  # bytes
LONGEST_PROLOG = 1 << 20
QUANTITY, CATEGORY = "HKQuantityTypeIdentifier", "HKCategoryTypeIdentifier"
# What a type of record is: a concept, or the LOINC code under which a study may have it.
TYPES = {
    f"{QUANTITY}StepCount": "steps",
    f"{QUANTITY}HeartRate": "heart_rate",
    f"{QUANTITY}RestingHeartRate": "resting_heart_rate",
    f"{QUANTITY}OxygenSaturation": "spo2",
    f"{CATEGORY}SleepAnalysis": "sleep",
    f"{QUANTITY}HeartRateVariabilitySDNN": "80404-7",
    f"{QUANTITY}RespiratoryRate": "9279-1",
    f"{QUANTITY}BodyTemperature": "8310-5",
    f"{QUANTITY}BodyMass": "29463-7",
    f"{QUANTITY}BodyMassIndex": "39156-5",
    f"{QUANTITY}Height": "8302-2",
    f"{QUANTITY}BloodPressureSystolic": "8480-6",
    f"{QUANTITY}BloodPressureDiastolic": "8462-4",
    f"{QUANTITY}BloodGlucose": "2339-0",
}
ASLEEP = tuple(f"HKCategoryValueSleepAnalysisAsleep{stage}" for stage in ("", "Unspecified", "Core", "Deep", "REM"))
SEXES = {"HKBiologicalSexMale": 1.0, "HKBiologicalSexFemale": 0.0}
BIRTH, SEX = "HKCharacteristicTypeIdentifierDateOfBirth", "HKCharacteristicTypeIdentifierBiologicalSex"
COLUMNS = dict.fromkeys(("concept", "start", "end", "value", "unit", "source"), pl.String())


def read_apple_health(path: Path, asked: Asked) -> Iterator[pl.DataFrame]:
    """Readings of one person: whom the import names, else the file's name.

    Raises:
        DataError: the zip or the XML is broken (and where), or it is no such export.
    """
    person = asked.about(path)
    records = _Records(asked)
    with _opened(path) as (stream, position):
        done = 0
        for _ in _parsed(path, stream, records):
            if len(records.cells) >= BATCH * len(COLUMNS):
                yield _batch(records.taken(), person, asked)
            asked.advance(position() - done)
            done = position()
    yield _batch(records.taken(), person, asked)
    yield _person(records.me, person, asked)
    for kind, count in sorted(records.counts.items(), key=lambda item: -item[1]):
        asked.tally.found(path.name, kind.removeprefix(QUANTITY).removeprefix(CATEGORY), count)


class _Records:
    """Takes what the parser finds: attributes of the records that are wanted, and how many there are of each type."""

    def __init__(self, asked: Asked) -> None:
        self.wanted = {kind: concept for kind, concept in TYPES.items() if concept in asked.concepts}
        self.cells: list[str | None] = []  # of COLUMNS, row after row
        self.counts: dict[str, int] = {}
        self.me: Mapping[str, str] = {}

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        if name == "Record":
            told = attributes.get
            kind = told("type", "")
            self.counts[kind] = self.counts.get(kind, 0) + 1
            if kind in self.wanted:
                start, end, value, unit = told("startDate"), told("endDate"), told("value"), told("unit")
                self.cells.extend((self.wanted[kind], start, end, value, unit, told("sourceName")))
        elif name == "Me":
            self.me = attributes

    def close(self) -> None:
        """The file ends."""

    def taken(self) -> pl.DataFrame:
        """What was found since the last call."""
        found = in_columns(self.cells, COLUMNS)
        self.cells.clear()
        return found


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], Callable[[], int]]]:
    """The XML of a file or zip, and how far the file has been read."""
    if not begins_with(path, ZIP):
        with path.open("rb") as file:
            yield file, file.tell
        return
    with opened_zip(path) as archive, archive.open(_member(path, archive)) as stream:
        packed, unpacked = path.stat().st_size, sum(entry.file_size for entry in archive.infolist())
        yield stream, lambda: stream.tell() * packed // max(unpacked, 1)


def _member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    found = health_data(archive)
    if found is None:
        raise DataError(f"{path}: no XML file in it begins with HealthData; expected an Apple Health export")
    return found


def health_data(archive: zipfile.ZipFile) -> zipfile.ZipInfo | None:
    """The file in an archive that is an export: its name depends on the phone's language, its root element does not."""
    for entry in archive.infolist():
        if entry.filename.lower().endswith(".xml"):
            with archive.open(entry) as stream:
                if ROOT in stream.read(LONGEST_PROLOG):
                    return entry
    return None


def _parsed(path: Path, stream: IO[bytes], records: _Records) -> Iterator[None]:
    """Parse chunk by chunk."""
    parser = etree.XMLParser(target=records, encoding="utf-8", resolve_entities=False)
    chunk = _without_prolog(path, stream)
    try:
        while chunk:
            parser.feed(chunk)
            yield
            chunk = stream.read(CHUNK)
        parser.close()
    except etree.XMLSyntaxError as error:
        raise DataError(f"{path}: not valid XML: {error.msg}; the export may be cut off, export it again") from None


def _without_prolog(path: Path, stream: IO[bytes]) -> bytes:
    """The first bytes, with blanks for what stands before the root element, so that the lines stay as they are."""
    head = stream.read(LONGEST_PROLOG)
    start = head.find(ROOT)
    if start < 0:
        raise DataError(f"{path}: no HealthData in its first {len(head):,} bytes; expected an Apple Health export")
    return re.sub(rb"[^\n]", b" ", head[:start]) + head[start:]


def _batch(frame: pl.DataFrame, person: str, asked: Asked) -> pl.DataFrame:
    asleep = pl.col("value").is_in(ASLEEP)
    resting = (pl.col("concept") == "sleep") & ~asleep.fill_null(False)
    asked.tally.drop("in bed or awake, not asleep", frame.filter(resting).height)
    number = pl.col("value").str.strip_chars().cast(pl.Float64, strict=False)
    named = frame.filter(~resting).with_columns(
        person=pl.lit(person),
        city=pl.lit(asked.city),
        value=number,
        # SpO2 in "%" may be 97, or 0.97 of 1; a body mass index has no unit here.
        unit=pl.when(pl.col("concept") == "sleep").then(pl.lit("h"))
        .when((pl.col("concept") == "spo2") & (pl.col("unit") == "%") & (number <= 1)).then(pl.lit("1"))
        .when((pl.col("concept") == "39156-5") & (pl.col("unit") == "count")).then(pl.lit("kg/m2"))
        .otherwise("unit"),
    )  # fmt: skip
    return as_raw(named)


def _person(me: Mapping[str, str], person: str, asked: Asked) -> pl.DataFrame:
    """Birth date and sex, where the export tells them."""
    born, sex = days_since_epoch(me.get(BIRTH, "")), SEXES.get(me.get(SEX, ""))
    return asked.facts(person, "Apple Health", {"birth_date": (born, EPOCH_DAY), "sex": (sex, "1")})
