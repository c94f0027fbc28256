"""Federated averaging for nodes that do not observe the same features, by any of the ``strategies``.

Every node trains the network on its own rows and sends how far each weight moved, times how much the node has to say
about that weight, and that measure itself. Both are sums over nodes, so the server only divides. A weight that reads a
feature counts by the rows that observe the feature; every other weight by all rows; what nobody observed stays.
In training whole modalities are hidden at random, so that the network answers from any subset of them.

Two networks run side by side: one on all training rows, and one without fold 0, whose loss there tells which round to
keep and whose logits there fit the calibration.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from fedhealth.data.shard import HELD_OUT, Shard, generator
from fedhealth.federation import calibration, norms
from fedhealth.federation.aggregation import weighted
from fedhealth.federation.contribution import Contribution, Floats, State, arrays, total
from fedhealth.federation.strategies import FEDAVG, Strategy
from fedhealth.federation.training import Exchange, Round, calibrate, describe, mean_loss
from fedhealth.model.network import FIRST, HIDDEN, LAYERS, WEIGHTS, LocalTask, NetworkModel, forward
from fedhealth.study import Study

FOLDS = (float(HELD_OUT), 0.0)  # what each of the two networks leaves out
ROUNDS = 12
RATE, DECAY = 3e-3, 0.8  # Adam's learning rate in the first round, and its factor from round to round
EPOCHS = 2  # of local training in a round
WITHHOLD = 0.1  # share of modalities hidden in local training


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
    strategy: Strategy = FEDAVG,
) -> NetworkFit:
    """Train the network over the nodes behind ``exchange``; keep the round with the least loss on the left-out fold.

    Raises:
        ImportError: a node has no PyTorch.
        NormExceeded: a node moved the weights further than the strategy's bound.
        TooFewAnswers: a robust aggregation over fewer than three nodes.
        ValueError: all labels are equal.
    """
    design, description = describe(study, exchange, segments=1)
    first = init(description.reference["seen"], seed, description.prevalence)
    weights = {name: np.stack([w] * len(FOLDS)) for name, w in first.items()}
    states = {"mean": design.mean, "sd": design.sd, **weights, **strategy.init(weights)}
    best, least, kept = 0, np.inf, states
    for number in range(rounds + 1):
        replies = exchange("average", {**states, **_settings(strategy, seed, number, rounds)})
        summed = total(replies.values())
        loss = mean_loss(summed["loss"][0], summed["rows"][0])
        on_round(Round(number, loss, _model(study, states, 0)))
        if summed["left_out"][1] < least:
            best, least, kept = number, float(summed["left_out"][1]), states
        norms.check(replies, strategy.norm_bound)
        states = strategy.update(states, partial(strategy.aggregate, replies))
    line = calibrate(exchange, "calibrate_network", _model(study, kept, 1).arrays())
    chosen = _model(study, kept, 0)
    calibrated = NetworkModel(study, chosen.mean, chosen.sd, chosen.weights, line)
    return NetworkFit(calibrated, best, description.reference)


def _settings(strategy: Strategy, seed: int, number: int, rounds: int) -> dict[str, Floats]:
    """What nodes are told besides the weights; after the last round they only report losses (rate 0)."""
    rate = RATE * DECAY**number if number < rounds else 0.0
    bound = arrays(norm_bound=strategy.norm_bound)
    return arrays(seed=seed, round=number, rate=rate, epochs=EPOCHS, withhold=WITHHOLD, fold=FOLDS) | bound


def init(seen: Floats, seed: int, prevalence: float) -> dict[str, Floats]:
    """First weights, keyed by the seed (He et al. 2015); the last bias starts at the prevalence.

    ``seen`` (shape ``(d,)``) is how many rows observe each feature: where none does, the weights that read it are 0.
    """
    rng, sizes = generator(seed, "network"), (2 * len(seen), HIDDEN, HIDDEN, 1)
    weights: dict[str, Floats] = {}
    for layer, wide, narrow in zip(LAYERS, sizes[:-1], sizes[1:], strict=True):
        scale = np.sqrt(2 / wide) if layer != LAYERS[-1] else 0.1 / np.sqrt(wide)
        weights[f"{layer}.weight"] = rng.normal(0.0, scale, (narrow, wide))
        weights[f"{layer}.bias"] = np.zeros(narrow)
    weights[FIRST] *= np.tile(seen > 0, 2)
    weights[f"{LAYERS[-1]}.bias"] += np.log(prevalence / (1 - prevalence))
    return weights


def tasks(study: Study, state: State, shard: Shard) -> list[LocalTask]:
    """What this node trains in the round: each of the ``J`` networks on the rows that it may see."""
    return [_task(study, state, shard, j) for j in range(len(state["fold"]))]


def _task(study: Study, state: State, shard: Shard, j: int) -> LocalTask:
    rows, model = shard.training, _model(study, state, j)
    rows = rows.rows(rows.fold != state["fold"][j])
    inputs = model.inputs(rows.x, rows.observed)
    modality = [study.modalities.index(f.modality) for f in study.features]
    return LocalTask(
        start=model.weights,
        inputs=inputs,
        y=rows.y,
        rng=generator(int(state["seed"]), "average", int(state["round"]), shard.node, j),
        rate=float(state["rate"]),
        epochs=int(state["epochs"]),
        groups=np.tile(np.array(modality, dtype=np.intp), 2),
        withhold=float(state["withhold"]),
        mu=float(state.get("mu", 0.0)),
        correction=_correction(state, inputs, rows.y, j),
    )


def _correction(state: State, inputs: Floats, y: Floats, j: int) -> dict[str, Floats]:
    """SCAFFOLD's ``c - c_i``; none in the first round, when all control variates are zero."""
    if f"control.{FIRST}" not in state or not state["round"]:
        return {}
    own = torch_module().gradient({name: state[f"before.{name}"][j] for name in WEIGHTS}, inputs, y)
    own = norms.clip(own, float(state["norm_bound"]))  # as it was told
    return {name: state[f"control.{name}"][j] - own[name] for name in WEIGHTS}


