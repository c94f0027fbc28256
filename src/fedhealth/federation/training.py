"""The course of a training run: what the server asks of the nodes, in order. Pure: ``exchange`` does the asking.

Scaling, knots and covariances from summed statistics, then Newton rounds of every candidate penalty across folds, the
penalty with the least summed loss on left-out folds, if asked the pairs of features whose product improves the fit,
Newton rounds of the final fit, and calibration on left-out scores.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import combinations
from statistics import NormalDist

import numpy as np

from fedhealth.data.shard import HELD_OUT
from fedhealth.federation import calibration, completion, newton, statistics
from fedhealth.federation.contribution import Contribution, Floats, Replies, State, arrays, total
from fedhealth.model.design import Design
from fedhealth.model.network import NetworkModel
from fedhealth.model.risk_model import RiskModel
from fedhealth.study import Study

Exchange = Callable[[str, State], Replies]
"""Send a named step and its state to every node; get each node's contribution, in node order.

Under secure aggregation the steps that train a model give one, their total, as ``TOGETHER``.
"""

FOLDS = 3
CONVERGED = 1e-8
MAX_ROUNDS = 30
SEGMENTS = {"additive": 8, "logistic": 1}
ROUGHNESS = (1.0, 30.0, 1000.0)
SIZE = (0.3, 3.0, 10.0, 30.0)


class OneLabel(ValueError):
    """All training rows have the same label, so nothing can be learnt from them."""


@dataclass(frozen=True)
class Round:
    """One round: the mean training loss of the model that the nodes were sent, and that model."""

    number: int
    train_loss: float
    model: RiskModel | NetworkModel


@dataclass(frozen=True)
class Fit:
    """A trained model and what was learnt on the way.

    ``penalty`` holds the chosen strengths (roughness, size); ``reference`` the federated histograms of the numbers
    (``counts (d, bins)`` between ``low (d,)`` and ``high (d,)``) and ``seen (d,)``, the rows that observe each feature;
    with cities also ``by_stratum (strata, d, 10)``, counts by city and month in drift bins between ``edges (d, 9)``.
    """

    model: RiskModel
    rounds: int
    penalty: tuple[float, float]
    reference: dict[str, Floats] = field(repr=False)


def fit(
    study: Study,
    exchange: Exchange,
    segments: int = SEGMENTS["additive"],
    penalty: tuple[float, float] | None = None,
    interactions: bool = False,
    on_round: Callable[[Round], None] = lambda _: None,
) -> Fit:
    """Train a model with curves of up to ``segments`` segments over the nodes behind ``exchange``.

    With ``penalty`` the search is skipped; with ``interactions`` products of pairs of features may join (see
    :func:`choose_pairs`). ``on_round`` is told of round 0 (untrained) and each later round.

    Raises:
        OneLabel: all training rows have the same label.
    """
    design, description = describe(study, exchange, segments)
    grid = _candidates(segments) if penalty is None else np.array([penalty])
    fits = _Fits(study, exchange, design, description.prevalence)
    crossed, left_out = fits.across_folds(grid)
    best = grid[[int(np.argmin(left_out))]]
    crossed = crossed[[int(np.argmin(left_out))]]
    if interactions:
        design = choose_pairs(exchange, design, best, fits.final(best[0])[0])
        fits = replace(fits, design=design)
        crossed, _ = fits.across_folds(best)
    coefficients, hessian, rounds = fits.final(best[0], on_round)
    line = calibrate(exchange, "calibrate", {**design.arrays(), **arrays(coefficients=crossed[0])})
    trained = RiskModel(design, coefficients, line, np.asarray(np.linalg.inv(hessian), dtype=np.float64))
    return Fit(trained, rounds, (float(best[0, 0]), float(best[0, 1])), description.reference)


def _candidates(segments: int) -> Floats:
    roughness = ROUGHNESS if segments > 1 else (0.0,)
    return np.array([(rough, size) for rough in roughness for size in SIZE])


@dataclass(frozen=True)
class Description:
    """What the summed statistics say: the outcome's share and the reference histograms (see :class:`Fit`)."""

    prevalence: float
    reference: dict[str, Floats]


def describe(study: Study, exchange: Exchange, segments: int) -> tuple[Design, Description]:
    """Scaling, knots, centres and covariances from exchanges of sums, and the statistics behind them.

    Raises:
        OneLabel: all training rows have the same label.
    """
    summed = total(exchange("moments", {}).values())
    mean, sd, partial = statistics.moments(study, summed)
    positives, rows = float(summed["positives"]), float(summed["rows"])
    if not 0 < positives < rows:
        raise OneLabel(f"all {rows:.0f} training rows have the same label; expected both 0 and 1")
    low, high = statistics.grid(study, mean, sd)
    counts = total(exchange("counts", arrays(low=low, high=high)).values())["counts"]
    knots = (statistics.knots(study, counts, low, high, segments) - mean[:, None]) / sd[:, None]
    design = with_pairs(exchange, Design(study, mean, sd, knots, partial, *np.zeros((3, 0))), np.zeros((0, 2)))
    reference = {"counts": counts, "low": low, "high": high, "seen": summed["seen"]}
    if study.strata:
        edges = statistics.deciles(study, counts, low, high)
        reference |= {"edges": edges, **total(exchange("reference", arrays(edges=edges)).values()).sums}
    return design, Description(positives / rows, reference)


