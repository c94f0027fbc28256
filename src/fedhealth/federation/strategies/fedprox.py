"""FedProx (Li et al. 2020, "Federated optimization in heterogeneous networks").

A node minimises its loss plus ``mu / 2 * ||w - w_t||^2``, which adds ``mu * (w - w_t)`` to the gradient and holds local
training near the weights ``w_t`` that it started from. The server averages as in FedAvg.
"""

from fedhealth.federation.contribution import arrays
from fedhealth.federation.strategies import fedavg
from fedhealth.federation.strategies.strategy import Strategy

MU = 0.01

FEDPROX = Strategy("fedprox", lambda weights: arrays(mu=MU), fedavg.update)
