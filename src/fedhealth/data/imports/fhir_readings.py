"""What the resources of a FHIR record say, as readings."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.fhir_codes import LOINC, OBSERVATIONS
from fedhealth.data.imports.fhir_conditions import chronic, first_day, in_doubt, is_over, last_day, said_not_so
from fedhealth.data.imports.fhir_resources import Codes, Component, Condition, Identifier, Observation, Patient, inside
from fedhealth.data.imports.fhir_values import Values
from fedhealth.data.imports.raw import NO_VALUE, RAW, in_columns
from fedhealth.data.imports.times import EPOCH_DAY, UNDATED, days_since_epoch, parse_times

TOLD = ("final", "amended", "corrected", "preliminary")  # an observation's status
SOURCE = "FHIR"  # of what no device is named for
SEXES = {"male": 1.0, "female": 0.0}
ORDER = {concept: place for place, concept in enumerate(OBSERVATIONS.values())}


class Readings:
    """Raw readings, gathered resource by resource."""

    def __init__(self, asked: Asked) -> None:
        self._cells: list[Any] = []  # of RAW, row after row
        self._asked, self._tally = asked, asked.tally
        self._names = {code: name for code, name in OBSERVATIONS.items() if name in asked.concepts}
        self._names |= {name: name for name in asked.concepts}
        self._addresses: dict[str, str | None] = {}
        self._values = Values(asked)

    def __len__(self) -> int:
        return len(self._cells) // len(RAW)

    def taken(self) -> pl.DataFrame:
        """What was gathered since the last call."""
        found = in_columns(self._cells, RAW)
        self._cells.clear()
        return found

    def _add(
        self, person: str, name: str | None, start: str | None, end: str | None, value: float | None, unit: str,
        source: str = SOURCE, own: str | None = None, updated: str | None = None, city: str | None = None,
    ) -> None:  # fmt: skip
        city = self._asked.city or city
        self._cells.extend((person, city, name, start, end, value, unit, source, own, updated))

    def observation(self, found: Observation) -> None:
        """Take what was measured, part by part."""
        if found.status not in TOLD:
            self._withdraw(found)
        name = self._concept(found.code)
        parts: list[tuple[str, Component]] = [(name, found)] if name else []
        if found.component:
            parts += [(inner, part) for part in found.component if (inner := self._concept(part.code))]
        if not parts:
            return
        if found.status not in TOLD:
            self._tally.drop("withdrawn, or not yet measured", len(parts), f"status {found.status!r}")
            return
        person = self._person(found)
        if person is None:
            self._tally.drop("not about a patient", len(parts), _subject(found))
            return
        start, end = found.span
        source, own = found.device.reference or found.device.display or SOURCE, _own(person, found)
        for name, part in parts:
            value, unit = self._values.of(name, part)
            if value is not None or own is not None:
                self._add(person, name, start, end, value, unit, source, own, found.meta.lastUpdated)

    def condition(self, found: Condition) -> None:
        """Take whether a condition is a chronic disease, from its beginning to its end."""
        if "chronic" not in self._asked.concepts:
            return
        person, end, value = self._person(found), last_day(found), chronic(found)
        if person is None:
            self._tally.drop("not about a patient", 1, _subject(found))
        elif said_not_so(found):
            self._tally.drop("refuted, or entered in error", 1, found.code.text)
            self._withdraw(found)
        elif value is None:
            self._unclear(person, found, value, "condition not understood")
        elif in_doubt(found):
            self._unclear(person, found, value, "not confirmed")
        elif end is None and is_over(found):
            self._unclear(person, found, value, "over, but since when is not told")
        else:
            born, _ = self._asked.births.get(person, (None, None))
            start = first_day(found, born)
            self._add(person, "chronic", start, end, value, "1", SOURCE, _own(person, found), found.meta.lastUpdated)

    def _unclear(self, person: str, found: Condition, value: float | None, reason: str) -> None:
        """Drop a condition; where it may be a chronic disease, that a person has none is not known either."""
        self._tally.drop(reason, 1, ", ".join(word for word in found.code.words() if word))
        if value == 0:
            self._withdraw(found)
        else:
            own, updated = _own(person, found), found.meta.lastUpdated
            self._add(person, "chronic", None, None, None, NO_VALUE, SOURCE, own, updated)

    def _withdraw(self, found: Observation | Condition) -> None:
        """Take back what was read of the same record before."""
        person = self._person(found)
        if person is not None and found.id is not None:
            own, updated = _own(person, found), found.meta.lastUpdated
            self._add(person, None, None, None, None, NO_VALUE, SOURCE, own, updated)

    def patient(self, found: Patient, address: str) -> None:
        """Take birth date, sex and city; ``address`` is what other entries of the Bundle call the patient."""
        person = found.id or address.rpartition("/")[2].rpartition(":")[2]
        if not person:
            return
        self._addresses.update((name, person) for name in (address, *(one.name for one in found.identifier)) if name)
        born, updated = days_since_epoch(found.birthDate), found.meta.lastUpdated
        if born is not None and not self._known_since(person, updated):
            self._asked.births[person] = born, updated
        city = next((one.city for one in found.address if one.city and one.use != "old" and not one.period.end), None)
        facts = {
            "birth_date": (born, EPOCH_DAY),
            "sex": (SEXES.get(found.gender), "1"),
            "city": (1.0 if city else None, "1"),
        }
        for name, (value, unit) in facts.items():
            if value is not None and name in self._asked.concepts:
                self._add(person, name, UNDATED, None, value, unit, SOURCE, f"{person} Patient", updated, city)

    def _known_since(self, person: str, updated: str | None) -> bool:
        """Whether the birth date was read in a version of the record that was changed later."""
        _, known = self._asked.births.get(person, (0.0, None))
        if known is None or updated is None:
            return known is not None
        then, now = parse_times(pl.Series([known, updated]), self._asked.zone)["utc"]
        return then is not None and (now is None or then > now)

    def _person(self, found: Observation | Condition) -> str | None:
        """Whom a record is about; whom the import was told where there is no subject; None for what is no patient."""
        if found.subject is None:
            return self._asked.person
        reference = found.subject.reference
        if reference in self._addresses:
            return self._addresses[reference]
        if not reference:
            return self._identified((found.subject.identifier,))
        if reference[0] == "#":
            return self._identified(inside(found, reference[1:]).identifier)
        self._addresses[reference] = _named(reference)
        return self._addresses[reference]

    def _identified(self, told: Iterable[Identifier]) -> str | None:
        """Who has an identifier: the patient that was read with it, else somebody of that name."""
        name = next((one.name for one in told if one.value), None)
        return None if name is None else self._addresses.get(name, name)

    def _concept(self, code: Codes) -> str | None:
        """What a code means among what is wanted; of several the most exact."""
        best = None
        for one in code.coding:
            name = self._names.get(one.code)
            if name is not None and one.system == LOINC and (best is None or _rank(name) < _rank(best)):
                best = name
        return best


def _rank(name: str) -> int:
    return ORDER.get(name, len(ORDER))


def _own(person: str, found: Observation | Condition) -> str | None:
    """What tells one record from all others."""
    return None if found.id is None else f"{person} {type(found).__name__} {found.id}"


def _subject(found: Observation | Condition) -> str:
    return "no subject" if found.subject is None else found.subject.reference or "a subject without a reference"


def _named(reference: str) -> str | None:
    """The patient in a reference: the last part of it."""
    if reference.startswith("urn:"):
        return reference.rpartition(":")[2]
    parts = reference.partition("/_history")[0].split("/")
    return parts[-1] if len(parts) > 1 and parts[-2] == "Patient" and parts[-1] else None
