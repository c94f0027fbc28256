"""Learning over nodes that observe different things, on the synthetic world: what the method is worth, and its price.

Three nodes with three different tables. For every seed a world is drawn, every method trains on the same rows, and all
are scored on the same fresh people, seen as each node sees them, in full, and with each modality withheld: with nobody
seen in full, and with a tenth of the people linked (seen in full at their node). Then the same rows are spread over
3, 9 and 30 nodes with skewed labels, sizes or cities, and every node's global model is compared with its own.
Coverage is the share of people whose true risk lies in the model's 95 % interval. Synthetic data throughout.

    python benchmarks/unlike_nodes.py [--seeds 5] [--rows 12000] [--test-rows 50000] [--jobs 2] [--json FILE]
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from health_risk import EVERYTHING, STUDY, full_shard, observe, seen_by
from rich.console import Console
from rich.table import Table

from fedhealth.data.shard import HELD_OUT, Floats, Shard, generator, stack
from fedhealth.data.synthetic import best_reachable, draw
from fedhealth.federation import Contribution, Metrics, exchange_within, fit, fit_network, metrics, score_histogram
from fedhealth.federation.aggregation import Aggregate
from fedhealth.federation.strategies import FEDAVG
from fedhealth.model import NetworkModel, RiskModel
from fedhealth.model.network import FIRST, WEIGHTS
from fedhealth.study import Study

NODES = tuple(node.name for node in STUDY.nodes)
LINKED = 0.1
VIEWS = {name: seen_by(name) for name in NODES} | {
    "all": STUDY.names,
    **{f"without_{m}": tuple(f.name for f in STUDY.features if f.modality != m) for m in STUDY.modalities},
}
FEDERATIONS = (3, 9, 30)
Score = Callable[[Shard], Floats]
Figures = dict[str, dict[str, float]]


def worlds(seed: int, rows: int, test_rows: int) -> tuple[list[Shard], Shard, Floats]:
    """Every feature of the nodes' people; the people of the test, and their true risk."""
    full = [full_shard(name, draw(name, rows, seed), seed) for name in NODES]
    people = draw("people of the test", test_rows, seed)
    test = replace(full_shard("node_1", people, seed), fold=np.full(test_rows, HELD_OUT, dtype=np.int8))
    return full, test, people["true_risk"].to_numpy()


def as_seen(full: Sequence[Shard], seed: int, linked: float) -> list[Shard]:
    """The nodes' shards: own columns, and every feature of a share ``linked`` of their people."""
    found = []
    for shard in full:
        own = observe(shard, seen_by(shard.node))
        known = generator(seed, "linked", shard.node).random((len(shard), 1)) < linked
        found.append(replace(own, x=np.where(known, shard.x, own.x), observed=known | own.observed))
    return found


def positional(shards: Sequence[Shard]) -> tuple[Study, list[Shard]]:
    """What look-alikes train on: every node's columns side by side from the first, zeros behind, all 'observed'."""
    width = max(int(s.observed.any(axis=0).sum()) for s in shards)
    number = replace(STUDY.features[0], low=-1e6, high=1e6)
    features = tuple(replace(number, name=f"column_{i}") for i in range(width))
    nodes = tuple(replace(node, features=tuple(f.name for f in features)) for node in STUDY.nodes)
    study = replace(STUDY, features=features, nodes=nodes, subgroups=())
    return study, [pad(s, s.observed.any(axis=0), width) for s in shards]


def pad(shard: Shard, columns: np.ndarray, width: int) -> Shard:
    """The shard with its own ``columns`` standardised at the node, from position 0, and zeros up to ``width``."""
    own = shard.x[:, columns]
    scaled = (own - own.mean(axis=0)) / np.maximum(own.std(axis=0), 1e-9)
    x = np.zeros((len(shard), width))
    x[:, : own.shape[1]] = scaled
    return replace(shard, x=x, observed=np.ones(x.shape, dtype=np.bool_))


def by_rows(replies: Mapping[str, Contribution], kind: str) -> Aggregate:
    """The average of every weight by rows alone, also where a node has nothing to say about it (plain FedAvg)."""
    values = {}
    for name in WEIGHTS:
        sums = []
        for reply in replies.values():
            measure = np.tile(reply["coverage"], 2)[:, None, :] / np.maximum(reply["rows"], 1.0)[:, None, None]
            own = reply[f"{kind}.{name}"]
            sums.append(own / np.where(measure > 0, measure, 1.0) if name == FIRST else own)
        values[name] = sum(sums) / sum(reply["rows"] for reply in replies.values()).reshape(-1, *[1] * (own.ndim - 1))
    return Aggregate(values, {name: np.ones(value.shape, dtype=bool) for name, value in values.items()})


