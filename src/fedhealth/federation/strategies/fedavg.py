"""FedAvg (McMahan et al. 2017, "Communication-efficient learning of deep networks from decentralized data")."""

from collections.abc import Callable

from fedhealth.federation.aggregation import Aggregate
from fedhealth.federation.contribution import Floats, State
from fedhealth.federation.strategies.strategy import Strategy
from fedhealth.model.network import WEIGHTS


def update(state: State, aggregated: Callable[[str], Aggregate]) -> dict[str, Floats]:
    """``w <- w + D``, with ``D`` the average of the nodes' moves."""
    moved = aggregated("moved").values
    return {**state, **{name: state[name] + moved[name] for name in WEIGHTS}}


FEDAVG = Strategy("fedavg", lambda weights: {}, update)
