"""The values in FHIR observations: quantities with a unit, coded answers, plain numbers."""

from collections.abc import Mapping

from fedhealth.data.imports.asked import Asked
from fedhealth.data.imports.concepts import concepts_of
from fedhealth.data.imports.fhir_codes import SMOKING, UCUM
from fedhealth.data.imports.fhir_resources import CodeableConcept, Component, Quantity
from fedhealth.data.imports.raw import NO_VALUE
from fedhealth.data.imports.units import conversion, spelled


class Values:
    """Reads values, and counts those that cannot be used."""

    def __init__(self, asked: Asked) -> None:
        self._tally = asked.tally
        self._units: dict[tuple[str, str, str, str], str | None] = {}
        self._levels = {
            concept.name: {**f.values, **f.codes}
            for f in asked.features
            if f.kind != "number"
            for concept in concepts_of(f)
        }

    def of(self, name: str, part: Component) -> tuple[float | None, str]:
        """Value and unit of what is called ``name``; None, and counted, where there is none that can be used."""
        if part.valueQuantity is not None:
            return self._quantity(name, part.valueQuantity)
        if part.valueCodeableConcept is not None:
            answer = self._coded(name, part.valueCodeableConcept)
            return answer, NO_VALUE if answer is None else "1"
        plain = part.valueInteger if part.valueInteger is not None else part.valueBoolean
        if plain is None:
            self._tally.drop("without a value", 1, name)
            return None, NO_VALUE
        return plain, "1"

    def _quantity(self, name: str, found: Quantity) -> tuple[float | None, str]:
        if found.value is None:
            self._tally.drop("without a value", 1, name)
            return None, NO_VALUE
        if found.comparator:
            self._tally.drop("not an exact value", 1, f"{name} {found.comparator} {found.value:g}")
            return None, NO_VALUE
        told = (name, found.unit, found.system, found.code)
        if told not in self._units:
            self._units[told] = _unit(name, found)
        unit = self._units[told]
        if unit is None:
            self._tally.drop("unit and its code differ", 1, f"{name} in {found.unit!r} and {found.code!r}")
            return None, NO_VALUE
        return found.value, unit

    def _coded(self, name: str, found: CodeableConcept) -> float | None:
        levels: Mapping[str, float | None] = SMOKING if name == "smoker" else self._levels.get(name, {})
        word = next((word for word in found.words() if word in levels), None)
        value = None if word is None else levels[word]
        if value is None:
            reason = "answer not understood" if word is None else "not known"
            self._tally.drop(reason, 1, f"{name}: {', '.join(w for w in found.words() if w)}")
        return value


def _unit(name: str, found: Quantity) -> str | None:
    """The unit of a quantity: its UCUM code, else as written; None where the two mean different amounts."""
    code = found.code if found.system in ("", UCUM) else ""
    same = conversion(found.unit, code) if found.unit and code else None
    if same is not None and abs(same.factor - 1) > 1e-9:
        return None
    # LOINC 41950-7 counts the steps of 24 hours, so that a unit need not say it again.
    unit = code or found.unit
    return f"{spelled(unit)}/d" if name == "daily_steps" and conversion(unit, "{steps}") else unit
