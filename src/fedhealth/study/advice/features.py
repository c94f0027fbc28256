"""Features in words: names, units and groups of people, from the catalogue, else from the study."""

from fedhealth.study.advice.texts import find, say
from fedhealth.study.schema import Feature


def title_of(feature: Feature) -> str:
    """The catalogue's name of a feature, else the study's."""
    return find(f"feature.{feature.name}.title") or feature.title


def name_of(feature: Feature) -> str:
    """What a feature is called inside a sentence: the catalogue's name, else its title in small letters."""
    return find(f"feature.{feature.name}.name") or title_of(feature).lower()


def unit_of(feature: Feature) -> str:
    """A feature's unit as people write it: the catalogue's word for the feature or for the UCUM code, else the code."""
    own = find(f"feature.{feature.name}.unit")
    shown = find(f"unit.{feature.unit}") if own is None else own
    return feature.unit if shown is None else shown


def options_of(feature: Feature) -> tuple[str, ...]:
    """The words to choose from for a flag (0 first) or a category."""
    if feature.kind == "category":
        return feature.levels
    words = (find(f"feature.{feature.name}.zero"), find(f"feature.{feature.name}.one"))
    return (words[0] or say("words.no"), words[1] or say("words.yes"))


def group_of(feature: Feature, value: float) -> str:
    """What people of that value have, as in ``4,500 steps a day``, ``6 hours of sleep`` or ``no smoking``."""
    if feature.kind != "number":
        word = "one" if value else "zero"
        return find(f"feature.{feature.name}.group_{word}") or f"{title_of(feature)}: {options_of(feature)[int(value)]}"
    number = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
    group = find(f"feature.{feature.name}.group")
    return group.format(value=number) if group else f"{number} {unit_of(feature)}".strip()
