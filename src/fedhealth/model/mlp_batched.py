"""Local training of many networks at once: the arithmetic of :func:`fedhealth.model.mlp.train_locally`, batched.

``G`` networks, each with its own rows, go through one batched matrix product per layer; gradients are written out by
hand, and one fused pass of Adam (Kingma & Ba 2015) moves all of them. Rows that pad a shorter node weigh nothing.
Weights are sequences of float64 arrays in the order of ``WEIGHTS``.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.adam import adam

from fedhealth.model.design import Floats
from fedhealth.model.network import BATCH, HIDDEN, WEIGHT_DECAY

Weights = Sequence[Floats]


@dataclass(frozen=True)
class Together:
    """``G`` networks that start from the same weights, with equally many batches an epoch, on up to ``N`` rows each.

    Attributes:
        start: the weights, each of shape ``(...)``.
        inputs: shape ``(G, N, 2d)``.
        y: labels, shape ``(G, N)``.
        counts: rows of each network, shape ``(G,)``, at least 1; the rest of ``N`` is padding.
    """

    start: Weights
    inputs: Floats
    y: Floats
    counts: NDArray[np.intp]


class Workspace:
    """Does the arithmetic in memory that is used again and again: for one thread, results valid until the next call."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def train(
        self,
        task: Together,
        epochs: Iterable[tuple[Floats, NDArray[np.intp]]],
        rate: float,
        mu: float = 0.0,
        correction: Weights = (),
    ) -> list[Floats]:
        """How far training moves each weight, shape ``(G, ...)``.

        Args:
            task: the networks and their rows.
            epochs: for every epoch the inputs left to see, shape ``(G, N, 2d)``, and the order of the rows, ``(G, N)``.
            rate: Adam's learning rate.
            mu: FedProx: strength of the pull back to the start.
            correction: SCAFFOLD: added to every gradient, shape ``(G, ...)``; empty for none.
        """
        start, y, counts = _tensors(task.start), torch.from_numpy(task.y), torch.from_numpy(task.counts)
        flat, gradient, first, second = (self._flat(name, task) for name in ("now", "gradient", "first", "second"))
        weights, gradients, step = _parts(flat, task), _parts(gradient, task), torch.zeros(())
        for now, before in zip(weights, start, strict=True):
            now.copy_(before)
        first.zero_()
        second.zero_()
        batches = _batches(y, counts, lambda left: left.clamp(max=BATCH))
        for seen, order in epochs:
            inputs, places = torch.from_numpy(seen), torch.from_numpy(order)
            for begin, share in batches:
                self._backward(weights, gradients, *_batch(inputs, y, places, begin), share)
                if mu:
                    for part, now, before in zip(gradients, weights, start, strict=True):
                        part.add_(now - before, alpha=mu)
                for part, added in zip(gradients, _tensors(correction), strict=False):
                    part.add_(added)
                adam(
                    [flat], [gradient], [first], [second], [], [step], fused=True, amsgrad=False, maximize=False,
                    beta1=0.9, beta2=0.999, eps=1e-8, lr=rate, weight_decay=WEIGHT_DECAY,
                )  # fmt: skip
        return [now.sub_(before).numpy() for now, before in zip(weights, start, strict=True)]

    def gradients(self, task: Together) -> list[Floats]:
        """Gradient of each network's mean log loss over all its rows, at the start, shape ``(G, ...)``."""
        counts, inputs, y = (torch.from_numpy(array) for array in (task.counts, task.inputs, task.y))
        weights = [part.expand(len(counts), *part.shape) for part in _tensors(task.start)]
        gradient, summed = self._flat("gradient", task), torch.zeros_like(self._flat("gradient", task))
        for begin, share in _batches(y, counts, lambda left: counts):
            self._backward(weights, _parts(gradient, task), *_batch(inputs, y, None, begin), share)
            summed += gradient
        return [part.numpy() for part in _parts(summed, task)]

    def margins(self, weights: Weights, inputs: Floats) -> Floats:
        """One network's logit of every row, shape ``(n,)``, from weights of shape ``(...)`` and inputs ``(n, 2d)``."""
        w1, b1, w2, b2, w3, b3 = _tensors(weights)
        one, two = (self._room(name, len(inputs), HIDDEN) for name in ("one", "two"))
        torch.addmm(b1, torch.from_numpy(inputs), w1.T, out=one).relu_()
        torch.addmm(b2, one, w2.T, out=two).relu_()
        margin: Floats = torch.addmm(b3, two, w3.T)[:, 0].numpy()
        return margin

    def _backward(
        self, weights: Sequence[Tensor], gradients: Sequence[Tensor], inputs: Tensor, y: Tensor, share: Tensor
    ) -> None:
        """Write the gradients of the log loss with rows weighted by ``share`` (shape ``(G, B)``)."""
        w1, b1, w2, b2, w3, b3 = weights
        g1, c1, g2, c2, g3, c3 = gradients
        one, two, back = (self._room(name, *y.shape, HIDDEN) for name in ("one", "two", "back"))
        torch.baddbmm(b1[:, None], inputs, w1.mT, out=one).relu_()
        torch.baddbmm(b2[:, None], one, w2.mT, out=two).relu_()
        error = torch.baddbmm(b3[:, None], two, w3.mT).sigmoid_().sub_(y[:, :, None]).mul_(share[:, :, None])
        torch.bmm(error.mT, two, out=g3)
        torch.sum(error, 1, out=c3)
        two.sign_().mul_(error).mul_(w3)
        torch.bmm(two.mT, one, out=g2)
        torch.sum(two, 1, out=c2)
        torch.bmm(two, w2, out=back).mul_(one.sign_())
        torch.bmm(back.mT, inputs, out=g1)
        torch.sum(back, 1, out=c1)

    def _flat(self, name: str, task: Together) -> Tensor:
        return self._room(name, len(task.counts) * sum(part.size for part in task.start))

    def _room(self, name: str, *shape: int) -> Tensor:
        size = math.prod(shape)
        if name not in self._buffers or len(self._buffers[name]) < size:
            self._buffers[name] = torch.empty(size, dtype=torch.float64)
        return self._buffers[name][:size].view(shape)


