"""Other people's readings: groups that differ in what a person can change, never a promise of what a change does."""

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources

from fedhealth.study.advice.features import group_of
from fedhealth.study.advice.risk import Risk
from fedhealth.study.advice.texts import listed, say
from fedhealth.study.schema import Feature


@cache
def reach() -> dict[str, dict[str, float]]:
    """Lowest, highest and step of what is compared, by feature name: where people of the training data commonly are."""
    return tomllib.loads((resources.files("fedhealth.study.advice") / "reach.toml").read_text(encoding="utf-8"))


def can_be_compared(feature: Feature) -> bool:
    """Whether a person can change the feature, and it is known how far to compare."""
    return feature.changeable and (feature.kind != "number" or feature.name in reach())


def other_values(feature: Feature, own: float) -> list[float]:
    """Values of other groups: every other one of a flag or category, both ends and the middle of a number's reach."""
    if feature.kind != "number":
        return [float(i) for i in range(int(feature.high) + 1) if i != own]
    low, high, step = (reach()[feature.name][name] for name in ("low", "high", "step"))
    middle = low + round((high - low) / 2 / step) * step
    return [value for value in (low, middle, high) if value != own]


def people_with(group: Sequence[tuple[Feature, float]], risk: Risk) -> str:
    """The sentence about people who have these values and are otherwise alike, asterisks around what counts."""
    what = listed([group_of(feature, value) for feature, value in group])
    low, high = risk.span
    return say("compare.group", what=what, about=risk.about, low=low, high=high)
