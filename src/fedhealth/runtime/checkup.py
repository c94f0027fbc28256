"""How a model does at the nodes' rows of now: the question that training evaluates by, asked again at each door."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np

from fedhealth.data.dataset import read_own_shard
from fedhealth.data.files import DataError
from fedhealth.federation import PLAN, Contribution, Exchange
from fedhealth.model import RiskModel
from fedhealth.privacy import Budget, PolicyError, PolicyRefusal
from fedhealth.runtime.experiment import evaluate
from fedhealth.runtime.local import exchange_in_process
from fedhealth.study import Study


class NoAnswer(OSError):
    """No node answered."""


def question_name(version: str, now: datetime) -> str:
    """What nodes know the question of a month by: asked again in it, about the same rows, noise costs nothing more."""
    return f"monitor-{version}-{now:%Y-%m}"


def ask_again(
    study: Study, exchange: Exchange, model: RiskModel, budget: Budget | None = None
) -> Mapping[str, Contribution]:
    """Each node's score histogram on its held-out rows, as training got it.

    Of a model that was trained within ``budget`` it comes with noise, and costs what it cost then.

    Raises:
        PolicyRefusal: a node's policy does not allow it.
    """
    if budget is None:
        return evaluate(study, exchange, model)
    spend = PLAN.spend("private_scores", budget.mu)
    return exchange("private_scores", {**model.arrays(), "spend": np.array(spend)})


def ask_here(
    study: Study, model: RiskModel, budget: Budget | None, seed: int, data: Path, audit_folder: Path, run: str
) -> tuple[dict[str, Contribution], dict[str, str]]:
    """The answers of the nodes whose tables are in ``data``, by node; and why the others gave none.

    ``seed`` is that of the model's own split, so that no row it was trained on is held out now.
    """
    found: dict[str, Contribution] = {}
    refused = {}
    for node in study.nodes:
        try:
            shard = read_own_shard(study, node.name, data, seed)
            exchange = exchange_in_process(study, [shard], audit_folder, data, run)
            found |= ask_again(study, exchange, model, budget)
        except (DataError, PolicyError, PolicyRefusal) as error:
            refused[node.name] = str(error)
    return found, refused
