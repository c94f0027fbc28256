"""The main job on the synthetic world: is one federated model as good as each node's own, and fit for a citizen?

For every seed a world is drawn, the three nodes train together and alone on their own files' columns, and all models
are scored on the same fresh people of that world, seen as each node sees them, as a citizen's form does (the eight
features), and in full. Synthetic data throughout.

    python benchmarks/health_risk.py [--seeds 5] [--rows 30000] [--test-rows 60000] [--json FILE]
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fedhealth.data.shard import HELD_OUT, Shard
from fedhealth.data.synthetic import best_reachable, draw
from fedhealth.data.tables import shard_from_table
from fedhealth.federation import exchange_within, fit, metrics, score_histogram
from fedhealth.model import RiskModel
from fedhealth.study import Study, load_study

STUDY = load_study("health-risk")
EVERYTHING = replace(STUDY, nodes=tuple(replace(n, features=STUDY.names) for n in STUDY.nodes))
CITIZEN = STUDY.node("node_1").features
POLLUTANTS = ("pm25", "pm10", "no2", "o3")


def seen_by(node: str) -> tuple[str, ...]:
    """The features in a node's generated file: its own and the anchors."""
    return (*STUDY.node(node).features, *(f.name for f in STUDY.features if f.anchor))


def observe(shard: Shard, features: Sequence[str]) -> Shard:
    """The same rows with only ``features`` observed."""
    kept = np.isin(STUDY.names, list(features))
    return replace(shard, x=np.where(kept, shard.x, 0.0), observed=shard.observed & kept)


def full_shard(node: str, table: pl.DataFrame, seed: int) -> Shard:
    """A table of all features as a shard of ``node``."""
    return shard_from_table(EVERYTHING, EVERYTHING.node(node), table, seed, node)


def figures(study: Study, model: RiskModel, rows: Shard) -> dict[str, Any]:
    """Metrics of a model on rows."""
    risk = model.risk(rows.x, rows.observed)
    return metrics(score_histogram(risk, rows.y, study.outcome.threshold)).as_dict()


def one_seed(seed: int, rows: int, test_rows: int) -> dict[str, dict[str, Any]]:
    """All figures of one world: name of the comparison -> metrics."""
    full = [full_shard(n.name, draw(n.name, rows, seed), seed) for n in STUDY.nodes]
    nodes = [observe(shard, seen_by(shard.node)) for shard in full]
    people = draw("people of the test", test_rows, seed)
    test = full_shard("node_1", people, seed)
    test = replace(test, fold=np.full(len(test), HELD_OUT, dtype=np.int8))
    together = fit(STUDY, exchange_within(nodes, STUDY)).model
    found = {}
    for shard in nodes:
        as_seen = observe(test, seen_by(shard.node))
        found[f"{shard.node}: local"] = figures(STUDY, fit(STUDY, exchange_within([shard], STUDY)).model, as_seen)
        found[f"{shard.node}: global"] = figures(STUDY, together, as_seen)
    found["eight features: global"] = figures(STUDY, together, observe(test, CITIZEN))
    no_aqi = [name for name in STUDY.names if name != "aqi"]
    no_pollutants = [name for name in STUDY.names if name not in POLLUTANTS]
    found["all features: global"] = figures(STUDY, together, test)
    found["all but aqi: global"] = figures(STUDY, together, observe(test, no_aqi))
    found["all but pm25, pm10, no2, o3: global"] = figures(STUDY, together, observe(test, no_pollutants))
    found["all features: fully_observed"] = figures(STUDY, fit(STUDY, exchange_within(full, STUDY)).model, test)
    truth = score_histogram(people["true_risk"].to_numpy(), test.y, STUDY.outcome.threshold)
    found["all features: true risk"] = metrics(truth).as_dict()
    return found


def main() -> None:
    """Run all seeds, print means, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=30_000, help="training rows of each node")
    parser.add_argument("--test-rows", type=int, default=60_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    runs = []
    for seed in range(1, options.seeds + 1):
        runs.append(one_seed(seed, options.rows, options.test_rows))
        print(f"seed {seed} of {options.seeds} done", flush=True)
    names = ("auroc", "brier", "calibration_slope", "calibration_intercept", "ece")
    print(f"\n{'mean of ' + str(len(runs)) + ' seeds, synthetic':38s}" + "".join(f"{n[-14:]:>16s}" for n in names))
    means = {row: {name: float(np.mean([run[row][name] for run in runs])) for name in names} for row in runs[0]}
    for row, values in means.items():
        print(f"{row:38s}" + "".join(f"{values[name]:16.4f}" for name in names))
    best = best_reachable()["subsets"]
    print(f"{'best reachable on the eight':38s}{best['citizen']['auroc']:16.4f}{best['citizen']['brier']:16.4f}")
    if options.json:
        options.json.write_text(json.dumps({"means": means, "runs": runs, "best": best}, indent=1) + "\n")


if __name__ == "__main__":
    main()
