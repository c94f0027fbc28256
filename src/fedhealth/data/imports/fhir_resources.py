"""The parts of FHIR R4 resources that an import reads; everything else in them is skipped.

FHIR R4 (HL7, 4.0.1): https://hl7.org/fhir/R4/observation.html, condition.html, patient.html, bundle.html.
"""

from collections.abc import Iterator

from msgspec import Raw, Struct


class Coding(Struct, frozen=True, gc=False):
    """A code of a system, such as LOINC."""

    system: str = ""
    code: str = ""
    display: str = ""


class Code(Struct, frozen=True, gc=False):
    """A code without its words."""

    system: str = ""
    code: str = ""


class Codes(Struct, frozen=True, gc=False):
    """What an observation is of."""

    coding: tuple[Code, ...] = ()


class CodeableConcept(Struct, frozen=True, gc=False):
    """What is meant, in one or more codes."""

    coding: tuple[Coding, ...] = ()
    text: str = ""

    def words(self) -> Iterator[str]:
        """Every code, its display, and the text."""
        for coding in self.coding:
            yield from (coding.code, coding.display)
        yield self.text


class Quantity(Struct, frozen=True, gc=False):
    """A value in ``unit`` (as people write it), whose ``code`` in ``system`` should say the same."""

    value: float | None = None
    comparator: str = ""
    unit: str = ""
    system: str = ""
    code: str = ""


class Period(Struct, frozen=True, gc=False):
    """From a time to another."""

    start: str | None = None
    end: str | None = None


class Reference(Struct, frozen=True, gc=False):
    """Another resource: ``Patient/1``, an address that ends so, or ``urn:uuid:...`` in a Bundle."""

    reference: str = ""


class Component(Struct, frozen=True, gc=False):
    """One of an observation's values, such as the systolic of a blood pressure."""

    code: Codes = Codes()
    valueQuantity: Quantity | None = None
    valueCodeableConcept: CodeableConcept | None = None
    valueInteger: int | None = None
    valueBoolean: bool | None = None


class Observation(Component, frozen=True, gc=False):
    """Something that was measured or told."""

    resourceType: str = ""
    id: str | None = None
    status: str = ""
    subject: Reference = Reference()
    effectiveDateTime: str | None = None
    effectiveInstant: str | None = None
    effectivePeriod: Period = Period()
    component: tuple[Component, ...] = ()

    @property
    def span(self) -> tuple[str | None, str | None]:
        """When it started, and when it ended if it lasted."""
        if self.effectiveDateTime:
            return self.effectiveDateTime, None
        return self.effectivePeriod.start or self.effectiveInstant, self.effectivePeriod.end


class Condition(Struct, frozen=True, gc=False):
    """A disease or problem that someone has or had."""

    id: str | None = None
    code: CodeableConcept = CodeableConcept()
    subject: Reference = Reference()
    clinicalStatus: CodeableConcept = CodeableConcept()
    verificationStatus: CodeableConcept = CodeableConcept()
    onsetDateTime: str | None = None
    onsetPeriod: Period = Period()
    abatementDateTime: str | None = None
    abatementPeriod: Period = Period()
    recordedDate: str | None = None

    @property
    def span(self) -> tuple[str | None, str | None]:
        """When it began (as far as told: when it was recorded), and when it was over."""
        began = self.onsetDateTime or self.onsetPeriod.start or self.recordedDate
        return began, self.abatementDateTime or self.abatementPeriod.end or self.abatementPeriod.start


class Address(Struct, frozen=True, gc=False):
    """Where someone lives."""

    city: str | None = None


class Patient(Struct, frozen=True, gc=False):
    """Whom records are about."""

    id: str | None = None
    birthDate: str = ""
    gender: str = ""
    address: tuple[Address, ...] = ()


class Kind(Struct, frozen=True, gc=False):
    """Any resource, of which only the type is looked at."""

    resourceType: str = ""


class Entry(Struct, frozen=True):
    """A resource in a Bundle, not yet parsed."""

    fullUrl: str = ""
    resource: Raw = Raw(b"null")


class Bundle(Struct, frozen=True):
    """Resources that travel together."""

    entry: tuple[Entry, ...] = ()