def contribute(study: Study, state: State, shard: Shard) -> Contribution:
    """Train each network on the rows that it may see, keyed by (seed, round, node), and sum up what came of it."""
    train = torch_module().train_locally
    return contribution(study, state, shard, [train(task) for task in tasks(study, state, shard)])


def contribution(study: Study, state: State, shard: Shard, trained: Sequence[Mapping[str, Floats]]) -> Contribution:
    """What leaves the node after its ``J`` networks were ``trained`` (the weights afterwards, one mapping each).

    Sums: ``moved.<weight>``, each weight's change (clipped to ``state['norm_bound']``) times its measure; ``coverage
    (J, d)`` and ``rows (J,)``, the measures; ``loss (J,)`` before training, ``left_out (J,)``, the loss over the fold
    left out; with control variates also ``gradient.<weight>``, the gradient before training (clipped likewise) times
    its measure.
    """
    rows = shard.training
    parts = [_sums(study, state, rows, j, after) for j, after in enumerate(trained)]
    return Contribution({name: np.stack([part[name] for part in parts]) for name in parts[0]}, len(rows))


def _sums(study: Study, state: State, rows: Shard, j: int, after: Mapping[str, Floats]) -> dict[str, Floats]:
    before, used = _model(study, state, j), rows.fold != state["fold"][j]
    inputs = before.inputs(rows.x, rows.observed)
    margin = forward(before.weights, inputs)
    each = np.logaddexp(0.0, margin) - rows.y * margin
    seen, n = rows.observed[used].sum(axis=0), int(used.sum())
    moved = {name: after[name] - before.weights[name] for name in WEIGHTS}
    moved[FIRST] = np.where(np.tile(seen, 2) > 0, moved[FIRST], 0.0)  # weight decay moves also what reads nothing
    sums = arrays(loss=each[used].sum(), left_out=each[~used].sum(), coverage=seen, rows=n)
    bound = float(state["norm_bound"])
    sums |= weighted("moved", norms.clip(moved, bound), seen, n)
    if f"control.{FIRST}" in state:
        own = torch_module().gradient(before.weights, inputs[used], rows.y[used])
        sums |= weighted("gradient", norms.clip(own, bound), seen, n)
    return sums


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
