"""The model that was just trained beside the one that is served, on the same held-out rows of every node."""

from collections.abc import Mapping
from typing import Any

from fedhealth.federation import (
    Contribution,
    Exchange,
    group_names,
    metrics,
    paired,
    question,
    subgroup,
    total,
)
from fedhealth.model import RiskModel
from fedhealth.runtime.experiment import evaluate
from fedhealth.study import Study


def beside_champion(study: Study, exchange: Exchange, model: RiskModel, champion: RiskModel) -> dict[str, Any] | None:
    """For the report: both models' metrics and their paired difference (``model`` minus ``champion``), by node and all.

    Three questions to every node: ``evaluate`` for each model, then ``compare``. None where not all the same nodes
    answered all three: ranks are among all their rows. Of subgroups there are the metrics alone.

    Raises:
        PolicyRefusal: a node's policy does not allow it.
    """
    found, other = evaluate(study, exchange, model), evaluate(study, exchange, champion)
    if found.keys() != other.keys():
        return None
    compared = exchange("compare", question(model, champion, found, other))
    if compared.keys() != found.keys():
        return None
    apart = paired(found, other, compared)
    groups = {"all": (total(found.values()), total(other.values()), apart.all)}
    groups |= {name: (found[name], other[name], apart.nodes[name]) for name in found}
    described = {
        name: {
            "model": metrics(mine).as_dict(),
            "champion": metrics(theirs).as_dict(),
            "difference": difference.as_dict(),
        }
        for name, (mine, theirs, difference) in groups.items()
    }
    nodes = [{"name": name, **one} for name, one in described.items() if name != "all"]
    return {"all": described["all"], "nodes": nodes, "subgroups": _subgroups(study, found, other)}


def _subgroups(
    study: Study, found: Mapping[str, Contribution], other: Mapping[str, Contribution]
) -> list[dict[str, Any]]:
    """Both models in each subgroup over the nodes that told; None: too few people everywhere."""
    return [
        {"name": name, "model": _within(place, found), "champion": _within(place, other)}
        for place, name in enumerate(group_names(study))
    ]


def _within(place: int, replies: Mapping[str, Contribution]) -> dict[str, Any] | None:
    together = total(subgroup(reply, place) for reply in replies.values())
    return metrics(together).as_dict() if together.rows else None
