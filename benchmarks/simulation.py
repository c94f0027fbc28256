"""How fast is a simulated round? Our loop, the vectorised runtime, Flower's engine, and matrix products alone.

All four train the same network (two hidden layers of 64, float64) on the same rows by the same local training: Adam in
batches of 256, as many epochs as a real run has, modalities withheld; one network a client. The last does only the
batched matrix products of that training, forward and backward, with nothing between them: what these cores need for the
arithmetic alone. Rows are synthetic. Figures are the fastest of several rounds; all but Flower's take
turns, so that a busy machine slows them alike. Flower's engine (one Ray actor a core) is timed between rounds, without
its start and its first round.

    python benchmarks/simulation.py [--clients 3 30 300] [--rows 100] [--repeats 5] [--without-flower] [--json FILE]
"""

import argparse
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from fedhealth.data.shard import Shard
from fedhealth.data.synthetic import draw_clients
from fedhealth.federation import Exchange, State, exchange_within, fit_network
from fedhealth.federation.strategies import FEDAVG
from fedhealth.model.mlp import one_thread
from fedhealth.model.network import BATCH, HIDDEN, WEIGHTS, NetworkModel
from fedhealth.runtime.vectorised import NODES, exchange_vectorised
from fedhealth.study import load_study

STUDY = replace(load_study("health-risk"), policy="research")
TARGETS = {"flower": 40.0, "loop": 6.0, "bare": 2.0}


def first_state(exchange: Exchange) -> State:
    """What the first round of a run sends to the nodes, with the one network that sees all training rows."""
    sent: list[State] = []

    def note(step: str, state: State) -> Any:
        sent.extend([state] if step == "average" else [])
        return exchange(step, state)

    fit_network(STUDY, note, seed=0, rounds=1)
    return {name: value[:1] if name in (*WEIGHTS, "fold") else value for name, value in sent[0].items()}


def round_over(exchange: Exchange, state: State) -> Callable[[], object]:
    """A round of federated averaging from ``state``."""

    def run() -> object:
        return FEDAVG.update(state, partial(FEDAVG.aggregate, exchange("average", state)))

    return run


def matrix_products(shards: Sequence[Shard], epochs: int) -> Callable[[], object]:
    """The matrix products of a round and nothing else, in the vectorised runtime's chunks and threads."""
    rows, columns = len(shards[0].training), 2 * len(STUDY.features)
    sizes = [min(NODES, len(shards) - begin) for begin in range(0, len(shards), NODES)]
    pool, own = ThreadPoolExecutor(os.cpu_count()), threading.local()

    def chunk(nodes: int) -> None:
        if not hasattr(own, "rooms"):
            shapes = (rows, columns), (HIDDEN, columns), (HIDDEN, HIDDEN), (1, HIDDEN)
            results = (rows, HIDDEN), (rows, HIDDEN), (rows, 1)
            own.rooms = [
                torch.full((NODES, *shape), 0.01, dtype=torch.float64) for shape in (*shapes, *results, *shapes)
            ]
        x, w1, w2, w3, one, two, margin, _, g1, g2, g3 = (room[:nodes] for room in own.rooms)
        for room, part, weight in ((one, x, w1), (two, one, w2), (margin, two, w3)):  # the loss before training
            torch.mm(part.flatten(0, 1), weight[0].T, out=room.flatten(0, 1))
        for _ in range(epochs):
            for begin in range(0, rows, BATCH):
                a, b, c, d = (room[:, begin : begin + BATCH] for room in (x, one, two, margin))
                torch.bmm(a, w1.mT, out=b)
                torch.bmm(b, w2.mT, out=c)
                torch.bmm(c, w3.mT, out=d)
                torch.bmm(d.mT, c, out=g3)
                torch.bmm(d, w3, out=c)
                torch.bmm(c.mT, b, out=g2)
                torch.bmm(c, w2, out=b)
                torch.bmm(b.mT, a, out=g1)

    def run() -> object:
        with one_thread():
            return list(pool.map(chunk, sizes))

    return run


def fastest(rounds: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every repeat of each, one after another, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in rounds}
    for repeat in range(repeats + 1):
        for name, run in rounds.items():
            begin = time.perf_counter()
            run()
            if repeat:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def compare(clients: int, rows: int, repeats: int, with_flower: bool) -> dict[str, Any]:
    """Seconds a round at one number of clients, and the ratios."""
    shards = list(draw_clients(clients, rows, seed=7))
    vectorised = exchange_vectorised(STUDY, shards)
    state = first_state(vectorised)
    epochs = int(state["epochs"])
    rounds = {
        "loop": round_over(exchange_within(shards, STUDY), state),
        "vectorised": round_over(vectorised, state),
        "bare": matrix_products(shards, epochs),
    }
    seconds = fastest(rounds, repeats)
    if with_flower:
        from flower_engine import seconds_per_round

        weights = {name: state[name][0] for name in WEIGHTS}
        model = NetworkModel(STUDY, state["mean"], state["sd"], weights, np.array([0.0, 1.0]))
        nodes = [(model.inputs(s.training.x, s.training.observed), s.training.y) for s in shards]
        seconds["flower"] = seconds_per_round(
            nodes, repeats + 1, epochs, float(state["rate"]), float(state["withhold"])
        )[1:]
    best = {name: min(times) for name, times in seconds.items()}
    ratios = {name: best[name] / best["vectorised"] for name in best if name in ("flower", "loop")}
    ratios["bare"] = best["vectorised"] / best["bare"]
    return {"clients": clients, "rows": rows, "epochs": epochs, "seconds": seconds, "best": best, "ratios": ratios}


def show(results: Sequence[dict[str, Any]]) -> None:
    """The table of figures."""
    names = {"loop": "loop", "vectorised": "vectorised", "flower": "Flower", "bare": "products"}
    ratios = ("Flower / vect.", "loop / vect.", "vect. / products")
    table = Table(
        "clients", *names.values(), *ratios, title="Seconds of a simulated round (synthetic rows), and ratios"
    )
    for found in results:
        figures = [f"{found['best'][name]:.4f}" if name in found["best"] else "–" for name in names]
        shown = [f"{found['ratios'][name]:.2f}" if name in found["ratios"] else "–" for name in TARGETS]
        table.add_row(str(found["clients"]), *figures, *shown)
    Console().print(table)


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=[3, 30, 300])
    parser.add_argument("--rows", type=int, default=100, help="rows of each client, a fifth of them held out")
    parser.add_argument("--repeats", type=int, default=5, help="timed rounds of each")
    parser.add_argument("--without-flower", action="store_true", help="leave Flower's engine out (it needs ray)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    machine = {"cores": os.cpu_count(), "torch": version("torch"), "numpy": version("numpy"), "flwr": version("flwr")}
    print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    results = []
    for clients in options.clients:
        results.append(compare(clients, options.rows, options.repeats, not options.without_flower))
        print(f"{clients} clients: {json.dumps(results[-1]['best'])}", flush=True)
    show(results)
    print("Aims at 300 clients: Flower / vect. at least 40, loop / vect. at least 6, vect. / products at most 2")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