def _tensors(weights: Weights) -> list[Tensor]:
    return [torch.from_numpy(part) for part in weights]


def _parts(flat: Tensor, task: Together) -> list[Tensor]:
    """The weights that lie one after another in ``flat``, each of shape ``(G, ...)``."""
    networks = len(task.counts)
    blocks = torch.split(flat, [networks * part.size for part in task.start])
    return [block.view(networks, *part.shape) for block, part in zip(blocks, task.start, strict=True)]


def _batch(inputs: Tensor, y: Tensor, order: Tensor | None, begin: int) -> tuple[Tensor, Tensor]:
    """Inputs and labels of the batch that begins at row ``begin`` of the order; one batch needs no order."""
    if order is None or y.shape[1] <= BATCH:
        return inputs[:, begin : begin + BATCH], y[:, begin : begin + BATCH]
    chosen = order[:, begin : begin + BATCH]
    flat = (chosen + torch.arange(len(chosen))[:, None] * y.shape[1]).reshape(-1)
    rows = inputs.reshape(-1, inputs.shape[2])[flat]
    return rows.reshape(*chosen.shape, -1), y.reshape(-1)[flat].reshape(chosen.shape)


def _batches(y: Tensor, counts: Tensor, among: Callable[[Tensor], Tensor]) -> list[tuple[int, Tensor]]:
    """Where each batch begins and the weight of its rows, shape ``(G, B)``: 0 for padding, else one of ``among``.

    ``among`` is given how many rows are left, shape ``(G,)``.
    """
    batches = []
    for begin in range(0, y.shape[1], BATCH):
        left = counts - begin
        real = torch.arange(min(y.shape[1] - begin, BATCH)) < left[:, None]
        batches.append((begin, real / among(left)[:, None].double()))
    return batches
