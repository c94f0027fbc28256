"""Groups of people in words: those that an evaluation tells apart, such as ``smoker = 1``."""

from itertools import pairwise

from fedhealth.study.advice.features import name_of, options_of, unit_of
from fedhealth.study.advice.texts import find, say
from fedhealth.study.schema import Feature, Study


def people_of(study: Study) -> dict[str, str]:
    """Who is in each group of the study, by the group's name: ``people whose age is 75 years or more``."""
    names = [name for _, group in study.groups for name in group]
    words = [who for cut in study.subgroups for who in _people(study.features[study.index(cut.feature)], cut.edges)]
    return dict(zip(names, [*words, *(say("group.city", city=city) for city in study.cities)], strict=True))


def _people(feature: Feature, edges: tuple[float, ...]) -> list[str]:
    """One group per band between ``edges``, or per level of a flag or category."""
    name = name_of(feature)
    if feature.kind != "number":
        own = [find(f"feature.{feature.name}.people_{word}") for word in ("zero", "one")]
        plain = [say("group.level", name=name, level=option) for option in options_of(feature)]
        return plain if feature.kind == "category" else [one or other for one, other in zip(own, plain, strict=True)]
    numbers, unit = [f"{edge:g}" for edge in edges], unit_of(feature)
    inner = [say("group.between", name=name, low=low, high=high, unit=unit) for low, high in pairwise(numbers)]
    first = say("group.under", name=name, high=numbers[0], unit=unit)
    last = say("group.over", name=name, low=numbers[-1], unit=unit)
    return [" ".join(words.split()) for words in (first, *inner, last)]