def with_pairs(exchange: Exchange, design: Design, pairs: Floats) -> Design:
    """The design with a column for each of ``pairs`` (shape ``(k, 2)``), centres and covariances measured anew."""
    asked = replace(design, pairs=pairs)
    summed = total(exchange("columns", asked.arrays()).values())
    centre = np.diag(summed["sums"]) / np.maximum(np.diag(summed["seen"]), 1.0)
    centre[0] = 0.0
    return replace(asked, centre=centre, column_covariance=completion.covariance(summed, centre, asked.readers))


def choose_pairs(exchange: Exchange, design: Design, strength: Floats, coefficients: Floats) -> Design:
    """The design with the pairs of features whose product would improve the fit ``coefficients`` (shape ``(p,)``).

    A pair joins where its score statistic (Rao 1948), ``g^2 / (h_qq - h_qb h_bb^-1 h_bq)``, is beyond what the largest
    of all pairs' would be by chance in 5 of 100 fits (Bonferroni). Categories are left out.
    ``strength`` has shape ``(1, 2)``.
    """
    eligible = [i for i, feature in enumerate(design.study.features) if feature.kind != "category"]
    pairs = np.array(list(combinations(eligible, 2)), dtype=np.float64).reshape(-1, 2)
    wide = with_pairs(exchange, design, pairs)
    alone = np.zeros_like(wide.column_covariance)  # a product counts only where both its features are observed
    alone[: wide.products.start, : wide.products.start] = design.column_covariance
    wide = replace(wide, column_covariance=alone)
    fitted = np.insert(coefficients, [wide.products.start] * len(pairs), 0.0)
    state = {**newton.init(wide, np.array([float(HELD_OUT)]), 0.5), "coefficients": fitted[None]}
    summed = total(exchange("newton", state).values())
    curve = summed["hessian"][0] + newton.penalties(wide, strength[:, 0], strength[:, 1])[0]
    tried = np.arange(wide.products.start, wide.products.stop)
    kept = np.setdiff1d(np.arange(wide.width), tried)
    explained = np.linalg.solve(curve[np.ix_(kept, kept)], curve[np.ix_(kept, tried)])
    variance = np.diag(curve)[tried] - (curve[np.ix_(kept, tried)] * explained).sum(axis=0)
    statistic = summed["gradient"][0, tried] ** 2 / np.maximum(variance, 1e-9)
    least = NormalDist().inv_cdf(1 - 0.025 / max(len(pairs), 1)) ** 2
    return with_pairs(exchange, design, pairs[statistic > least])


@dataclass(frozen=True)
class _Fits:
    """Newton fits of one design over one federation."""

    study: Study
    exchange: Exchange
    design: Design
    prevalence: float

    def across_folds(self, grid: Floats) -> tuple[Floats, Floats]:
        """For each candidate penalty: coefficients per left-out fold ``(C, FOLDS, p)`` and summed left-out loss."""
        folds = np.tile(np.arange(FOLDS, dtype=np.float64), len(grid))
        strengths = np.repeat(grid, FOLDS, axis=0)
        state = newton.init(self.design, folds, self.prevalence)
        penalty = newton.penalties(self.design, strengths[:, 0], strengths[:, 1])
        left_out = np.zeros(len(folds))
        for _ in range(MAX_ROUNDS):
            summed = total(self.exchange("newton", state).values())
            left_out = summed["left_out"]
            state, change = newton.update(state, summed, penalty)
            if change < 1e-3:
                break
        return state["coefficients"].reshape(len(grid), FOLDS, -1), left_out.reshape(len(grid), FOLDS).sum(axis=1)

    def final(self, strength: Floats, on_round: Callable[[Round], None] = lambda _: None) -> tuple[Floats, Floats, int]:
        """Coefficients ``(p,)`` fitted on every training row, their penalised Hessian ``(p, p)``, rounds needed."""
        state = newton.init(self.design, np.array([float(HELD_OUT)]), self.prevalence)
        penalty = newton.penalties(self.design, strength[:1], strength[1:])
        for number in range(MAX_ROUNDS + 1):
            summed = total(self.exchange("newton", state).values())
            on_round(self._round(number, summed, state["coefficients"][0]))
            state, change = newton.update(state, summed, penalty)
            if change < CONVERGED:
                break
        return state["coefficients"][0], summed["hessian"][0] + penalty[0], number

    def _round(self, number: int, summed: Contribution, coefficients: Floats) -> Round:
        blank = np.zeros((self.design.width, self.design.width))
        untuned = RiskModel(self.design, coefficients, np.array([0.0, 1.0]), blank)
        return Round(number, mean_loss(summed["loss"][0], summed["rows"][0]), untuned)


def mean_loss(total_loss: float, rows: float) -> float:
    """Loss per row; NaN without rows."""
    return float(total_loss / rows) if rows else float("nan")


def calibrate(exchange: Exchange, step: str, state: State) -> Floats:
    """Intercept and slope on the logit, shape ``(2,)``, by Newton rounds of ``step`` for the model in ``state``."""
    line = np.array([0.0, 1.0])
    for _ in range(MAX_ROUNDS):
        after = calibration.update(line, total(exchange(step, {**state, "calibration": line}).values()))
        change, line = float(np.abs(after - line).max()), after
        if change < CONVERGED:
            break
    return line
