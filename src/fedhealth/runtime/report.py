"""What a run's report says of every node and subgroup: how the global model does there, beside the node's own model."""

from typing import Any

from fedhealth.federation import (
    Contribution,
    Difference,
    Metrics,
    Replies,
    difference,
    group_names,
    metrics,
    subgroup,
    total,
)
from fedhealth.study import Study

WORSE_BY = 0.005  # of AUROC: from here a node is told that it would do better alone
WORSE_SHARE = 0.01  # of the local model's log loss: less is no loss to anybody


def served_worse(more: Difference, local: Metrics) -> bool:
    """Whether the global model serves people worse than their node's own: ``more`` is global minus ``local``.

    It does where the log loss is higher, by ``WORSE_SHARE`` or more, or the AUROC lower, each with its whole 95 %
    interval. Every comparison stands for itself: of forty equal ones about one is named by chance.
    """
    higher = more.log_loss_low > 0 and more.log_loss >= WORSE_SHARE * local.log_loss
    return bool(higher or more.auroc_high < 0)


def node_reports(study: Study, inventory: Replies, together: Replies, alone: Replies) -> list[dict[str, Any]]:
    """Each node: rows, features, metrics of the global and the local model, their difference.

    ``together`` and ``alone`` are the replies to ``evaluate`` and to ``local_baseline`` (or ``local_network``). A node
    as a whole is better off alone by :func:`served_worse`, and also from ``WORSE_BY`` of AUROC on.
    """
    return [_node(study, name, inventory[name], together[name], alone[name]) for name in together]


def _node(study: Study, name: str, inventory: Contribution, reply: Contribution, alone: Contribution) -> dict[str, Any]:
    together, local, more = metrics(reply), metrics(alone), difference(reply, alone, alone)
    return {
        "name": name,
        "title": study.node(name).title,
        "rows": inventory.rows,
        "features": [f for f, seen in zip(study.names, inventory["seen"], strict=True) if seen > 0],
        "local": local.as_dict(),
        "global": together.as_dict(),
        "difference": more.as_dict(),
        "better_alone": bool(local.auroc - together.auroc > WORSE_BY) or served_worse(more, local),
    }


def subgroup_reports(study: Study, together: Replies, alone: Replies) -> list[dict[str, Any]]:
    """Each subgroup: metrics of the global model over the nodes that told (None: too few people everywhere), by node.

    ``too_few`` names the nodes that told nothing, ``better_alone`` those whose own model serves the subgroup better.
    """
    kinds = [kind for kind, names in study.groups for _ in names]
    reports = []
    for place, (kind, name) in enumerate(zip(kinds, group_names(study), strict=True)):
        parts = {node: subgroup(reply, place) for node, reply in together.items()}
        told = [node for node, part in parts.items() if part.rows]
        nodes = [_part(node, place, parts[node], alone[node]) for node in told]
        report = {
            "name": name,
            "by": kind,
            "global": metrics(total(parts.values())).as_dict() if told else None,
            "too_few": [node for node in parts if node not in told],
            "better_alone": [node["name"] for node in nodes if node["better_alone"]],
            "nodes": nodes,
        }
        reports.append(report)
    return reports


def _part(node: str, place: int, together: Contribution, alone: Contribution) -> dict[str, Any]:
    own = subgroup(alone, place)
    local, more = metrics(own), difference(together, own, alone, 1 + place)
    return {
        "name": node,
        "global": metrics(together).as_dict(),
        "local": local.as_dict(),
        "difference": more.as_dict(),
        "better_alone": served_worse(more, local),
    }
