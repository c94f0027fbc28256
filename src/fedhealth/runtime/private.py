"""A training run under differential privacy of one row: nothing leaves a node without noise, evaluation included."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fedhealth.federation import (
    NETWORK_PLAN,
    PLAN,
    SEGMENTS,
    TOGETHER,
    Contribution,
    Exchange,
    Fit,
    NetworkFit,
    Plan,
    State,
    fit_private,
    fit_private_network,
    metrics,
    private_scores,
    score_histogram,
    total,
)
from fedhealth.privacy import Budget, epsilon_of
from fedhealth.runtime.experiment import Run, describe_run
from fedhealth.study import Study

NOBODY = np.zeros(0)


def run_private(
    study: Study,
    exchange: Exchange,
    budget: Budget,
    model: str = "additive",
    seed: int = 0,
    synthetic: bool = False,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Run[Fit | NetworkFit]:
    """Train over ``exchange`` within ``budget`` and evaluate once, with noise, at every node.

    What would cost more, or could not have noise, is left out of the report: metrics by round and subgroup, local
    baselines, comparisons with pooled rows.

    Raises:
        ValueError: the budget makes no sense.
        PolicyRefusal: a node's limits do not allow it.
    """
    mu, counts = budget.mu, dict[str, Contribution]()

    def listening(step: str, state: State) -> Mapping[str, Contribution]:
        replies = exchange(step, state)
        if step == "private_counts":
            counts.update(replies)
        return replies

    plan = NETWORK_PLAN if model == "mlp" else PLAN
    rounds = max(plan.times.values())

    def on_round(number: int) -> None:
        on_stage(f"round {number} of {rounds}, with noise")

    fitted: Fit | NetworkFit
    on_stage("counting, with noise")
    if model == "mlp":
        fitted = fit_private_network(study, listening, mu, seed, on_round)
    else:
        fitted = fit_private(study, listening, mu, SEGMENTS[model], on_round)
    on_stage("evaluating at every node, with noise")
    told = exchange("private_scores", {**fitted.model.arrays(), "spend": np.array(plan.spend("private_scores", mu))})
    scores = {name: private_scores(reply, study.outcome.threshold) for name, reply in told.items()}
    report = {
        **describe_run(study, model, seed, synthetic),
        "privacy": describe_privacy(budget, plan, shared=TOGETHER in counts),
        "penalty": dict(zip(("roughness", "size"), fitted.penalty, strict=True)) if isinstance(fitted, Fit) else None,
        "interactions": [],
        "rounds": [],
        "nodes": [_node(study, name, scores[name], counts.get(name)) for name in told],
        "subgroups": [],
        "global": metrics(private_scores(total(told.values()), study.outcome.threshold)).as_dict(),
        "site_average": {"accuracy": None, "auroc": None},
        "missing": {},
        "took_part": list(told),
        **dict.fromkeys(("pooled_rows", "fully_observed", "full_rows", "best")),
    }
    return Run(fitted, report)


ALONE = "every node adds all of its noise itself, so it holds against the server and all other nodes"
SHARED = (
    "of a total each of K nodes adds a share of 1/(K - 1) of the noise's variance under secure aggregation, so it "
    "holds against the server and any one other node; what a node tells of itself has all of its noise"
)


def describe_privacy(budget: Budget, plan: Plan, shared: bool) -> dict[str, Any]:
    """What is promised and how, for report and model card (the facts that NIST SP 800-226 asks for).

    ``shared`` says whether noise is shared between nodes of which only the total is seen.
    """
    steps = {step: plan.spend(step, budget.mu) for step in plan.times}
    return {
        "epsilon": budget.epsilon,
        "delta": budget.delta,
        "unit": "one row of a node's table",
        "relation": "a row added or removed",
        "mechanism": "normal noise on sums of clipped rows; Gaussian differential privacy, composed exactly",
        "trust": SHARED if shared else ALONE,
        "mu": budget.mu,
        "steps": [
            {"step": step, "times": plan.times[step], "mu": mu, "epsilon": epsilon_of(mu, budget.delta)}
            for step, mu in steps.items()
        ],
    }


def _node(study: Study, name: str, scores: Contribution, counted: Contribution | None) -> dict[str, Any]:
    """``counted`` has the node's own noisy number of rows; None where only a total was seen."""
    nothing = metrics(score_histogram(NOBODY, NOBODY, study.outcome.threshold))
    return {
        "name": name,
        "title": study.node(name).title,
        "rows": round(max(float(counted["rows"]), 0.0)) if counted else None,
        "features": list(study.node(name).features),
        "local": nothing.as_dict(),
        "global": metrics(scores).as_dict(),
        "difference": None,
        "better_alone": False,
    }
