"""SCAFFOLD (Karimireddy et al. 2020, "SCAFFOLD: stochastic controlled averaging for federated learning").

Nodes whose data differ pull the weights in different directions while they train alone. Node ``i`` adds ``c - c_i`` to
every local gradient: its own direction ``c_i`` goes, the common ``c`` comes. As option I of the paper, ``c_i`` is the
gradient of the node's whole loss at the server's weights of the round before; so a node needs no memory: the server
sends those weights again (``before``) and the node recomputes ``c_i``. Their average is ``c`` (``control``). In the
first round all are zero. Local steps are Adam's instead of plain gradient steps.

The correction is right near the weights where it was taken. In the long local rounds of ``averaging`` it goes stale,
and the model ends behind FedAvg's (``benchmarks/strategies.py``).
"""

from collections.abc import Callable

import numpy as np

from fedhealth.federation.aggregation import Aggregate
from fedhealth.federation.contribution import Floats, State
from fedhealth.federation.strategies import fedavg
from fedhealth.federation.strategies.strategy import Strategy
from fedhealth.model.network import WEIGHTS


def init(weights: State) -> dict[str, Floats]:
    """Control variates of zero."""
    return {f"control.{n}": np.zeros_like(weights[n]) for n in WEIGHTS} | {f"before.{n}": weights[n] for n in WEIGHTS}


def update(state: State, aggregated: Callable[[str], Aggregate]) -> dict[str, Floats]:
    """``w <- w + D`` and ``c <- mean_i c_i``, with ``c_i`` taken at the weights that were sent."""
    gradient, after = aggregated("gradient"), fedavg.update(state, aggregated)
    for n in WEIGHTS:
        after[f"control.{n}"] = np.where(gradient.covered[n], gradient.values[n], state[f"control.{n}"])
        after[f"before.{n}"] = state[n]
    return after


SCAFFOLD = Strategy("scaffold", init, update)
