"""What the resources of a FHIR record say, as readings."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.concepts import concepts_of
from fedhealth.data.imports.fhir_codes import LOINC, OBSERVATIONS, SMOKING, UCUM, is_chronic
from fedhealth.data.imports.fhir_resources import (
    CodeableConcept,
    Codes,
    Component,
    Condition,
    Observation,
    Patient,
    Quantity,
)
from fedhealth.data.imports.records import RAW
from fedhealth.data.imports.times import EPOCH_DAY, UNDATED, days_since_epoch
from fedhealth.data.imports.units import conversion

TOLD = ("final", "amended", "corrected", "preliminary")  # an observation's status
NOT_SO = ("entered-in-error", "refuted")  # a condition's verification
OVER = ("inactive", "remission", "resolved")  # a condition's clinical status
SEXES = {"male": 1.0, "female": 0.0}
ORDER = {concept: place for place, concept in enumerate(OBSERVATIONS.values())}


class Readings:
    """Raw readings, gathered resource by resource; as columns, since a tuple each would busy the garbage collector."""

    def __init__(self, file: str, asked: Asked) -> None:
        self._columns: dict[str, list[Any]] = {name: [] for name in RAW}
        self._appends = [cells.append for cells in self._columns.values()]
        self._file, self._asked, self._tally = file, asked, asked.tally
        self._names = {code: name for code, name in OBSERVATIONS.items() if name in asked.concepts}
        self._names |= {name: name for name in asked.concepts}
        self._addresses: dict[str, str | None] = {}
        self._units: dict[tuple[str, str, str], str | None] = {}
        self._levels = {
            concept.name: {level: float(i) for i, level in enumerate(f.levels)} | dict(f.codes)
            for f in asked.features
            if f.kind != "number"
            for concept in concepts_of(f)
        }

    def __len__(self) -> int:
        return len(self._columns["value"])

    def taken(self) -> pl.DataFrame:
        """What was gathered since the last call."""
        found = pl.DataFrame([pl.Series(name, cells, RAW[name]) for name, cells in self._columns.items()])
        for cells in self._columns.values():
            cells.clear()
        return found

    def _add(
        self, person: str, name: str, start: str | None, end: str | None, value: float, unit: str, own: str | None,
        city: str | None = None,
    ) -> None:  # fmt: skip
        add_person, add_city, add_name, add_start, add_end, add_value, add_unit, add_source, add_own = self._appends
        add_person(person)
        add_city(self._asked.city or city)
        add_name(name)
        add_start(start)
        add_end(end)
        add_value(value)
        add_unit(unit)
        add_source(self._file)
        add_own(own)

    def observation(self, found: Observation) -> None:
        """Take what was measured, part by part."""
        name = self._concept(found.code)
        parts: list[tuple[str, Component]] = [(name, found)] if name else []
        if found.component:
            parts += [(inner, part) for part in found.component if (inner := self._concept(part.code))]
        if not parts:
            return
        if found.status not in TOLD:
            self._tally.drop("withdrawn, or not yet measured", len(parts), f"status {found.status!r}")
            return
        person = self._person(found.subject.reference)
        if person is None:
            self._tally.drop("not about a patient", len(parts), found.subject.reference or "no subject")
            return
        start, end = found.span
        own = None if found.id is None else f"{person} {found.id}"
        for name, part in parts:
            value, unit = self._value(name, part)
            if value is not None:
                self._add(person, name, start, end, value, unit, own)

    def condition(self, found: Condition) -> None:
        """Take whether a condition is a chronic disease, from its beginning to its end."""
        if "chronic" not in self._asked.concepts:
            return
        person = self._person(found.subject.reference)
        start, end = found.span
        if person is None:
            self._tally.drop("not about a patient", 1, found.subject.reference or "no subject")
        elif any(word in NOT_SO for word in found.verificationStatus.words()):
            self._tally.drop("refuted, or entered in error", 1, found.code.text)
        elif end is None and any(word in OVER for word in found.clinicalStatus.words()):
            self._tally.drop("over, but since when is not told", 1, found.code.text)
        else:
            ill = float(any(is_chronic(coding.system, coding.code) for coding in found.code.coding))
            own = None if found.id is None else f"{person} {found.id}"
            self._add(person, "chronic", _day(start), _day(end), ill, "1", own)

    def patient(self, found: Patient, address: str) -> None:
        """Take birth date, sex and city; ``address`` is what other entries of the Bundle call the patient."""
        person = found.id or address.rpartition("/")[2].rpartition(":")[2]
        if address and person:
            self._addresses[address] = person
        facts = {
            "birth_date": (days_since_epoch(found.birthDate), EPOCH_DAY),
            "sex": (SEXES.get(found.gender), "1"),
        }
        city = next((one.city for one in found.address if one.city), None)
        for name, (value, unit) in facts.items():
            if person and value is not None and name in self._asked.concepts:
                self._add(person, name, UNDATED, None, value, unit, None, city)

    def _person(self, reference: str) -> str | None:
        """Whom a reference means; whom the import was told where it names no one; None for what is no patient."""
        if not reference:
            return self._asked.person
        if reference not in self._addresses:
            self._addresses[reference] = _named(reference)
        return self._addresses[reference]

    def _concept(self, code: Codes) -> str | None:
        """What a code means among what is wanted; of several the most exact."""
        names = [self._names[one.code] for one in code.coding if one.code in self._names and one.system == LOINC]
        if len(names) > 1:
            names.sort(key=lambda name: ORDER.get(name, len(ORDER)))
        return names[0] if names else None

    def _value(self, name: str, part: Component) -> tuple[float | None, str]:
        """Value and unit; None, and counted, where there is none that can be used."""
        if part.valueQuantity is not None:
            return self._quantity(name, part.valueQuantity)
        if part.valueCodeableConcept is not None:
            return self._coded(name, part.valueCodeableConcept), "1"
        plain = part.valueInteger if part.valueInteger is not None else part.valueBoolean
        if plain is None:
            self._tally.drop("without a value", 1, name)
        return (None if plain is None else float(plain)), "1"

    def _quantity(self, name: str, found: Quantity) -> tuple[float | None, str]:
        if found.value is None:
            self._tally.drop("without a value", 1, name)
            return None, ""
        if found.comparator:
            self._tally.drop("not an exact value", 1, f"{name} {found.comparator} {found.value:g}")
            return None, ""
        told = (found.unit, found.system, found.code)
        if told not in self._units:
            self._units[told] = _unit(found)
        unit = self._units[told]
        if unit is None:
            self._tally.drop("unit and its code differ", 1, f"{name} in {found.unit!r} and {found.code!r}")
            return None, ""
        # LOINC 41950-7 counts the steps of 24 hours, so that a unit need not say it again.
        return found.value, "{steps}/d" if name == "daily_steps" and conversion(unit, "{steps}") else unit

    def _coded(self, name: str, found: CodeableConcept) -> float | None:
        levels: Mapping[str, float | None] = SMOKING if name == "smoker" else self._levels.get(name, {})
        word = next((word for word in found.words() if word in levels), None)
        value = None if word is None else levels[word]
        if value is None:
            reason = "answer not understood" if word is None else "not known"
            self._tally.drop(reason, 1, f"{name}: {', '.join(w for w in found.words() if w)}")
        return value


def _named(reference: str) -> str | None:
    """The patient in a reference: the last part of it."""
    if reference.startswith("urn:"):
        return reference.rpartition(":")[2]
    parts = reference.partition("/_history")[0].split("/")
    return parts[-1] if len(parts) > 1 and parts[-2] == "Patient" and parts[-1] else None


def _unit(found: Quantity) -> str | None:
    """The unit of a quantity: its UCUM code, else as written; None where the two mean different amounts."""
    code = found.code if found.system in ("", UCUM) else ""
    if not code:
        return found.unit
    same = conversion(found.unit, code) if found.unit else None
    return None if same is not None and abs(same.factor - 1) > 1e-9 else code


def _day(text: str | None) -> str | None:
    """A date whose day, or month, is not told as its middle."""
    if text is None or len(text) > len("YYYY-MM"):
        return text
    return text + ("-15" if len(text) == len("YYYY-MM") else "-07-01")
