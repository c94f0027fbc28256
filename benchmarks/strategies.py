"""Strategies of federated averaging beside pooled training, on the synthetic world: AUROC, kept round, seconds.

For every seed a world is drawn; the nodes train one network together by every strategy and aggregation, alone, and on
pooled rows. All networks are scored on the same fresh people of that world, seen as each node sees them. The gap is to
the network trained on pooled rows, at the node where it is worst. Synthetic data throughout.

    python benchmarks/strategies.py [--seeds 2] [--rows 12000] [--test-rows 50000] [--json FILE]
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from health_risk import STUDY, full_shard, observe, seen_by
from rich.console import Console
from rich.table import Column, Table

from fedhealth.data.shard import Shard, stack
from fedhealth.data.synthetic import draw
from fedhealth.federation import exchange_within, fit_network, metrics, score_histogram
from fedhealth.federation.aggregation import AGGREGATIONS
from fedhealth.federation.strategies import FEDAVG, STRATEGIES, Strategy
from fedhealth.model import NetworkModel

Figures = dict[str, float]
NODES = [node.name for node in STUDY.nodes]


def setups(nodes: Sequence[Shard]) -> Iterator[tuple[str, Sequence[Shard], Strategy]]:
    """What is compared: its name, whose rows train together, and how."""
    yield "pooled rows", [stack(nodes)], FEDAVG
    for shard in nodes:
        yield f"{shard.node} alone", [shard], FEDAVG
    for name, strategy in STRATEGIES.items():
        yield name, nodes, strategy
    for name in ("median", "trimmed-mean"):
        yield f"fedavg, {name}", nodes, replace(FEDAVG, aggregate=AGGREGATIONS[name])
    yield "fedavg, norm bound 1", nodes, replace(FEDAVG, norm_bound=1.0)


def one_seed(seed: int, rows: int, test_rows: int, tell: Callable[[str], None]) -> dict[str, Figures]:
    """Figures of every setup in one world."""
    nodes = [observe(full_shard(n, draw(n, rows, seed), seed), seen_by(n)) for n in NODES]
    test = full_shard("node_1", draw("people of the test", test_rows, seed), seed)
    found = {}
    for name, shards, strategy in setups(nodes):
        tell(f"seed {seed}: {name}")
        start = time.perf_counter()
        fitted = fit_network(STUDY, exchange_within(shards, STUDY), seed, strategy=strategy)
        seconds = time.perf_counter() - start
        figures = {n: auroc(fitted.model, observe(test, seen_by(n))) for n in NODES}
        found[name] = {**figures, "round": float(fitted.rounds), "seconds": seconds}
    return found


def auroc(model: NetworkModel, rows: Shard) -> float:
    """The AUROC of a network on rows."""
    return metrics(score_histogram(model.risk(rows.x, rows.observed), rows.y, STUDY.outcome.threshold)).auroc


def main() -> None:
    """Run all seeds, print means, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rows", type=int, default=12_000, help="rows of each node, a fifth of them held out")
    parser.add_argument("--test-rows", type=int, default=50_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console = Console()
    with console.status("") as status:
        seeds = range(1, options.seeds + 1)
        runs = [one_seed(seed, options.rows, options.test_rows, status.update) for seed in seeds]
    means = {name: {key: float(np.mean([run[name][key] for run in runs])) for key in runs[0][name]} for name in runs[0]}
    console.print(table(means, f"AUROC, mean of {len(runs)} synthetic worlds, seen as each node sees people"))
    if options.json:
        options.json.write_text(json.dumps({"means": means, "runs": runs}, indent=1) + "\n")


def table(means: dict[str, Figures], title: str) -> Table:
    """One line for every setup."""
    shown = Table(Column("", no_wrap=True), *NODES, "worst gap", "round", "seconds", title=title)
    for name, figures in means.items():
        gap = min(figures[n] - means["pooled rows"][n] for n in NODES if not name.endswith("alone") or n in name)
        own = [f"{figures[n]:.4f}" for n in NODES]
        shown.add_row(name, *own, f"{gap:+.4f}", f"{figures['round']:.1f}", f"{figures['seconds']:.1f}")
    return shown


if __name__ == "__main__":
    main()
