"""The course of a training run: what the server asks of the nodes, in order. Pure: ``exchange`` does the asking.

Scaling and knots from summed statistics, then Newton rounds of every candidate penalty across folds, the penalty
with the least summed loss on left-out folds, Newton rounds of the final fit, and calibration on left-out scores.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from fedhealth.data.shard import HELD_OUT
from fedhealth.federation import calibration, newton, statistics
from fedhealth.federation.contribution import Contribution, Floats, State, arrays, total
from fedhealth.model.design import Design
from fedhealth.model.network import NetworkModel
from fedhealth.model.risk_model import RiskModel
from fedhealth.study import Study

Exchange = Callable[[str, State], Mapping[str, Contribution]]
"""Send a named step and its state to every node; get each node's contribution, in node order."""

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
    """One round: mean training losses of the model that the nodes were sent, and that model."""

    number: int
    train_loss: float
    node_loss: Mapping[str, float]
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
    on_round: Callable[[Round], None] = lambda _: None,
) -> Fit:
    """Train a model with curves of up to ``segments`` segments over the nodes behind ``exchange``.

    With ``penalty`` the search is skipped. ``on_round`` is told of round 0 (untrained) and each later round.

    Raises:
        OneLabel: all training rows have the same label.
    """
    design, description = describe(study, exchange, segments)
    grid = _candidates(segments) if penalty is None else np.array([penalty])
    fits = _Fits(study, exchange, design, description.prevalence)
    crossed, left_out = fits.across_folds(grid)
    best = int(np.argmin(left_out))
    coefficients, hessian, rounds = fits.final(grid[best], on_round)
    line = calibrate(exchange, "calibrate", {**design.arrays(), **arrays(coefficients=crossed[best])})
    spread = _spread(description.covariance, design, coefficients)
    trained = RiskModel(design, coefficients, line, np.asarray(np.linalg.inv(hessian), dtype=np.float64), spread)
    return Fit(trained, rounds, (float(grid[best, 0]), float(grid[best, 1])), description.reference)


def _candidates(segments: int) -> Floats:
    roughness = ROUGHNESS if segments > 1 else (0.0,)
    return np.array([(rough, size) for rough in roughness for size in SIZE])


@dataclass(frozen=True)
class Description:
    """What the summed statistics say.

    The outcome's share, the columns' covariance ``(p, p)`` within each feature's rows, and the reference histograms
    (see :class:`Fit`).
    """

    prevalence: float
    covariance: Floats
    reference: dict[str, Floats]


def describe(study: Study, exchange: Exchange, segments: int) -> tuple[Design, Description]:
    """Scaling, knots and centres from three exchanges of sums, and the statistics behind them.

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
    placed = statistics.knots(study, counts, low, high, segments)
    standardised = (placed - mean[:, None]) / sd[:, None]
    raw = Design(study, mean, sd, standardised, partial, np.zeros(0))
    columns = total(exchange("columns", raw.arrays()).values())
    seen = np.ones(raw.width)
    for block, count in zip(raw.blocks, summed["seen"], strict=True):
        seen[block] = max(count, 1.0)
    centre = columns["sums"] / seen
    centre[0] = 0.0
    reference = {"counts": counts, "low": low, "high": high, "seen": summed["seen"]}
    if study.strata:
        edges = statistics.deciles(study, counts, low, high)
        reference |= {"edges": edges, **total(exchange("reference", arrays(edges=edges)).values()).sums}
    covariance = columns["products"] / seen - np.outer(centre, centre)
    description = Description(positives / rows, covariance, reference)
    return Design(study, mean, sd, standardised, partial, centre), description


def _spread(covariance: Floats, design: Design, coefficients: Floats) -> Floats:
    """Variance of each feature's contribution over the rows that observe it, shape ``(d,)``."""
    blocks = design.blocks
    return np.array([max(coefficients[b] @ covariance[b, b] @ coefficients[b], 0.0) for b in blocks])


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

    def final(self, strength: Floats, on_round: Callable[[Round], None]) -> tuple[Floats, Floats, int]:
        """Coefficients ``(p,)`` fitted on every training row, their penalised Hessian ``(p, p)``, rounds needed."""
        state = newton.init(self.design, np.array([float(HELD_OUT)]), self.prevalence)
        penalty = newton.penalties(self.design, strength[:1], strength[1:])
        for number in range(MAX_ROUNDS + 1):
            replies = self.exchange("newton", state)
            summed = total(replies.values())
            on_round(self._round(number, replies, summed, state["coefficients"][0]))
            state, change = newton.update(state, summed, penalty)
            if change < CONVERGED:
                break
        return state["coefficients"][0], summed["hessian"][0] + penalty[0], number

    def _round(
        self, number: int, replies: Mapping[str, Contribution], summed: Contribution, coefficients: Floats
    ) -> Round:
        blank = np.zeros((self.design.width, self.design.width))
        untuned = RiskModel(self.design, coefficients, np.array([0.0, 1.0]), blank, np.zeros(len(self.study.features)))
        losses = {name: mean_loss(reply["loss"][0], reply["rows"][0]) for name, reply in replies.items()}
        return Round(number, mean_loss(summed["loss"][0], summed["rows"][0]), losses, untuned)


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