def networks(nodes: Sequence[Shard], test: Shard, seed: int) -> dict[str, Mapping[str, Score]]:
    """The scores of every network, by method and view."""
    exchange = partial(exchange_within, study=STUDY)
    together = fit_network(STUDY, exchange(nodes), seed).model
    pooled = fit_network(STUDY, exchange([stack(nodes)]), seed).model
    masked = fit_network(STUDY, exchange(nodes), seed, strategy=replace(FEDAVG, aggregate=by_rows)).model
    alone = {s.node: fit_network(STUDY, exchange([s]), seed).model for s in nodes}
    study, padded = positional(nodes)
    zeros = fit_network(study, exchange_within(padded, study), seed).model

    def padded_risk(view: str, people: Shard) -> Floats:
        columns = np.isin(STUDY.names, VIEWS[view])
        packed = pad(people, columns, len(study.features))
        return zeros.risk(packed.x, packed.observed)

    everywhere = {view: partial(risk, together) for view in VIEWS}
    return {
        "MLP: local": {name: partial(risk, alone[name]) for name in NODES},
        "MLP: zero-padded FedAvg": {name: partial(padded_risk, name) for name in NODES},
        "MLP: masked FedAvg": {view: partial(risk, masked) for view in VIEWS},
        "MLP: coverage-weighted": everywhere,
        "MLP: pooled_rows": {view: partial(risk, pooled) for view in VIEWS},
    }


def risk(model: RiskModel | NetworkModel, people: Shard) -> Floats:
    """The model's risks of people."""
    return model.risk(people.x, people.observed)


def one_seed(seed: int, rows: int, test_rows: int) -> dict[str, Figures]:
    """Figures of every method in one world: method -> view -> figures."""
    full, test, truth = worlds(seed, rows, test_rows)
    nodes, linked = as_seen(full, seed, 0.0), as_seen(full, seed, LINKED)
    additive = {
        "additive: global": fit(STUDY, exchange_within(nodes, STUDY)).model,
        "additive: global, 10 % linked": fit(STUDY, exchange_within(linked, STUDY)).model,
        "additive: global, 10 % linked, interactions": fit(
            STUDY, exchange_within(linked, STUDY), interactions=True
        ).model,
        "additive: pooled_rows": fit(STUDY, exchange_within([stack(nodes)], STUDY)).model,
        "additive: fully_observed": fit(EVERYTHING, exchange_within(full, EVERYTHING)).model,
    }
    local = {s.node: fit(STUDY, exchange_within([s], STUDY)).model for s in nodes}
    found: dict[str, Figures] = {"additive: local": {n: figures(local[n], observe(test, VIEWS[n])) for n in NODES}}
    for name, model in additive.items():
        found[name] = {v: figures(model, observe(test, seen), truth) for v, seen in VIEWS.items()}
    for name, scores in networks(nodes, test, seed).items():
        seen = {view: observe(test, VIEWS[view]) for view in scores}
        found[name] = {v: scored(score(seen[v]), test.y) for v, score in scores.items()}
    found["MLP: coverage-weighted, 10 % linked"] = {
        v: figures(model, observe(test, seen))
        for model in [fit_network(STUDY, exchange_within(linked, STUDY), seed).model]
        for v, seen in VIEWS.items()
    }
    return found


def figures(model: RiskModel | NetworkModel, people: Shard, truth: Floats | None = None) -> dict[str, float]:
    """AUROC, slope and Brier score of a model on people; with their true risk also coverage and width of intervals."""
    found = scored(risk(model, people), people.y)
    if truth is not None and isinstance(model, RiskModel):
        low, high = model.interval(people.x, people.observed).T
        found |= {"coverage": float(((low <= truth) & (truth <= high)).mean()), "width": float((high - low).mean())}
    return found


def scored(risks: Floats, y: Floats) -> dict[str, float]:
    """AUROC, calibration slope and Brier score."""
    m: Metrics = metrics(score_histogram(risks, y, STUDY.outcome.threshold))
    return {"auroc": m.auroc, "slope": m.calibration_slope, "brier": m.brier}


