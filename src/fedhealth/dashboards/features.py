"""The study's features as a form shows them: from the API's model, else from the built-in study."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fedhealth.study import DEFAULT_STUDY, Feature, Study, load_study


@dataclass(frozen=True)
class Subject:
    """What is predicted from what; ``version`` is empty where no model is in force."""

    features: tuple[Feature, ...]
    outcome: str
    window_days: int
    version: str = ""
    published: str = ""
    synthetic: bool | None = None
    synthetic_nodes: tuple[str, ...] = ()
    weaker_groups: tuple[str, ...] | None = None


def built_in() -> Study:
    """The study that the pages fall back on, which also names the cities."""
    return load_study(DEFAULT_STUDY)


def without_model() -> Subject:
    """The form can be filled in, and the safety rules and the guidance work, with no model at all."""
    study = built_in()
    return Subject(study.features, study.outcome.title, study.outcome.window_days)


def of_model(model: Mapping[str, Any]) -> Subject:
    """What ``GET /model`` describes.

    Raises:
        KeyError, TypeError, ValueError: the description lacks something or is of another form.
    """
    weaker = model.get("weaker_groups")
    return Subject(
        tuple(_feature(one) for one in model["features"]),
        str(model["outcome"]["title"]),
        int(model["outcome"]["window_days"]),
        str(model["model_version"]),
        str(model.get("published") or ""),
        model.get("synthetic"),
        tuple(str(name) for name in model.get("synthetic_nodes") or ()),
        None if weaker is None else tuple(str(group) for group in weaker),
    )


def _feature(raw: Mapping[str, Any]) -> Feature:
    known = {f.name for f in fields(Feature)}
    given = {name: value for name, value in raw.items() if name in known}
    given["levels"] = tuple(given.get("levels") or ())
    if isinstance(given.get("example"), str):
        given["example"] = float(given["levels"].index(given["example"]))
    return Feature(**given)


def step_of(feature: Feature) -> float:
    """By how much a number changes at a press: a hundred, one or a half, by the size of its range."""
    span = feature.high - feature.low
    return 100.0 if span > 5000 else 0.5 if span <= 30 else 1.0
