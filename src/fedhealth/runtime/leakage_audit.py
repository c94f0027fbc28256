"""An audit of what a released model tells of the rows that it was trained on (NIST SP 800-226 asks for these facts)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from math import sqrt
from typing import Any

import numpy as np

from fedhealth.data.dataset import Dataset
from fedhealth.data.shard import HELD_OUT, Shard, stack
from fedhealth.federation import SEGMENTS, Exchange, State, exchange_within, fit, fit_private
from fedhealth.federation.contribution import Contribution
from fedhealth.federation.training import FOLDS
from fedhealth.model import RiskModel
from fedhealth.privacy import Budget, is_summed_under_masks
from fedhealth.privacy.leakage import Membership, canaries, differencing, label_odds, membership, shadow_odds
from fedhealth.privacy.noise import fresh_generator, noised
from fedhealth.study import Study

CANARY_ROWS = 500


def audit_model(
    study: Study,
    model: RiskModel,
    facts: Mapping[str, Any],
    dataset: Dataset,
    shadows: int,
    canary_runs: int,
    seed: int,
    on_shadow: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Attack ``model`` with all its rows in one place, as its trainers may; ``facts`` are those of its bundle.

    Gives a JSON-ready dictionary: claimed privacy, membership (members are the training rows, others the held-out
    ones), canaries (None without a claimed epsilon), and the share of people rebuilt by differencing.
    """
    rows, claimed = stack(dataset.shards), facts.get("privacy")
    budget = Budget(claimed["epsilon"], claimed["delta"]) if claimed else None
    member = rows.fold != HELD_OUT

    def train(chosen: Shard) -> RiskModel:
        on_shadow()
        everything = replace(chosen, fold=np.asarray(np.arange(len(chosen)) % FOLDS, dtype=np.int8))
        return _train(study, everything, facts, budget, len(dataset.shards))

    trained = shadow_odds(rows, train, shadows, float(member.mean()), seed)
    odds, inside = (np.stack(part) for part in zip(*trained, strict=True))
    attacked = membership(label_odds(model, rows), member, odds, inside)
    sample = rows.training.rows(np.random.default_rng(seed).permutation(int(member.sum())) < CANARY_ROWS)
    guessed = None
    if budget:
        found = canaries(
            study, sample, budget.mu, lambda nodes: _noisy(study, nodes, 1), canary_runs, seed, budget.delta
        )
        guessed = asdict(found)
    return {
        "claimed": claimed,
        "rows": len(rows),
        "parameters": model.design.width,
        "shadow_models": shadows,
        "membership": _membership(attacked),
        "canaries": guessed,
        "rebuilt_by_differencing": _rebuilt(study, sample, budget),
    }


def _membership(found: Membership) -> dict[str, Any]:
    return {
        "auc": found.auc,
        "tpr_at_1_percent_fpr": found.tpr_at[0.01],
        "tpr_at_1_percent_fpr_high": found.tpr_high,
        "tpr_at_0.1_percent_fpr": found.tpr_at[0.001],
        "targets": found.targets,
    }


def _train(study: Study, rows: Shard, facts: Mapping[str, Any], budget: Budget | None, nodes: int) -> RiskModel:
    segments = SEGMENTS[facts["model"]]
    if budget:
        return fit_private(study, _noisy(study, [rows], nodes), budget.mu, segments).model
    penalty = (facts["penalty"]["roughness"], facts["penalty"]["size"])
    return fit(study, exchange_within([rows], study), segments, penalty).model


def _noisy(study: Study, shards: Sequence[Shard], nodes: int) -> Exchange:
    """An exchange whose replies have the noise of ``nodes`` nodes: a total's under masks, else that of all doors."""
    inner, generator = exchange_within(shards, study), fresh_generator()
    variances = nodes / (nodes - 1) if nodes > 1 and is_summed_under_masks(study) else nodes

    def exchange(step: str, state: State) -> dict[str, Contribution]:
        price = float(state["spend"]) / sqrt(variances)
        return {name: noised(reply, price, generator) for name, reply in inner(step, state).items()}

    return exchange


def _rebuilt(study: Study, rows: Shard, budget: Budget | None) -> float:
    """Share of people rebuilt by differencing what a run asks of products of columns."""
    step, states = "private_products" if budget else "columns", dict[str, State]()

    def listening(name: str, state: State) -> Mapping[str, Contribution]:
        states[name] = state
        return inner(name, state)

    inner = _noisy(study, [rows], 1) if budget else exchange_within([rows], study)
    if budget:
        fit_private(study, listening, budget.mu)
    else:
        fit(study, listening, penalty=(1.0, 1.0))
    generator = fresh_generator()

    def door(answer: Contribution) -> Contribution:
        return noised(answer, float(states[step]["spend"]), generator) if budget else answer

    return differencing(study, rows, step, states[step], door)