def spread(shard: Shard, parts: int, skew: str, seed: int) -> list[np.ndarray]:
    """Masks of a shard's rows at ``parts`` nodes with skewed labels, sizes or cities (Dirichlet, concentration 1)."""
    rng = generator(seed, "spread", shard.node, skew, parts)
    if parts == 1:
        return [np.ones(len(shard), dtype=bool)]
    kind = {"labels": shard.y, "sizes": np.zeros(len(shard)), "cities": shard.stratum // 12}[skew]
    place = np.zeros(len(shard), dtype=int)
    for value in np.unique(kind):
        share = rng.dirichlet(np.ones(parts)) * 0.9 + 0.1 / parts
        rows = np.flatnonzero(kind == value)
        place[rows] = rng.choice(parts, len(rows), p=share)
    return [place == part for part in range(parts)]


def skewed(seed: int, rows: int, test_rows: int) -> dict[str, dict[str, float]]:
    """Federations of more nodes, additive model: global minus local AUROC over nodes, and the global AUROC."""
    full, test, _ = worlds(seed, rows, test_rows)
    views = {name: observe(test, VIEWS[name]) for name in NODES}
    found = {}
    for count in FEDERATIONS:
        for skew in ("labels", "sizes", "cities"):
            shards = []
            for shard in as_seen(full, seed, 0.0):
                masks = spread(shard, count // 3, skew, seed)
                shards += [replace(shard.rows(m), node=f"{shard.node}.{i}") for i, m in enumerate(masks)]
            together = fit(STUDY, exchange_within(shards, STUDY)).model
            network = fit_network(STUDY, exchange_within(shards, STUDY), seed).model
            at = {name: scored(risk(together, view), view.y)["auroc"] for name, view in views.items()}
            nets = {name: scored(risk(network, view), view.y)["auroc"] for name, view in views.items()}
            gains, network_gains = [], []
            for shard in shards:
                name = shard.node.split(".")[0]
                local = fit(STUDY, exchange_within([shard], STUDY)).model
                alone = fit_network(STUDY, exchange_within([shard], STUDY), seed).model if count < 30 else None
                view = views[name]
                gains.append(at[name] - scored(risk(local, view), view.y)["auroc"])
                if alone:
                    network_gains.append(nets[name] - scored(risk(alone, view), view.y)["auroc"])
            found[f"{count} nodes, skewed {skew}"] = {
                **{f"global {name}": auroc for name, auroc in at.items()},
                **{f"MLP global {name}": auroc for name, auroc in nets.items()},
                "worst gain": min(gains),
                "mean gain": float(np.mean(gains)),
                **({"worst MLP gain": min(network_gains)} if network_gains else {}),
            }
    return found


def mean(runs: Sequence[Any]) -> Any:
    """The mean over runs of nested figures."""
    if isinstance(runs[0], dict):
        return {key: mean([run[key] for run in runs]) for key in runs[0]}
    return float(np.mean(runs))


def show(means: dict[str, Figures], skews: dict[str, dict[str, float]], seeds: int, console: Console) -> None:
    """All tables."""
    best = best_reachable()["subsets"]
    for figure, note in {
        "auroc": "best: boosted trees on the true risk, or the true risk itself",
        "slope": "1 is calibrated",
        "coverage": "of the true risk by 95 % intervals",
    }.items():
        table = Table("", *VIEWS, title=f"{figure}, mean of {seeds} synthetic worlds ({note})")
        for name, views in means.items():
            cells = [f"{views[v][figure]:.4f}" if figure in views.get(v, {}) else "" for v in VIEWS]
            if any(cells):
                table.add_row(name, *cells)
        if figure == "auroc":
            table.add_row("best", *(f"{best[v]['auroc']:.4f}" for v in VIEWS))
        console.print(table)
    columns = ("worst gain", "mean gain", "worst MLP gain")
    table = Table("", *columns, title="AUROC of the global model minus that of each node's own")
    for name, gains in skews.items():
        table.add_row(name, *(f"{gains[c]:+.4f}" if c in gains else "" for c in columns))
    console.print(table)


def main() -> None:
    """Run all seeds, print means, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=12_000, help="rows of each of the three kinds of nodes")
    parser.add_argument("--test-rows", type=int, default=50_000)
    parser.add_argument("--jobs", type=int, default=2, help="seeds that run side by side")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console = Console(width=160)
    with ProcessPoolExecutor(options.jobs) as pool:
        seeds = range(1, options.seeds + 1)
        runs = list(pool.map(partial(one_seed, rows=options.rows, test_rows=options.test_rows), seeds))
        skews = list(pool.map(partial(skewed, rows=options.rows, test_rows=options.test_rows), seeds[:2]))
    means, gains = mean(runs), mean(skews)
    show(means, gains, len(runs), console)
    if options.json:
        found = {"means": means, "skewed": gains, "runs": runs, "best": best_reachable()["subsets"]}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
