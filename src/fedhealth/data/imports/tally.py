"""Counts of what an import read, kept, dropped and why."""

from collections import Counter
from dataclasses import dataclass, field

from fedhealth.data.files import printable


@dataclass
class Tally:
    """Readings and rows, counted while they pass; every reading that is not kept has a reason.

    Attributes:
        rows: what was found by file, in the file's own terms: ``{"export.xml": {"StepCount": 3980}}``.
        kept: readings by concept.
        dropped: readings by reason.
        examples: the first reading that was dropped for each reason, in words.
        converted: readings by change of unit, such as ``spo2: 1 to %``.
        offsets: readings by offset from UTC, such as ``+05:00``; ``none`` where the file names no zone.
        unusable: days whose readings are too few for a value, or give one that is not plausible, by which and why.
    """

    rows: dict[str, Counter[str]] = field(default_factory=dict)
    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    converted: Counter[str] = field(default_factory=Counter)
    offsets: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)

    def found(self, file: str, what: str, count: int = 1) -> None:
        """Count rows of ``file``."""
        if count:
            self.rows.setdefault(printable(file), Counter())[printable(what)] += count

    def drop(self, reason: str, count: int = 1, example: str = "") -> None:
        """Count readings that are not kept."""
        if count:
            self.dropped[reason] += count
            self.examples.setdefault(reason, printable(example))
