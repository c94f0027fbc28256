"""Training an additive or logistic model under differential privacy of one row, from noisy sums.

The budget, a total ``mu`` of Gaussian differential privacy (Dong, Roth & Su 2022), is split over four kinds of
releases, as shares of ``mu^2``: counts in bins of the study's ranges (scaling, knots, centres, the outcome's share),
one sum of products of columns (covariances, curvature), gradients (Newton steps with that fixed curvature, the later
ones averaged: Polyak & Juditsky 1992) and score bins of held-out rows. Penalties are fixed: a search would cost noise.

A gradient's noise is known, so each direction is trusted as far as its curvature ``H`` stands out of it: instead of
gradient ``g`` and curvature ``H`` the steps use ``M g`` and ``M H`` with ``M = H (H + s^2 I)^-1``, where ``s^2`` is the
noise variance of the averaged gradient. This is the posterior mean of the coefficients, given what was seen of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np

from fedhealth.federation import newton
from fedhealth.federation.contribution import Contribution, Floats, arrays, total
from fedhealth.federation.private_design import CLEAR, counted, second_moments, shape_of
from fedhealth.federation.private_sums import SCORE_EDGES, ranges
from fedhealth.federation.training import SEGMENTS, Exchange, Fit
from fedhealth.model.risk_model import RiskModel, sigmoid
from fedhealth.study import Study

ROUNDS = 16
AVERAGED = 8  # of the last rounds
PENALTY = (100.0, 10.0)  # roughness and size
CURVATURE = 2.0  # times the mean risk's: rows differ in risk


@dataclass(frozen=True)
class Plan:
    """How a run's budget is split: each step's share of ``mu^2``, and how many times it is asked."""

    shares: Mapping[str, float]
    times: Mapping[str, int]

    def spend(self, step: str, mu: float) -> float:
        """The mu of one release of ``step`` where all releases of a run together have ``mu``."""
        return mu * sqrt(self.shares[step] / self.times[step])


PLAN = Plan(
    {"private_counts": 0.1, "private_products": 0.2, "private_gradient": 0.6, "private_scores": 0.1},
    {"private_counts": 1, "private_products": 1, "private_gradient": ROUNDS, "private_scores": 1},
)


def fit_private(
    study: Study,
    exchange: Exchange,
    mu: float,
    segments: int = SEGMENTS["additive"],
    on_round: Callable[[int], None] = lambda _: None,
) -> Fit:
    """Train a model with curves of up to ``segments`` segments; all answers together are mu-GDP (evaluation included).

    ``on_round`` is told the number of each finished round. No ``reference`` by city and month is asked for.
    """

    def ask(step: str, **state: Floats) -> Contribution:
        return total(exchange(step, {**state, **arrays(spend=PLAN.spend(step, mu))}).values())

    found = counted(study, ask("private_counts"))
    shape = shape_of(study, found, segments)
    design, curve = second_moments(found, shape, ask)
    penalty = newton.penalties(design, *np.array(PENALTY)[:, None])[0]
    penalty[0, 0] = 1.0  # holds the intercept near where it starts if there is nothing but noise
    clip = shape.norm(np.eye(len(shape.within)))
    coefficients = np.zeros(design.width)
    coefficients[0] = np.log(found.prevalence / (1 - found.prevalence))
    start, kept = coefficients, [coefficients]
    curve *= min(0.25, CURVATURE * found.prevalence * (1 - found.prevalence))
    before = None
    for number in range(1, ROUNDS + 1):
        answer = ask("private_gradient", **design.arrays(), **arrays(coefficients=coefficients, clip=clip))
        if before is not None:
            curve = curve * _steeper(coefficients - kept[-2], answer["gradient"] - before, curve, answer.noise)
        before = answer["gradient"]
        trust = curve @ np.linalg.inv(curve + answer.noise**2 / AVERAGED * np.eye(len(curve)))
        left = trust @ curve + penalty
        coefficients = coefficients - np.linalg.solve(left, trust @ before + penalty @ (coefficients - start))
        kept.append(coefficients)
        on_round(number)
    covariance = np.asarray(np.linalg.inv((left + left.T) / 2), dtype=np.float64)
    model = RiskModel(design, np.mean(kept[-AVERAGED:], axis=0), np.array([0.0, 1.0]), covariance)
    low, high = ranges(study)
    numbers = np.array([f.kind == "number" for f in study.features])
    reference = {"counts": np.where(numbers[:, None], found.counts, 0.0), "low": low, "high": high, "seen": found.seen}
    return Fit(model, ROUNDS, PENALTY, reference)


def _steeper(step: Floats, change: Floats, curve: Floats, noise: float) -> float:
    """How much more a gradient changed over a ``step`` than ``curve`` says, its noise allowed for; at least 1."""
    sure = step @ change - 2 * np.sqrt(2) * noise * np.linalg.norm(step)
    return float(max(1.0, sure / max(step @ curve @ step, 1e-12)))


def private_scores(contribution: Contribution, threshold: float) -> Contribution:
    """The sums that metrics follow from, of noisy counts by score bin; each row's risk is the middle of its bin.

    Bins of which noise could be all are taken as empty.
    """
    clear = contribution["positives"] + contribution["negatives"] > CLEAR * np.sqrt(2) * contribution.noise
    positives, negatives = (np.maximum(contribution[name], 0.0) * clear for name in ("positives", "negatives"))
    half = (SCORE_EDGES[1] - SCORE_EDGES[0]) / 2
    risk = sigmoid(np.append(SCORE_EDGES - half, SCORE_EDGES[-1] + half))
    squares, logs = np.stack([(1 - risk) ** 2, risk**2]), np.stack([-np.log(risk), -np.log1p(-risk)])
    counts, high = np.stack([positives, negatives]), risk >= threshold
    return Contribution(
        arrays(
            positives=positives,
            negatives=negatives,
            risks=(positives + negatives) * risk,
            squared_error=(counts * squares).sum(),
            squared_error_squares=(counts * squares**2).sum(),
            log_loss=(counts * logs).sum(),
            log_loss_squares=(counts * logs**2).sum(),
            correct=positives[risk >= 0.5].sum() + negatives[risk < 0.5].sum(),
            true_positives=positives[high].sum(),
            true_negatives=negatives[~high].sum(),
        ),
        round(float(counts.sum())),
    )
