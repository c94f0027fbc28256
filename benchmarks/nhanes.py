"""Real people of NHANES 2017-18 at three nodes, disjoint people, different blocks: is it worth learning together?

Twenty repeats for each of three outcomes. A repeat holds out 30 % of the people and puts every other person at one of
three nodes, which sees its own block, age and sex. Held-out people have all blocks. ``plain`` is the same additive fit
with missing columns at their mean; ``linked`` has a tenth of the people seen in full at their node. Gains are paired
over repeats, with the corrected resampled t interval (Nadeau & Bengio 2003), for repeats share people.

    python benchmarks/nhanes.py [--repeats 20] [--jobs 2] [--json FILE]
"""

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from unittest.mock import patch

import numpy as np
from heart_disease import paired_gain
from rich.console import Console
from rich.table import Table

from fedhealth.data.nhanes import HELD_OUT_SHARE, read_nhanes
from fedhealth.data.shard import Floats, Shard, generator, stack
from fedhealth.federation import completion, exchange_within, fit, metrics, score_histogram
from fedhealth.model import RiskModel
from fedhealth.study import Study, load_study

sys.path.remove(str(Path(__file__).parent))  # or this file would be taken for the package that holds the table
OUTCOMES = ("fair-poor-health", "diabetes", "cvd")
LINKED = 0.1
FIGURES = ("auroc", "brier", "log_loss", "calibration_slope")
CLINIC, FULL = "clinic_node alone", "fully_observed"


def linked(seen: Sequence[Shard], full: Sequence[Shard], seed: int) -> list[Shard]:
    """The shards with a tenth of each node's people seen in full."""
    found = []
    for shard, everything in zip(seen, full, strict=True):
        known = generator(seed, "linked", shard.node).random((len(shard), 1)) < LINKED
        x = np.where(known, everything.x, shard.x)
        found.append(replace(shard, x=x, observed=np.where(known, everything.observed, shard.observed)))
    return found


def plain_fit(study: Study, shards: Sequence[Shard]) -> RiskModel:
    """The additive fit in which observed columns say nothing about missing ones."""

    def nothing(_: object, centre: Floats, __: object) -> Floats:
        return np.zeros((len(centre), len(centre)))

    with patch.object(completion, "covariance", nothing):
        return fit(study, exchange_within(shards, study)).model


def one_repeat(outcome: str, seed: int) -> dict[str, dict[str, float]]:
    """Figures on held-out people of whom everything is known, by model."""
    study = load_study("nhanes", outcome)
    seen, full = read_nhanes(study, seed)
    models = {
        "federated": fit(study, exchange_within(seen, study)).model,
        "plain": plain_fit(study, seen),
        "federated, 10 % linked": fit(study, exchange_within(linked(seen, full, seed), study)).model,
        **{f"{s.node} alone": fit(study, exchange_within([s], study)).model for s in seen},
        FULL: fit(study, exchange_within(full, study)).model,
    }
    test = stack(full).held_out
    found = {}
    for name, model in models.items():
        measured = metrics(score_histogram(model.risk(test.x, test.observed), test.y, study.outcome.threshold))
        found[name] = {figure: getattr(measured, figure) for figure in FIGURES}
    return found


def summary(runs: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, object]]:
    """Means and standard deviations by model, and the paired gains of the federated models."""

    def column(name: str, figure: str) -> Floats:
        return np.array([run[name][figure] for run in runs])

    models = {n: {f: [float(column(n, f).mean()), float(column(n, f).std(ddof=1))] for f in FIGURES} for n in runs[0]}
    alone = [name for name in runs[0] if name.endswith("alone")]
    single = max(alone, key=lambda name: column(name, "auroc").mean())
    ratio = HELD_OUT_SHARE / (1 - HELD_OUT_SHARE)
    gains = {
        f"AUROC, {name} over {other}": paired_gain(column(name, "auroc"), column(other, "auroc"), ratio)
        for name, other in product(("federated", "federated, 10 % linked"), ("plain", single, FULL))
    }
    less = paired_gain(column(CLINIC, "brier"), column("federated, 10 % linked", "brier"), ratio)
    return {"models": models, "gains": gains | {"Brier, clinic_node alone less federated, 10 % linked": less}}


def main() -> None:
    """Run all repeats, print a table per outcome, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2, help="repeats that run side by side")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console, results = Console(width=120), {}
    with ProcessPoolExecutor(options.jobs) as pool:
        for outcome in OUTCOMES:
            results[outcome] = summary(list(pool.map(partial(one_repeat, outcome), range(options.repeats))))
            show(outcome, results[outcome], options.repeats, console)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def show(outcome: str, result: dict[str, dict], repeats: int, console: Console) -> None:
    """The tables of one outcome."""
    table = Table("", *FIGURES, title=f"{outcome}, mean ± sd of {repeats} repeats, people of whom all is known")
    for name, values in result["models"].items():
        table.add_row(name, *(f"{m:.4f} ± {sd:.4f}" for m, sd in values.values()))
    console.print(table)
    for name, (gain, low, high) in result["gains"].items():
        console.print(f"{name}: {gain:+.4f} (95 % interval {low:+.4f} to {high:+.4f})")


if __name__ == "__main__":
    main()
