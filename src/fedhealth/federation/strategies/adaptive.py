"""FedAdagrad, FedYogi and FedAdam (Reddi et al. 2021, "Adaptive federated optimization", algorithm 2).

The average ``D`` of the nodes' moves is the server's pseudo-gradient: ``m <- b1 m + (1 - b1) D``, ``v`` by a rule, and
``w <- w + rate * m / (sqrt(v) + tau)``. Where nobody covers a weight in a round, ``w``, ``m`` and ``v`` all stay.
The paper's ``b1`` is 0.9, over thousands of rounds; in a dozen long rounds so much momentum overshoots.
"""

from collections.abc import Callable

import numpy as np

from fedhealth.federation.aggregation import Aggregate
from fedhealth.federation.contribution import Floats, State
from fedhealth.federation.strategies.strategy import Strategy
from fedhealth.model.network import WEIGHTS

RATE, TAU = 0.1, 0.03
BETA1, BETA2 = 0.5, 0.99


def init(weights: State) -> dict[str, Floats]:
    """Moments before the first round: ``m = 0``, ``v = tau^2``."""
    first = {f"m.{n}": np.zeros_like(weights[n]) for n in WEIGHTS}
    return first | {f"v.{n}": np.full_like(weights[n], TAU**2) for n in WEIGHTS}


def adagrad(v: Floats, squared: Floats) -> Floats:
    """``v <- v + m^2``."""
    return v + squared


def yogi(v: Floats, squared: Floats) -> Floats:
    """``v <- v - (1 - b2) m^2 sign(v - m^2)``."""
    return np.asarray(v - (1 - BETA2) * squared * np.sign(v - squared))


def adam(v: Floats, squared: Floats) -> Floats:
    """``v <- b2 v + (1 - b2) m^2``."""
    return BETA2 * v + (1 - BETA2) * squared


def updating(
    second: Callable[[Floats, Floats], Floats], beta1: float = BETA1
) -> Callable[[State, Callable[[str], Aggregate]], dict[str, Floats]]:
    """The server's step with this rule for ``v``."""

    def update(state: State, aggregated: Callable[[str], Aggregate]) -> dict[str, Floats]:
        moved, after = aggregated("moved"), dict(state)
        for n in WEIGHTS:
            m = beta1 * state[f"m.{n}"] + (1 - beta1) * moved.values[n]
            v = second(state[f"v.{n}"], m**2)
            step = {n: state[n] + RATE * m / (np.sqrt(v) + TAU), f"m.{n}": m, f"v.{n}": v}
            after |= {k: np.where(moved.covered[n], value, state[k]) for k, value in step.items()}
        return after

    return update


FEDADAGRAD = Strategy("fedadagrad", init, updating(adagrad, beta1=0.0))
FEDYOGI = Strategy("fedyogi", init, updating(yogi))
FEDADAM = Strategy("fedadam", init, updating(adam))
