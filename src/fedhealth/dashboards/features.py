"""The study's features as a form shows them: from the API's model, else from the built-in study."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fedhealth.dashboards.texts import find, say
from fedhealth.study import Feature, Study, load_study

STUDY = "health-risk"


@dataclass(frozen=True)
class Subject:
    """What is predicted from what; ``version`` is empty and ``threshold`` None where no model is in force."""

    features: tuple[Feature, ...]
    outcome: str
    window_days: int
    version: str = ""
    published: str = ""
    threshold: float | None = None
    synthetic: bool | None = None


def built_in() -> Study:
    """The study that the pages fall back on, which also names the cities."""
    return load_study(STUDY)


def without_model() -> Subject:
    """The form can be filled in, and the safety rules and the guidance work, with no model at all."""
    study = built_in()
    return Subject(study.features, study.outcome.title, study.outcome.window_days)


def of_model(model: Mapping[str, Any]) -> Subject:
    """What ``GET /model`` describes.

    Raises:
        KeyError, TypeError, ValueError: the description lacks something or is of another form.
    """
    return Subject(
        tuple(_feature(one) for one in model["features"]),
        str(model["outcome"]["title"]),
        int(model["outcome"]["window_days"]),
        str(model["model_version"]),
        str(model.get("published") or ""),
        float(model["threshold"]["value"]),
        model.get("synthetic"),
    )


def _feature(raw: Mapping[str, Any]) -> Feature:
    known = {f.name for f in fields(Feature)}
    given = {name: value for name, value in raw.items() if name in known}
    given["levels"] = tuple(given.get("levels") or ())
    if isinstance(given.get("example"), str):
        given["example"] = float(given["levels"].index(given["example"]))
    return Feature(**given)


def title_of(feature: Feature) -> str:
    """The catalogue's name of a feature, else the study's."""
    return find(f"feature.{feature.name}.title") or feature.title


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
    return (words[0] or say("form.no"), words[1] or say("form.yes"))


def group_of(feature: Feature, value: float) -> str:
    """What people of that value have, as in ``4,500 steps a day``, ``6 hours of sleep`` or ``no smoking``."""
    if feature.kind != "number":
        word = "one" if value else "zero"
        return find(f"feature.{feature.name}.group_{word}") or f"{title_of(feature)}: {options_of(feature)[int(value)]}"
    number = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
    group = find(f"feature.{feature.name}.group")
    return group.format(value=number) if group else f"{number} {unit_of(feature)}".strip()


def step_of(feature: Feature) -> float:
    """By how much a number changes at a press: a hundred, one or a half, by the size of its range."""
    span = feature.high - feature.low
    return 100.0 if span > 5000 else 0.5 if span <= 30 else 1.0
