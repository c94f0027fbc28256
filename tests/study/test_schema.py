import dataclasses
from typing import Any

import pytest

from fedhealth.study import Study, StudyError, load_study

NHANES = load_study("nhanes", "cvd")


def other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, tuple):
        return (*value, *value) if value else (7,)
    if isinstance(value, dict):
        return {**value, "other": 0.5}
    return f"{value} other"


def variants(study: Study) -> list[tuple[str, Study]]:
    """The study with each field changed: its own, and those of a feature, a node, an outcome and the source."""

    def change(part: Any, field: str) -> Any:
        return dataclasses.replace(part, **{field: other(getattr(part, field))})

    changed = [(f.name, change(study, f.name)) for f in dataclasses.fields(study) if f.name != "source"]
    for group in ("features", "nodes", "outcomes"):
        first, *rest = getattr(study, group)
        for f in dataclasses.fields(first):
            edited = dataclasses.replace(study, **{group: (change(first, f.name), *rest)})
            changed.append((f"{group}.{f.name}", edited))
    for f in dataclasses.fields(study.source):
        changed.append((f"source.{f.name}", dataclasses.replace(study, source=change(study.source, f.name))))
    return changed


@pytest.mark.parametrize(("field", "changed"), variants(NHANES))
def test_the_hash_changes_with_any_field(field, changed):
    assert len(NHANES.hash) == 64
    assert changed.hash != NHANES.hash, field


def test_the_hash_is_that_of_the_content():
    assert NHANES.hash == load_study("nhanes", "cvd").hash
    hashes = [load_study(name).hash for name in ("health-risk", "heart-disease", "nhanes")]
    assert len({*hashes, NHANES.hash}) == 4


@pytest.mark.parametrize(
    ("outcome", "gone"), [("fair-poor-health", set()), ("diabetes", {"diabetes_told", "hba1c"}),
                          ("cvd", {"heart_attack", "stroke"})]
)  # fmt: skip
def test_an_outcome_takes_its_leaks_out_of_the_study(outcome, gone):
    everything = {"diabetes_told", "hba1c", "heart_attack", "stroke", "bmi", "age"}
    study = load_study("nhanes", outcome)
    assert everything - set(study.names) == gone
    assert not any(gone & set(node.features) for node in study.nodes)
    assert [o.name for o in study.outcomes] == [outcome]
    assert study.outcome.leaks == ()


def test_the_first_outcome_is_the_default_and_choosing_again_changes_nothing():
    study = load_study("nhanes")
    assert study.outcome.name == "fair-poor-health"
    assert study.with_outcome("fair-poor-health") == study
    assert study.with_outcome(None) == study


def test_positions_follow_the_order_of_the_file():
    study = load_study("health-risk")
    assert [study.index(name) for name in study.names] == list(range(len(study.names)))
    assert study.node("node_2") is study.nodes[1]
    with pytest.raises(KeyError, match="feature 'pulse' is not in study 'health-risk'"):
        study.index("pulse")
    with pytest.raises(StudyError, match="node 'x' is not in study 'health-risk'; it has node_1, node_2, node_3"):
        study.node("x")


@pytest.mark.parametrize(
    ("study", "name", "words"),
    [
        ("health-risk", "heart_rate", "25 to 220 /min"),
        ("health-risk", "smoker", "0 or 1"),
        ("heart-disease", "st_slope", "one of rising, flat, falling"),
    ],
)
def test_allowed_values_in_words(study, name, words):
    loaded = load_study(study)
    assert loaded.features[loaded.index(name)].allowed == words
