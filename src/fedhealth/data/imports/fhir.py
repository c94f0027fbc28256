"""FHIR R4: a Bundle or one resource as JSON, or NDJSON with a resource on each line (as bulk exports write)."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec
import polars as pl

from fedhealth.data.files import DataError
from fedhealth.data.imports.asked import BATCH, Asked, raw
from fedhealth.data.imports.fhir_readings import Readings
from fedhealth.data.imports.fhir_resources import Bundle, Condition, Entry, Kind, Observation, Patient

LARGEST = 512 << 20  # bytes of a Bundle or a line, which are read whole
BOM = b"\xef\xbb\xbf"
_bundle = msgspec.json.Decoder(Bundle).decode
_condition = msgspec.json.Decoder(Condition).decode
_kind = msgspec.json.Decoder(Kind).decode
_observation = msgspec.json.Decoder(Observation).decode
_patient = msgspec.json.Decoder(Patient).decode


def read_fhir(path: Path, asked: Asked) -> Iterator[pl.DataFrame]:
    """Readings of the observations, conditions and patients in a file; other resources are counted and left out.

    Raises:
        DataError: the JSON is broken (and where), or one document is too large to be read whole.
    """
    resources = _Resources(path, asked)
    with path.open("rb") as file:
        for text, place in _documents(path, file):
            resources.add(text, place)
            asked.advance(len(text))
            if len(resources.readings.rows) >= BATCH:
                yield raw(resources.readings.taken())
    yield raw(resources.readings.taken())
    for kind, count in resources.counts.most_common():
        asked.tally.found(path.name, kind, count)


def _documents(path: Path, file: IO[bytes]) -> Iterator[tuple[bytes, str]]:
    """The JSON documents of a file, and in words where each begins: one a line if the first line is a whole one."""
    first = file.readline(LARGEST + 1)
    try:
        _kind(first.removeprefix(BOM))
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        rest = file.read(LARGEST + 1 - len(first))
        _refuse_large(path, first + rest)
        yield first.removeprefix(BOM) + rest, ""
        return
    yield first.removeprefix(BOM), "line 1, "
    number = 1
    while line := file.readline(LARGEST + 1):
        _refuse_large(path, line)
        number += 1
        if not line.isspace():
            yield line, f"line {number}, "


def _refuse_large(path: Path, text: bytes) -> None:
    if len(text) > LARGEST:
        raise DataError(
            f"{path}: one JSON document has more than {LARGEST >> 20} MB; export NDJSON, with a resource on each line"
        )


class _Resources:
    """Parses documents one after another and passes on what is read; counts resources by type."""

    def __init__(self, path: Path, asked: Asked) -> None:
        self.readings = Readings(path.name, asked)
        self.counts: Counter[str] = Counter()
        self._path, self._asked = path, asked

    def add(self, text: bytes, place: str) -> None:
        """Take one document.

        Raises:
            DataError: it is not JSON.
        """
        try:
            self._resource(text, Entry())
        except msgspec.ValidationError as error:
            self._invalid(error)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DataError(
                f"{self._path}: {place}not valid JSON: {error}; the export may be cut off, export it again"
            ) from None

    def _resource(self, text: bytes | msgspec.Raw, entry: Entry) -> None:
        """Observations, of which there are most, are tried first."""
        try:
            observation = _observation(text)
            kind = observation.resourceType
        except msgspec.ValidationError:
            observation, kind = None, _kind(text).resourceType
        self.counts[kind or "not a resource"] += 1
        if kind == "Observation":
            self.readings.observation(observation or _observation(text))
        elif kind == "Condition":
            self.readings.condition(_condition(text))
        elif kind == "Patient":
            self.readings.patient(_patient(text), entry.fullUrl)
        elif kind == "Bundle":
            self._entries(_bundle(text))

    def _entries(self, bundle: Bundle) -> None:
        """Patients first: the others point to them by addresses that hold in the Bundle alone."""
        entries = [(entry, entry.resource) for entry in bundle.entry if entry.resource is not None]
        for entry, text in sorted(entries, key=lambda found: not _is_patient(found[1])):
            try:
                self._resource(text, entry)
            except msgspec.ValidationError as error:
                self._invalid(error)

    def _invalid(self, error: msgspec.ValidationError) -> None:
        self._asked.tally.drop("not valid FHIR", 1, f"{self._path.name}: {error}")


def _is_patient(text: msgspec.Raw) -> bool:
    try:
        return _kind(text).resourceType == "Patient"
    except msgspec.ValidationError:
        return False
