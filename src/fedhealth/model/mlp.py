"""The neural network as a PyTorch module. Only this module imports torch; nothing else of the package needs it."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fedhealth.model.design import Floats
from fedhealth.model.network import HIDDEN, NetworkModel


class HealthRiskNet(nn.Module):
    """Log-odds of the outcome from values and what was observed; reads the study's units and scales them itself.

    The state dict holds the weights of ``net`` and, as buffers of shape ``(d,)``, ``mean`` and ``sd`` of each feature
    on its scale and ``floor`` (the least value of a log-scaled feature, NaN for others), and ``calibration`` ``(2,)``.

    Args:
        features: number of features, ``d``.
    """

    mean: Tensor
    sd: Tensor
    floor: Tensor
    calibration: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2 * features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
        )
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("sd", torch.ones(features))
        self.register_buffer("floor", torch.full((features,), torch.nan))
        self.register_buffer("calibration", torch.tensor([0.0, 1.0]))

    def forward(self, x: Tensor, observed: Tensor) -> Tensor:
        """Calibrated log-odds, shape ``(n,)``; ``x`` and ``observed`` (0 or 1) have shape ``(n, d)``."""
        logged = torch.log(torch.maximum(x, torch.nan_to_num(self.floor, nan=1.0)))
        scaled = torch.where(torch.isnan(self.floor), x, logged)
        inputs = torch.cat([(scaled - self.mean) / self.sd * observed, observed.to(x.dtype)], dim=1)
        logit: Tensor = self.net(inputs)[:, 0]
        return self.calibration[0] + self.calibration[1] * logit


def network_of(model: NetworkModel) -> HealthRiskNet:
    """The module, in float64, that computes what ``model`` computes."""
    network = HealthRiskNet(len(model.mean)).double()
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in model.arrays().items()})
    return network


def save(model: NetworkModel, path: Path) -> Path:
    """Write the module's state dict; read it with ``torch.load(path, weights_only=True)``."""
    staged = path.with_name(f"new.{path.name}")
    torch.save(network_of(model).state_dict(), staged)
    return staged.replace(path)


def train_locally(
    weights: dict[str, Floats], inputs: Floats, y: Floats, rng: np.random.Generator, rate: float, epochs: int
) -> dict[str, Floats]:
    """Adam (Kingma & Ba 2015) on the log loss over this node's rows, from ``weights``; the weights afterwards.

    ``inputs`` has shape ``(n, 2d)``. On one thread and in float64, so that equal calls give equal bits.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network = HealthRiskNet(inputs.shape[1] // 2).double().net
        network.load_state_dict({k.removeprefix("net."): torch.from_numpy(w.copy()) for k, w in weights.items()})
        _descend(network, torch.from_numpy(inputs), torch.from_numpy(y), rng, rate, epochs)
        return {f"net.{name}": tensor.numpy().copy() for name, tensor in network.state_dict().items()}
    finally:
        torch.set_num_threads(threads)


def _descend(
    network: nn.Module, inputs: Tensor, y: Tensor, rng: np.random.Generator, rate: float, epochs: int, batch: int = 256
) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=rate, weight_decay=1e-4)
    for _ in range(epochs):
        for rows in torch.split(torch.from_numpy(rng.permutation(len(y))), batch):
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(network(inputs[rows])[:, 0], y[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
