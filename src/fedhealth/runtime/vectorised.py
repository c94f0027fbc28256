"""The vectorised runtime: many small nodes in this process, trained together instead of one after another.

It answers as the loop does, with the same keyed randomness, up to the rounding of sums. What a server asks is a sum
over rows, so a chunk of nodes answers with one contribution, their total. Only local training differs from node to
node; there all networks of a chunk share one batched matrix product. Memory grows with a chunk, not with the nodes.

For simulation: all rows are in one place, so there is no door. What needs every node's own answer (local baselines,
norm bounds, the median over nodes) needs the loop.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fedhealth.data.shard import Shard, stack
from fedhealth.federation import STEPS, Contribution, Exchange, State, total
from fedhealth.federation.averaging import torch_module
from fedhealth.study import Study

NODES = 75  # of a chunk: enough that what Python does between two products is little beside them
ROWS = 8192  # of a chunk of more than one node
ROWS_OF_SUMS = 32_768  # stacked for a step that is a sum over rows
PER_NODE = ("local_baseline", "local_network")
T = TypeVar("T")


@dataclass(frozen=True)
class Chunk:
    """Nodes that answer together.

    Attributes:
        nodes: their names, ``G`` of them.
        training: their training rows, node after node.
        held_out: their held-out rows.
        sizes: training rows of each, shape ``(G,)``.
    """

    nodes: tuple[str, ...]
    training: Shard
    held_out: Shard
    sizes: NDArray[np.intp]

    @property
    def rows(self) -> Shard:
        """All rows as one shard."""
        return stack([self.training, self.held_out])

    def __len__(self) -> int:
        return len(self.training) + len(self.held_out)


def exchange_vectorised(
    study: Study,
    shards: Iterable[Shard],
    nodes: int = NODES,
    rows: int = ROWS,
    on_answer: Callable[[str, int], None] = lambda step, nodes: None,
) -> Exchange:
    """An exchange whose one reply is the total over all shards, worked out in chunks.

    A chunk has at most ``nodes`` nodes with at most ``rows`` rows in all; a node of more rows is a chunk by itself.
    ``shards`` are read once and not kept. Chunks are worked on at the same time, each on one thread, and added in
    order, so that equal calls give equal bits on any number of cores. ``on_answer`` is told how many nodes just
    answered a step.

    Raises:
        ValueError: a step, or a norm bound, that needs every node's own answer.
        ImportError: on the step "average" without PyTorch.
    """
    chunks, pool, own = tuple(chunked(shards, nodes, rows)), ThreadPoolExecutor(os.cpu_count()), threading.local()
    everyone = f"{sum(len(chunk.nodes) for chunk in chunks)} nodes"

    def average(state: State) -> Iterator[tuple[int, Contribution]]:
        with torch_module().one_thread():
            for chunk, reply in zip(chunks, pool.map(lambda c: _average(study, state, c, own), chunks), strict=True):
                yield len(chunk.nodes), reply

    def summed(step: str, state: State) -> Iterator[tuple[int, Contribution]]:
        packs = list(_packed(chunks, len, len(chunks), ROWS_OF_SUMS))
        replies = pool.map(lambda pack: STEPS[step](study, state, stack([chunk.rows for chunk in pack])), packs)
        for pack, reply in zip(packs, replies, strict=True):
            yield sum(len(chunk.nodes) for chunk in pack), reply

    def exchange(step: str, state: State) -> Mapping[str, Contribution]:
        _check(step, state)
        replies = average(state) if step == "average" else summed(step, state)
        return {everyone: total(_told(replies, partial(on_answer, step)))}

    return exchange


def _told(replies: Iterator[tuple[int, Contribution]], on_answer: Callable[[int], None]) -> Iterator[Contribution]:
    for nodes, reply in replies:
        yield reply
        on_answer(nodes)


def chunked(shards: Iterable[Shard], nodes: int, rows: int) -> Iterator[Chunk]:
    """Chunks of shards in the order given; a new one begins where the limits would be passed."""
    for pack in _packed(shards, len, nodes, rows):
        training = [shard.training for shard in pack]
        sizes = np.array([len(part) for part in training])
        yield Chunk(tuple(s.node for s in pack), stack(training), stack([s.held_out for s in pack]), sizes)


def _packed(items: Iterable[T], size: Callable[[T], int], most: int, limit: int) -> Iterator[list[T]]:
    """Lists of at most ``most`` items with sizes of at most ``limit`` in all, or of one item."""
    pack: list[T] = []
    for item in items:
        if pack and (len(pack) == most or sum(map(size, pack)) + size(item) > limit):
            yield pack
            pack = []
        pack.append(item)
    if pack:
        yield pack


def _check(step: str, state: State) -> None:
    if step in PER_NODE:
        raise ValueError(f"step {step!r} is each node's own; the vectorised runtime answers only with sums over nodes")
    if np.isfinite(state.get("norm_bound", np.inf)):
        raise ValueError(f"norm_bound: got {state['norm_bound']:g}; a bound needs every node's own answer, so the loop")


def _average(study: Study, state: State, chunk: Chunk, own: threading.local) -> Contribution:
    training = load_training()
    if not hasattr(own, "workspace"):
        own.workspace = training.Workspace()
    reply: Contribution = training.contribute(study, state, chunk, own.workspace)
    return reply


def load_training() -> Any:
    """``fedhealth.runtime.vectorised_average``, which needs PyTorch; the first import takes a second or more.

    Raises:
        ImportError: PyTorch is not installed; says how to install it.
    """
    torch_module()
    return import_module("fedhealth.runtime.vectorised_average")
