"""The neural network as a PyTorch module. Only this module and ``mlp_batched`` import torch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fedhealth.model.design import Floats
from fedhealth.model.network import BATCH, FIRST, HIDDEN, WEIGHT_DECAY, LocalTask, NetworkModel


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


def train_locally(task: LocalTask) -> dict[str, Floats]:
    """The weights after the local training that ``task`` describes.

    On one thread and in float64, so that equal calls give equal bits.
    """
    with one_thread():
        network = _network(task.start)
        if task.rate and len(task.y):
            _descend(network, task)
        return {f"net.{name}": tensor.detach().numpy() for name, tensor in network.named_parameters()}


def gradient(weights: Mapping[str, Floats], inputs: Floats, y: Floats) -> dict[str, Floats]:
    """Gradient of the mean log loss over all rows, by weight name; 0 without rows."""
    with one_thread():
        network = _network(weights)
        if len(y):
            _log_loss(network, torch.from_numpy(inputs), torch.from_numpy(y)).backward()  # type: ignore[no-untyped-call]
        parts = {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in network.named_parameters()}
        return {f"net.{name}": part.numpy() for name, part in parts.items()}


def _descend(network: nn.Module, task: LocalTask) -> None:
    y, changed = torch.from_numpy(task.y), _gradient_terms(network, task)
    optimizer = torch.optim.Adam(network.parameters(), lr=task.rate, weight_decay=WEIGHT_DECAY, fused=True)
    for order, seen in task.schedule():
        inputs = torch.from_numpy(seen)
        for rows in torch.split(torch.from_numpy(order), BATCH):
            optimizer.zero_grad()
            _log_loss(network, inputs[rows], y[rows]).backward()  # type: ignore[no-untyped-call]
            for weight, first, correction in changed:
                weight.grad.add_(weight.detach() - first, alpha=task.mu).add_(correction)
            optimizer.step()


def _gradient_terms(network: nn.Module, task: LocalTask) -> list[tuple[Any, Tensor, Tensor]]:
    """Each weight with its start and its correction; none where the strategy leaves the gradient alone."""
    if not task.mu and not task.correction:
        return []
    named = {f"net.{name}": weight for name, weight in network.named_parameters()}
    start = {name: torch.from_numpy(task.start[name]) for name in named}
    added = {n: torch.from_numpy(task.correction[n]) if task.correction else torch.zeros(()) for n in named}
    return [(weight, start[name], added[name]) for name, weight in named.items()]


def _log_loss(network: nn.Module, inputs: Tensor, y: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(network(inputs)[:, 0], y)


def _network(weights: Mapping[str, Floats]) -> nn.Module:
    network = HealthRiskNet(weights[FIRST].shape[1] // 2).double().net
    network.load_state_dict({k.removeprefix("net."): torch.from_numpy(w.copy()) for k, w in weights.items()})
    return network


@contextmanager
def one_thread() -> Iterator[None]:
    """Let each call into PyTorch use one thread, so that equal calls give equal bits on any number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
