"""A simulated federation of many small synthetic nodes, trained by the vectorised runtime."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fedhealth.data.synthetic import draw_clients
from fedhealth.federation import SEGMENTS, Contribution, Exchange, Round, State, fit, fit_network, metrics, total
from fedhealth.model import NetworkModel, RiskModel
from fedhealth.runtime.experiment import describe_run, evaluate
from fedhealth.runtime.vectorised import exchange_vectorised, load_training
from fedhealth.study import Study, load_study

TRAINING = ("average", "newton")  # the steps in which nodes compute what moves the model


@dataclass
class Clock:
    """How many nodes have answered training steps so far, and in how many seconds."""

    client_rounds: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Client-rounds per second so far; 0 before the first."""
        return self.client_rounds / self.seconds if self.seconds else 0.0


def simulate(
    nodes: int,
    rows: int,
    rounds: int,
    model: str,
    seed: int,
    on_answer: Callable[[str, int, Clock], None] = lambda step, nodes, clock: None,
    on_round: Callable[[Round, Clock], None] = lambda finished, clock: None,
) -> dict[str, Any]:
    """Train ``model`` over ``nodes`` synthetic nodes with ``rows`` rows each; the report (JSON-ready).

    Equal arguments give equal reports but for ``seconds``, ``client_rounds_per_second`` and ``peak_memory_bytes``.

    Args:
        nodes: how many, at least 1; node ``i`` observes what the health-risk study's node ``i`` (in turn) observes.
        rows: of each node, a fifth of them held out.
        rounds: of averaging, at least 1; a model that is no network ends by itself.
        model: ``mlp``, ``additive`` or ``logistic``.
        seed: of the world, the first weights and the training, at least 0.
        on_answer: told of each step, how many nodes just answered it, and the clock.
        on_round: told of each finished round.

    Raises:
        ImportError: the mlp without PyTorch.
        OneLabel: all training rows have the same label.
    """
    if model == "mlp":
        load_training()
    study, clock, begin = load_study("health-risk"), Clock(), time.perf_counter()
    clients = draw_clients(nodes, rows, seed)
    answered = exchange_vectorised(study, clients, on_answer=lambda step, some: on_answer(step, some, clock))
    drawn = time.perf_counter() - begin
    exchange, finished = _timed(answered, nodes, clock), list[Round]()

    def note(each: Round) -> None:
        finished.append(each)
        on_round(each, clock)

    trained = _train(study, exchange, model, seed, rounds, note)
    held_out = metrics(total(evaluate(study, exchange, trained).values()))
    return {
        **describe_run(study, model, seed, synthetic=True),
        "runtime": "vectorised",
        "nodes": nodes,
        "rows_per_node": rows,
        "rounds": [{"round": each.number, "train_loss": each.train_loss} for each in finished],
        "held_out": held_out.as_dict(),
        "seconds": {"drawing": drawn, "training": clock.seconds, "all": time.perf_counter() - begin},
        "client_rounds_per_second": clock.rate,
        "peak_memory_bytes": peak_memory(),
    }


def _train(
    study: Study, exchange: Exchange, model: str, seed: int, rounds: int, on_round: Callable[[Round], None]
) -> RiskModel | NetworkModel:
    if model == "mlp":
        return fit_network(study, exchange, seed, rounds, on_round).model
    return fit(study, exchange, SEGMENTS[model], on_round=on_round).model


def _timed(exchange: Exchange, nodes: int, clock: Clock) -> Exchange:
    """The exchange, with its training steps on the clock; what follows the last round trains nobody."""

    def timed(step: str, state: State) -> Mapping[str, Contribution]:
        begin = time.perf_counter()
        replies = exchange(step, state)
        if step in TRAINING and state.get("rate", 1.0) > 0:
            clock.client_rounds += nodes
            clock.seconds += time.perf_counter() - begin
        return replies

    return timed


def peak_memory() -> int:
    """Most bytes that this process has held in memory so far; 0 where the system does not say."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
