"""Federated averaging (McMahan et al. 2017) for nodes that do not observe the same features.

Every node trains the network on its own rows and sends how far each weight moved, times how much the node has to say
about that weight, and that measure itself. Both are sums over nodes, so the server only divides. A weight that reads a
feature counts by the rows that observe the feature; every other weight by all rows; what nobody observed stays.

Two networks run side by side: one on all training rows, and one without fold 0, whose loss there tells which round to
keep and whose logits there fit the calibration.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from fedhealth.data.shard import HELD_OUT, Shard, generator
from fedhealth.federation import calibration
from fedhealth.federation.contribution import Contribution, Floats, State, arrays, total
from fedhealth.federation.training import Exchange, Round, calibrate, describe, mean_loss
from fedhealth.model.network import FIRST, HIDDEN, LAYERS, WEIGHTS, NetworkModel, forward
from fedhealth.study import Study

FOLDS = (float(HELD_OUT), 0.0)  # what each of the two networks leaves out
ROUNDS = 15
RATE, DECAY = 3e-3, 0.85


@dataclass(frozen=True)
class NetworkFit:
    """A trained network, the round it is from, and the federated histograms (as in ``Fit``)."""

    model: NetworkModel
    rounds: int
    reference: dict[str, Floats] = field(repr=False)


def fit_network(
    study: Study,
    exchange: Exchange,
    seed: int,
    rounds: int = ROUNDS,
    on_round: Callable[[Round], None] = lambda _: None,
) -> NetworkFit:
    """Train the network over the nodes behind ``exchange``; keep the round with the least loss on the left-out fold.

    Raises:
        ImportError: a node has no PyTorch.
        ValueError: all labels are equal.
    """
    design, description = describe(study, exchange, segments=1)
    weights = init(len(study.features), seed, description.prevalence)
    states = {"mean": design.mean, "sd": design.sd, **{k: np.stack([w] * len(FOLDS)) for k, w in weights.items()}}
    best, least, kept = 0, np.inf, states
    for number in range(rounds + 1):
        keys = arrays(seed=seed, round=number, rate=RATE * DECAY**number if number < rounds else 0.0, fold=FOLDS)
        replies = exchange("average", {**states, **keys})
        summed = total(replies.values())
        losses = {name: mean_loss(reply["loss"][0], reply["rows"][0]) for name, reply in replies.items()}
        loss = mean_loss(summed["loss"][0], summed["rows"][0])
        on_round(Round(number, loss, losses, _model(study, states, 0)))
        if summed["left_out"][1] < least:
            best, least, kept = number, float(summed["left_out"][1]), states
        states = update(states, summed)
    line = calibrate(exchange, "calibrate_network", _model(study, kept, 1).arrays())
    chosen = _model(study, kept, 0)
    calibrated = NetworkModel(study, chosen.mean, chosen.sd, chosen.weights, line)
    return NetworkFit(calibrated, best, description.reference)


def init(features: int, seed: int, prevalence: float) -> dict[str, Floats]:
    """First weights, keyed by the seed (He et al. 2015); the last bias starts at the prevalence."""
    rng, sizes = generator(seed, "network"), (2 * features, HIDDEN, HIDDEN, 1)
    weights: dict[str, Floats] = {}
    for layer, wide, narrow in zip(LAYERS, sizes[:-1], sizes[1:], strict=True):
        scale = np.sqrt(2 / wide) if layer != LAYERS[-1] else 0.1 / np.sqrt(wide)
        weights[f"{layer}.weight"] = rng.normal(0.0, scale, (narrow, wide))
        weights[f"{layer}.bias"] = np.zeros(narrow)
    weights[f"{LAYERS[-1]}.bias"] += np.log(prevalence / (1 - prevalence))
    return weights


def contribute(study: Study, state: State, shard: Shard) -> Contribution:
    """Train each network for one epoch on the rows that it may see, keyed by (seed, round, node).

    Sums, with ``J`` networks: ``moved.<weight>``, each weight's change times its measure; ``coverage (J, d)`` and
    ``rows (J,)``, the measures; ``loss (J,)`` before training, ``left_out (J,)``, the loss over the fold left out.
    """
    rows = shard.training
    parts = [_train_one(study, state, rows, shard.node, j) for j in range(len(state["fold"]))]
    return Contribution({name: np.stack([part[name] for part in parts]) for name in parts[0]}, len(rows))


def _train_one(study: Study, state: State, rows: Shard, node: str, j: int) -> dict[str, Floats]:
    before = _model(study, state, j)
    inputs, used = before.inputs(rows.x, rows.observed), rows.fold != state["fold"][j]
    margin = forward(before.weights, inputs)
    each = np.logaddexp(0.0, margin) - rows.y * margin
    after = before.weights
    if state["rate"] > 0 and used.any():
        rng = generator(int(state["seed"]), "average", int(state["round"]), node, j)
        after = torch_module().train_locally(before.weights, inputs[used], rows.y[used], rng, float(state["rate"]), 1)
    moved = {name: after[name] - before.weights[name] for name in WEIGHTS}
    seen = rows.observed[used].sum(axis=0)
    return weighted(moved, seen, int(used.sum())) | arrays(loss=each[used].sum(), left_out=each[~used].sum())


def weighted(moved: Mapping[str, Floats], seen: object, rows: int) -> dict[str, Floats]:
    """One node's numerators and denominators: moves times measure (by input column for the first layer).

    ``seen`` (shape ``(d,)``) is how many of the node's ``rows`` observe each feature.
    """
    measures = arrays(coverage=seen, rows=rows)
    by_column = np.tile(measures["coverage"], 2)
    numerators = {f"moved.{name}": move * (by_column if name == FIRST else rows) for name, move in moved.items()}
    return {**numerators, **measures}


def update(state: State, total: Contribution) -> dict[str, Floats]:
    """Move every weight by its measured average over nodes; a weight that nobody measured stays."""
    by_column = np.tile(total["coverage"], 2)[:, None, :]
    after = dict(state)
    for name in WEIGHTS:
        by_rows = total["rows"].reshape(-1, *[1] * (state[name].ndim - 1))
        measure = np.broadcast_to(by_column if name == FIRST else by_rows, state[name].shape)
        after[name] = state[name] + np.where(measure > 0, total[f"moved.{name}"] / np.maximum(measure, 1.0), 0.0)
    return after


def contribute_calibration(study: Study, state: State, shard: Shard) -> Contribution:
    """Sums for the intercept and slope of the network in ``state``, over the fold it was trained without."""
    rows = shard.training
    rows = rows.rows(rows.fold == FOLDS[1])
    model = NetworkModel.from_arrays(study, state)
    logit = forward(model.weights, model.inputs(rows.x, rows.observed))
    return calibration.sums(logit, rows.y, state["calibration"])


def _model(study: Study, state: State, j: int) -> NetworkModel:
    weights = {name: state[name][j] for name in WEIGHTS}
    return NetworkModel(study, state["mean"], state["sd"], weights, np.array([0.0, 1.0]))


def torch_module() -> Any:
    """``fedhealth.model.mlp``, imported when first needed, so that everything else works without PyTorch.

    Raises:
        ImportError: PyTorch is not installed; says how to install it.
    """
    try:
        return import_module("fedhealth.model.mlp")
    except ModuleNotFoundError as error:
        raise ImportError(f"the MLP needs PyTorch ({error}); install it: pip install torch") from None
