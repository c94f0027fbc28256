"""The parts of FHIR R4 resources that an import reads; everything else in them is skipped.

FHIR R4 (HL7, 4.0.1): https://hl7.org/fhir/R4/observation.html, condition.html, patient.html, bundle.html.
"""

from collections.abc import Iterator

from msgspec import Raw, Struct, ValidationError, json


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


class Range(Struct, frozen=True, gc=False):
    """From a quantity to another."""

    low: Quantity | None = None


class Meta(Struct, frozen=True, gc=False):
    """About the record itself: when it was last changed."""

    lastUpdated: str | None = None


class Identifier(Struct, frozen=True, gc=False):
    """A number or name that a system gives to somebody."""

    system: str = ""
    value: str = ""

    @property
    def name(self) -> str:
        """The value with its system, which alone tells people apart."""
        return f"{self.system}|{self.value}"


class Contained(Struct, frozen=True, gc=False):
    """A resource inside of another, such as a patient of whom no more is known."""

    id: str = ""
    identifier: tuple[Identifier, ...] = ()


class Reference(Struct, frozen=True, gc=False):
    """Another resource: ``Patient/1``, an address that ends so, ``urn:uuid:...`` in a Bundle, ``#id`` in the record."""

    reference: str = ""
    display: str = ""
    identifier: Identifier = Identifier()


class Component(Struct, frozen=True, gc=False):
    """One of an observation's values, such as the systolic of a blood pressure."""

    code: Codes = Codes()
    valueQuantity: Quantity | None = None
    valueCodeableConcept: CodeableConcept | None = None
    valueInteger: float | None = None
    valueBoolean: bool | None = None


class Observation(Component, frozen=True, gc=False):
    """Something that was measured or told."""

    resourceType: str = ""
    id: str | None = None
    meta: Meta = Meta()
    contained: tuple[Raw, ...] = ()
    status: str = ""
    subject: Reference | None = None
    device: Reference = Reference()
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
    meta: Meta = Meta()
    contained: tuple[Raw, ...] = ()
    code: CodeableConcept = CodeableConcept()
    subject: Reference | None = None
    clinicalStatus: CodeableConcept = CodeableConcept()
    verificationStatus: CodeableConcept = CodeableConcept()
    onsetDateTime: str | None = None
    onsetPeriod: Period = Period()
    onsetAge: Quantity | None = None
    onsetRange: Range = Range()
    onsetString: str = ""
    abatementDateTime: str | None = None
    abatementPeriod: Period = Period()
    recordedDate: str | None = None


class Address(Struct, frozen=True, gc=False):
    """Where someone lives, or lived: ``use`` is then ``old``, or the period has an end."""

    city: str | None = None
    use: str = ""
    period: Period = Period()


class Patient(Struct, frozen=True, gc=False):
    """Whom records are about."""

    id: str | None = None
    meta: Meta = Meta()
    identifier: tuple[Identifier, ...] = ()
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


def inside(found: Observation | Condition, name: str) -> Contained:
    """The resource inside of a record that it calls ``name``; an empty one if there is none."""
    for one in found.contained:
        try:
            inner = json.decode(one, type=Contained)
        except ValidationError:
            continue
        if inner.id == name:
            return inner
    return Contained()
