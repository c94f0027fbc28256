"""Strategies of federated averaging: what the server keeps, what it adds to local training, how it moves the weights.

Each is a :class:`Strategy`, a record of pure functions; add one to ``STRATEGIES`` and it can be trained with.
"""

from collections.abc import Mapping

from fedhealth.federation.strategies.adaptive import FEDADAGRAD, FEDADAM, FEDYOGI
from fedhealth.federation.strategies.fedavg import FEDAVG
from fedhealth.federation.strategies.fedprox import FEDPROX
from fedhealth.federation.strategies.scaffold import SCAFFOLD
from fedhealth.federation.strategies.strategy import Strategy

STRATEGIES: Mapping[str, Strategy] = {s.name: s for s in (FEDAVG, FEDPROX, SCAFFOLD, FEDADAM, FEDYOGI, FEDADAGRAD)}

__all__ = ["FEDADAGRAD", "FEDADAM", "FEDAVG", "FEDPROX", "FEDYOGI", "SCAFFOLD", "STRATEGIES", "Strategy"]
