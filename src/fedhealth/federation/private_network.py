"""Training the neural network under differential privacy of one row: gradient descent on noisy sums of clipped rows.

DP-SGD (Abadi et al. 2016) with all rows in every step, so that its cost composes exactly and sampling need not be
trusted. Adam (Kingma & Ba 2015) on the server; the weights of the last half of the rounds are averaged.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from fedhealth.federation import averaging, calibration
from fedhealth.federation.contribution import Contribution, Floats, arrays, total
from fedhealth.federation.private import Plan
from fedhealth.federation.private_design import counted, scaled
from fedhealth.federation.private_sums import LOGITS
from fedhealth.federation.training import Exchange
from fedhealth.model.network import WEIGHTS, NetworkModel
from fedhealth.study import Study

ROUNDS, RATE, CLIP = 60, 0.01, 1.0
CALIBRATION_ROUNDS = 6
NETWORK_PLAN = Plan(
    {"private_counts": 0.1, "private_network_gradient": 0.7, "private_calibrate": 0.1, "private_scores": 0.1},
    {
        "private_counts": 1,
        "private_network_gradient": ROUNDS,
        "private_calibrate": CALIBRATION_ROUNDS,
        "private_scores": 1,
    },
)
MOMENTUM, SCALE = 0.9, 0.99


def fit_private_network(
    study: Study, exchange: Exchange, mu: float, seed: int, on_round: Callable[[int], None] = lambda _: None
) -> averaging.NetworkFit:
    """Train the network; all answers together are mu-GDP (one evaluation by score bins included)."""

    def ask(step: str, **state: Floats) -> Contribution:
        return total(exchange(step, {**state, **arrays(spend=NETWORK_PLAN.spend(step, mu))}).values())

    found = counted(study, ask("private_counts"))
    mean, sd = scaled(study, found)
    weights = averaging.init(found.seen, seed, found.prevalence)
    first, second = np.zeros((2, sum(weights[name].size for name in WEIGHTS)))
    kept = []
    for number in range(1, ROUNDS + 1):
        answer = ask("private_network_gradient", **_model(study, mean, sd, weights).arrays(), **arrays(clip=CLIP))
        slope = answer["gradient"] / found.rows
        first, second = MOMENTUM * first + (1 - MOMENTUM) * slope, SCALE * second + (1 - SCALE) * slope**2
        step = first / (1 - MOMENTUM**number) / (np.sqrt(second / (1 - SCALE**number)) + 1e-8)
        weights = _moved(weights, -RATE * step)
        kept.append(weights)
        on_round(number)
    later = kept[ROUNDS // 2 :]
    average = {name: np.mean([one[name] for one in later], axis=0) for name in WEIGHTS}
    model = _model(study, mean, sd, average)
    line = _calibrated(model, float(np.log(found.prevalence / (1 - found.prevalence))), ask)
    reference = {"counts": found.counts, "seen": found.seen}
    return averaging.NetworkFit(replace(model, calibration=line), ROUNDS, reference)


def _calibrated(model: NetworkModel, centre: float, ask: Callable[..., Contribution]) -> Floats:
    """Intercept and slope on the logit, by Newton steps: clipping of rows has bent both."""
    line = np.array([centre, LOGITS])
    for _ in range(CALIBRATION_ROUNDS):
        answer = ask("private_calibrate", **model.arrays(), **arrays(line=line, centre=centre))
        hessian = (answer["hessian"] + answer["hessian"].T) / 2 + 2 * answer.noise * np.eye(2)
        line = line - np.clip(np.linalg.solve(hessian, answer["gradient"]), -1.0, 1.0)
    slope = float(np.clip(line[1] / LOGITS, *calibration.SLOPES))
    return np.array([line[0] - slope * centre, slope])


def _moved(weights: Mapping[str, Floats], by: Floats) -> dict[str, Floats]:
    """The weights, each moved by its part of a flat vector in the order of ``WEIGHTS``."""
    ends = np.cumsum([weights[name].size for name in WEIGHTS])
    parts = np.split(by, ends[:-1])
    return {name: weights[name] + part.reshape(weights[name].shape) for name, part in zip(WEIGHTS, parts, strict=True)}


def _model(study: Study, mean: Floats, sd: Floats, weights: dict[str, Floats]) -> NetworkModel:
    return NetworkModel(study, mean, sd, weights, np.array([0.0, 1.0]))
