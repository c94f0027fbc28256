"""FHIR R4: a Bundle or one resource as JSON, or NDJSON with a resource on each line (as bulk exports write)."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

import msgspec
import polars as pl

from fedhealth.data.files import DataError
from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.fhir_readings import Readings
from fedhealth.data.imports.fhir_resources import Bundle, Condition, Kind, Observation, Patient
from fedhealth.data.imports.raw import BATCH

CHUNK = 1 << 18  # bytes
LARGEST = 512 << 20  # bytes of a Bundle or a line, which are read whole
BOM = b"\xef\xbb\xbf"
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_bundle = msgspec.json.Decoder(Bundle).decode
_condition = msgspec.json.Decoder(Condition).decode
_kind = msgspec.json.Decoder(Kind).decode
_observation = msgspec.json.Decoder(Observation)
_patient = msgspec.json.Decoder(Patient).decode


def read_fhir(path: Path, asked: Asked) -> Iterator[pl.DataFrame]:
    """Readings of the observations, conditions and patients in a file; other resources are counted and left out.

    Raises:
        DataError: the JSON is broken (and where), or one document is too large to be read whole.
    """
    resources = _Resources(path, asked)
    with path.open("rb") as file:
        for _ in resources.lines(file) if _has_lines(file) else resources.whole(file):
            if len(resources.readings) >= BATCH:
                yield resources.readings.taken()
    yield resources.readings.taken()
    for kind, count in resources.counts.most_common():
        asked.tally.found(path.name, kind, count)


def _has_lines(file: IO[bytes]) -> bool:
    """Whether one of the first two lines is a whole document; the file is then at its beginning, after a BOM."""
    start = len(BOM) if file.read(len(BOM)) == BOM else 0
    file.seek(start)
    lines = (line for line in iter(partial(file.readline, LARGEST), b"") if not line.isspace())
    found = any(_is_document(line) for line in islice(lines, 2))
    file.seek(start)
    return found


def _is_document(line: bytes) -> bool:
    try:
        _kind(line)
    except msgspec.ValidationError:
        return line.lstrip()[:1] == b"{"
    except NOT_JSON:
        return False
    return True


class _Resources:
    """Parses documents one after another and passes on what is read; counts resources by type."""

    def __init__(self, path: Path, asked: Asked) -> None:
        self.readings = Readings(asked)
        self.counts: Counter[str] = Counter()
        self._path, self._asked = path, asked

    def whole(self, file: IO[bytes]) -> Iterator[None]:
        """Take the file as one document.

        Raises:
            DataError: it is not JSON, or too large.
        """
        text = file.read(LARGEST + 1)
        self._refuse_large(len(text))
        self._document(text, None)
        self._asked.advance(len(text))
        yield

    def lines(self, file: IO[bytes]) -> Iterator[None]:
        """Take a document from each line.

        Raises:
            DataError: a line is not JSON, or too large.
        """
        start = file.tell()
        for block in self._blocks(file):
            if not self._observations(block):
                place = start
                for line in block.split(b"\n"):
                    if line and not line.isspace():
                        self._document(line, place)
                    place += len(line) + 1
            start += len(block)
            self._asked.advance(len(block))
            yield

    def _blocks(self, file: IO[bytes]) -> Iterator[bytes]:
        """Whole lines, about ``CHUNK`` at a time."""
        parts: list[bytes] = []
        while chunk := file.read(CHUNK):
            cut = chunk.rfind(b"\n") + 1
            if cut:
                yield b"".join([*parts, chunk[:cut]])
                parts = []
            parts.append(chunk[cut:])
            self._refuse_large(len(parts) * CHUNK)
        yield b"".join(parts)

    def _refuse_large(self, size: int) -> None:
        if size > LARGEST:
            raise DataError(
                f"{self._path}: one JSON document has more than {LARGEST >> 20} MB; export NDJSON, with a resource on "
                "each line"
            )

    def _observations(self, block: bytes) -> bool:
        """Take lines that all are observations, as most of those in a bulk export are; else take none."""
        try:
            found = _observation.decode_lines(block)
        except NOT_JSON:
            return False
        if {one.resourceType for one in found} - {"Observation"}:
            return False
        take = self.readings.observation
        for one in found:
            take(one)
        self.counts["Observation"] += len(found)
        return True

    def _document(self, text: bytes, start: int | None) -> None:
        """Take a document: the whole file, or the line of it that starts at a byte."""
        try:
            self._resource(text, "")
        except msgspec.ValidationError as error:
            self._invalid(error)
        except NOT_JSON as error:
            place = "" if start is None else f"line {_line_at(self._path, start)}, "
            what = f"{place}not valid JSON: {error}"
            raise DataError(f"{self._path}: {what}; the export may be cut off, export it again") from None

    def _resource(self, text: bytes | msgspec.Raw, address: str) -> None:
        kind = _kind(text).resourceType
        self.counts[kind or "not a resource"] += 1
        if kind == "Observation":
            self.readings.observation(_observation.decode(text))
        elif kind == "Condition":
            self.readings.condition(_condition(text))
        elif kind == "Patient":
            self.readings.patient(_patient(text), address)
        elif kind == "Bundle":
            self._entries(_bundle(text))

    def _entries(self, bundle: Bundle) -> None:
        """Patients first: the others point to them by addresses that hold in the Bundle alone."""
        for entry in sorted(bundle.entry, key=lambda entry: not _is_patient(entry.resource)):
            try:
                self._resource(entry.resource, entry.fullUrl)
            except msgspec.ValidationError as error:
                self._invalid(error)

    def _invalid(self, error: msgspec.ValidationError) -> None:
        self._asked.tally.drop("not valid FHIR", 1, f"{self._path.name}: {error}")


def _line_at(path: Path, start: int) -> int:
    """The number of the line that starts at a byte, from 1."""
    with path.open("rb") as file:
        return 1 + sum(file.read(min(CHUNK, start - place)).count(b"\n") for place in range(0, start, CHUNK))


def _is_patient(text: msgspec.Raw) -> bool:
    try:
        return _kind(text).resourceType == "Patient"
    except msgspec.ValidationError:
        return False
