"""Safety rules: limits on single readings, read from a file, that need no model and no API.

The limits follow the red scores of the UK's National Early Warning Score (NEWS2), with oxygen one point more careful.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from fedhealth.study.advice.texts import find, say


@dataclass(frozen=True)
class Rule:
    """One limit: it is raised by a reading ``at_most`` or ``at_least`` so high, in the feature's own unit."""

    name: str
    feature: str
    at_most: float | None = None
    at_least: float | None = None

    def raised_by(self, reading: float | None) -> bool:
        """Whether a reading is at or past the limit; one that is not given never is."""
        if reading is None:
            return False
        too_low = self.at_most is not None and reading <= self.at_most
        return too_low or (self.at_least is not None and reading >= self.at_least)

    @property
    def limit(self) -> float:
        """The limit itself."""
        return next(limit for limit in (self.at_most, self.at_least) if limit is not None)


@dataclass(frozen=True)
class Safety:
    """All rules, who approved them (empty: nobody yet), and whom to call."""

    approved_by: str
    emergency_number: str
    emergency_place: str
    rules: tuple[Rule, ...]

    def raised(self, readings: Mapping[str, float | None]) -> list[Rule]:
        """The rules that a person's readings raise."""
        return [rule for rule in self.rules if rule.raised_by(readings.get(rule.feature))]

    def words(self, rule: Rule, reading: float) -> str:
        """What to do about a reading that raises a rule."""
        key = f"safety.{rule.name}" if find(f"safety.{rule.name}") else "safety.other"
        return say(key, value=f"{reading:g}", limit=f"{rule.limit:g}", number=self.emergency_number)

    @property
    def approval(self) -> str:
        """Who answers for the limits, or that nobody does yet."""
        key = "safety.approved" if self.approved_by else "safety.unapproved"
        return say(key, who=self.approved_by, number=self.emergency_number, place=self.emergency_place)


def load_safety() -> Safety:
    """The rules in the file that ``FEDHEALTH_SAFETY`` names, else those that come with FedHealth.

    Raises:
        ValueError: the file cannot be read, is not TOML, a key is missing or unknown, or a rule has not exactly one
            limit; names the file and says which.
    """
    named = os.environ.get("FEDHEALTH_SAFETY")
    file = Path(named) if named else resources.files("fedhealth.study.advice") / "safety.toml"
    try:
        raw: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        rules = tuple(_rule(one) for one in raw.pop("rule"))
        return Safety(rules=rules, **raw)
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error).removeprefix("Rule.__init__() ")
        raise ValueError(f"FEDHEALTH_SAFETY: {file}: {why}; expected rules in the form of safety.toml") from None


def _rule(raw: Mapping[str, Any]) -> Rule:
    rule = Rule(**raw)
    if (rule.at_most is None) == (rule.at_least is None):
        raise ValueError(f"safety rule {rule.name!r}: expected one of at_most and at_least")
    return rule
