"""The model that was just trained beside the one that is served, on the same held-out rows of every node."""

from collections.abc import Collection, Mapping
from typing import Any

from fedhealth.federation import (
    Contribution,
    Exchange,
    Replies,
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

    Three questions to every node: ``evaluate`` for each model, then ``compare``. It is about the nodes that answer all
    three; None where none does. Of subgroups there are the metrics alone.

    Raises:
        PolicyRefusal: a node's policy does not allow it.
    """
    found, other, compared = _answers(study, exchange, model, champion)
    if not compared:
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


def _answers(study: Study, exchange: Exchange, model: RiskModel, champion: RiskModel) -> tuple[Replies, ...]:
    """The replies to the three questions of the nodes that answer all.

    Ranks are among the rows of all nodes that answer, so ``compare`` is asked again without a node that does not.
    """
    found, other = evaluate(study, exchange, model), evaluate(study, exchange, champion)
    compared: Replies = {name: reply for name, reply in found.items() if name in other}
    while True:
        names = compared.keys()
        found, other = _of(names, found), _of(names, other)
        compared = _of(names, exchange("compare", question(model, champion, found, other))) if names else {}
        if compared.keys() == names:
            return found, other, compared


def _of(names: Collection[str], replies: Replies) -> Replies:
    return {name: reply for name, reply in replies.items() if name in names}
