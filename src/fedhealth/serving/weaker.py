"""For whom the model does worse than it could, in words for the people themselves."""

from collections.abc import Mapping
from typing import Any

from fedhealth.study import Study
from fedhealth.study.advice.groups import people_of
from fedhealth.study.advice.texts import say


def weaker_groups(study: Study, facts: Mapping[str, Any]) -> list[str] | None:
    """Groups that a model of their own node alone would serve better; None where evaluation looked at no group."""
    nodes, groups = facts.get("nodes") or [], facts.get("subgroups") or []
    titles = {node["name"]: node["title"] for node in nodes}
    whole = [say("group.place", place=node["title"]) for node in nodes if node["better_alone"]]
    people = people_of(study)
    parts = [
        say("group.at", people=people.get(group["name"], group["name"]), place=titles.get(node, node))
        for group in groups
        for node in group["better_alone"]
    ]
    return [*whole, *parts] if whole or groups else None
