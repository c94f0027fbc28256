"""The step "average" over a chunk of nodes: :func:`fedhealth.federation.averaging.contribute`, all of them together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedhealth.data.shard import generator
from fedhealth.federation import Contribution, State
from fedhealth.model import NetworkModel
from fedhealth.model.mlp_batched import Together, Workspace
from fedhealth.model.network import BATCH, FIRST, WEIGHTS
from fedhealth.runtime.vectorised import Chunk
from fedhealth.study import Study

Floats = NDArray[np.float64]


def contribute(study: Study, state: State, chunk: Chunk, workspace: Workspace) -> Contribution:
    """The nodes' contributions to the step, summed; sums as in :func:`fedhealth.federation.averaging.contribution`."""
    rows = chunk.training
    weights = {name: state[name][0] for name in WEIGHTS}
    inputs = NetworkModel(study, state["mean"], state["sd"], weights, np.array([0.0, 1.0])).inputs(
        rows.x, rows.observed
    )
    parts = [_sums(study, state, chunk, inputs, j, workspace) for j in range(len(state["fold"]))]
    return Contribution({name: np.stack([part[name] for part in parts]) for name in parts[0]}, len(rows))


def _sums(study: Study, state: State, chunk: Chunk, inputs: Floats, j: int, workspace: Workspace) -> dict[str, Floats]:
    """What network ``j`` adds to the contribution."""
    rows, used = chunk.training, chunk.training.fold != state["fold"][j]
    margin = workspace.margins(_weights(state, "", j), inputs)
    each = np.logaddexp(0.0, margin) - rows.y * margin
    seen = rows.observed[used].sum(axis=0)
    sums = {"loss": each[used].sum(), "left_out": each[~used].sum(), "coverage": seen, "rows": used.sum()}
    for kind in ("moved", "gradient") if f"control.{FIRST}" in state else ("moved",):
        sums |= {f"{kind}.{name}": np.zeros_like(state[name][j]) for name in WEIGHTS}
    for group in _groups(chunk, inputs, used):
        for kind, values in _trained(study, state, group, j, workspace):
            for name, summed in zip(WEIGHTS, group.weighted(values), strict=True):
                sums[f"{kind}.{name}"] += summed
    return {name: np.asarray(value, dtype=np.float64) for name, value in sums.items()}


@dataclass(frozen=True)
class _Group:
    """Nodes of a chunk with equally many batches an epoch: their names and rows, ``G`` nodes by up to ``N`` rows."""

    nodes: tuple[str, ...]
    inputs: Floats
    y: Floats
    counts: NDArray[np.intp]

    def starting(self, weights: Sequence[Floats]) -> Together:
        """Networks that all start from ``weights``."""
        return Together(weights, self.inputs, self.y, self.counts)

    def weighted(self, values: Sequence[Floats]) -> list[Floats]:
        """Each weight's values, shape ``(G, ...)``, times its measure at every node, summed."""
        real = np.arange(self.y.shape[1]) < self.counts[:, None]
        features = self.inputs.shape[2] // 2
        seen = np.einsum("gn,gnd->gd", real.astype(np.float64), self.inputs[:, :, features:])
        first = np.einsum("goi,gi->oi", values[0], np.tile(seen, 2))
        return [first, *(np.tensordot(self.counts.astype(np.float64), value, 1) for value in values[1:])]


def _groups(chunk: Chunk, inputs: Floats, used: NDArray[np.bool_]) -> Iterator[_Group]:
    ends = np.cumsum(chunk.sizes)
    counts = np.diff(np.concatenate([[0], np.cumsum(used)])[np.concatenate([[0], ends])])
    places, batches = np.flatnonzero(used), -(-counts // BATCH)
    first = np.cumsum(counts) - counts
    for number in np.unique(batches[batches > 0]):
        chosen = np.flatnonzero(batches == number)
        within = np.arange(counts[chosen].max())
        rows = places[np.minimum(first[chosen, None] + within, len(places) - 1)]
        names = tuple(chunk.nodes[g] for g in chosen)
        yield _Group(names, inputs[rows], chunk.training.y[rows], counts[chosen])


def _trained(
    study: Study, state: State, group: _Group, j: int, workspace: Workspace
) -> Iterator[tuple[str, list[Floats]]]:
    """With control variates every node's gradient before; then how far it moves each weight; each ``(G, ...)``."""
    task = group.starting(_weights(state, "", j))
    correction: list[Floats] = []
    if f"control.{FIRST}" in state:
        yield "gradient", workspace.gradients(task)
        if state["round"]:
            own = workspace.gradients(group.starting(_weights(state, "before.", j)))
            correction = [common - part for common, part in zip(_weights(state, "control.", j), own, strict=True)]
    if state["rate"] > 0:
        epochs, mu = _epochs(study, state, group, j), float(state.get("mu", 0.0))
        yield "moved", workspace.train(task, epochs, float(state["rate"]), mu, correction)


def _epochs(study: Study, state: State, group: _Group, j: int) -> Iterator[tuple[Floats, NDArray[np.intp]]]:
    """For every epoch the inputs left to see and the order of the rows, keyed as ``LocalTask.schedule`` has them."""
    columns = [study.modalities.index(feature.modality) for feature in study.features]
    members = np.eye(len(study.modalities))[:, np.tile(columns, 2)]
    keys = (int(state["seed"]), "average", int(state["round"]))
    streams = [generator(*keys, node, j) for node in group.nodes]
    batches = group.y.shape[1] > BATCH
    order = np.tile(np.arange(group.y.shape[1]), (len(streams), 1))
    drawn, seen = np.ones((*group.y.shape, len(members))), np.empty(group.inputs.shape)
    for _ in range(int(state["epochs"])):
        for g, (rng, count) in enumerate(zip(streams, group.counts.tolist(), strict=True)):
            if batches:
                order[g, :count] = rng.permutation(count)
            rng.random(out=drawn[g, :count])
        np.matmul(drawn >= state["withhold"], members, out=seen)
        seen *= group.inputs
        yield seen, order


def _weights(state: State, prefix: str, j: int) -> list[Floats]:
    return [state[f"{prefix}{name}"][j] for name in WEIGHTS]
