"""A risk as counts of people: of 100 like you, about this many, with the range it could be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedhealth.study.advice.texts import say


@dataclass(frozen=True)
class Risk:
    """What ``POST /predict`` answered, in probabilities 0..1."""

    value: float
    low: float
    high: float
    missing: tuple[str, ...] = ()

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "Risk":
        """The answer's risk; KeyError or ValueError if it is of another form."""
        low, high = answer["risk_interval"]
        missing = tuple(answer.get("missing") or ())
        return cls(float(answer["risk_score"]), float(low), float(high), missing)

    @property
    def of_100(self) -> int:
        """How many of 100 people, rounded."""
        return round(100 * self.value)

    @property
    def about(self) -> str:
        """The count in words: never "0", which would promise, and never "100"."""
        return count(self.value)

    @property
    def span(self) -> tuple[str, str]:
        """The ends of the range, as counts."""
        return count(self.low), count(self.high)

    @property
    def is_wide(self) -> bool:
        """Whether the range covers more than half of all people, so that it says little."""
        return self.high - self.low > 0.5

    def overlaps(self, other: "Risk") -> bool:
        """Whether the two ranges have a point in common."""
        return self.low <= other.high and other.low <= self.high


def count(share: float) -> str:
    """A share of people as a count of 100."""
    people = round(100 * share)
    return {0: say("risk.under_one"), 100: say("risk.over_99")}.get(people, str(people))
