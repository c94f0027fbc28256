"""When a disease in a FHIR record began and ended, and whether it is said to be so."""

from fedhealth.data.imports.fhir_codes import is_chronic, is_infarction
from fedhealth.data.imports.fhir_resources import Condition, Quantity
from fedhealth.data.imports.times import UNDATED, date_of, days_since_epoch
from fedhealth.data.imports.units import conversion

NOT_SO = ("entered-in-error", "refuted")  # a condition's verification
OVER = ("inactive", "remission", "resolved")  # a condition's clinical status
OLDEST = 130 * 365.25  # days


def said_not_so(found: Condition) -> bool:
    """Whether the record says that there is no such disease."""
    return any(word.lower() in NOT_SO for word in found.verificationStatus.words())


def in_doubt(found: Condition) -> bool:
    """Whether the disease is but suspected."""
    words = [word.lower() for word in found.verificationStatus.words() if word]
    return bool(words) and "confirmed" not in words


def chronic(found: Condition) -> float | None:
    """1 for a chronic disease of heart or lungs, 0 for any other; None where no code says which it is."""
    known = [is_chronic(coding.system, coding.code) for coding in found.code.coding]
    return 1.0 if True in known else 0.0 if False in known else None


def first_day(found: Condition, born: float | None) -> str:
    """When it began: as told, by date or by age; where nothing is told, when it was recorded; else it was always so.

    ``born`` is the birth date as days since 1970-01-01.
    """
    told = found.onsetDateTime or found.onsetPeriod.start
    age = found.onsetAge or found.onsetRange.low
    if told or age or found.onsetString:
        return _day(told) or _day_of_age(age, born) or UNDATED
    return _day(found.recordedDate) or UNDATED


def last_day(found: Condition) -> str | None:
    """When it was over, if that is told; an infarction of the heart leaves disease, which is not over."""
    return None if _lasts(found) else _day(_abated(found))


def is_over(found: Condition) -> bool:
    """Whether it is over, be it known since when or not."""
    said = bool(_abated(found)) or any(word in OVER for word in found.clinicalStatus.words())
    return said and not _lasts(found)


def _abated(found: Condition) -> str | None:
    return found.abatementDateTime or found.abatementPeriod.end or found.abatementPeriod.start


def _lasts(found: Condition) -> bool:
    return any(is_infarction(coding.code) and is_chronic(coding.system, coding.code) for coding in found.code.coding)


def _day(text: str | None) -> str | None:
    """The day of a date or time; a day or month that is not told is the middle one; None where it is no date."""
    days = days_since_epoch((text or "")[: len("YYYY-MM-DD")])
    return None if days is None else date_of(days)


def _day_of_age(age: Quantity | None, born: float | None) -> str | None:
    if age is None or age.value is None or born is None:
        return None
    found = conversion(age.code or age.unit, "d")
    days = found.factor * age.value if found else -1
    return date_of(born + days) if 0 <= days <= OLDEST else None
