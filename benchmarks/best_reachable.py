"""The best AUROC, Brier score and log loss reachable in the synthetic world, by what a model may see.

With all features the best prediction is the true risk itself. With some of them it is the expected true risk
given those, which boosted trees learn from many draws over several worlds (least squares on the true risk: no
label noise). Scores are expectations over labels, on rows of worlds that the trees have not seen. Prints a
table and writes ``src/fedhealth/data/synthetic/best.json``; run it again whenever the world changes.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from fedhealth.data.synthetic import draw, files
from fedhealth.study import load_study

Floats = NDArray[np.float64]
TRAIN_SEEDS = range(1000, 1008)
TEST_SEEDS = range(2000, 2008)
OUT = Path(files.__file__).with_name(files.BEST)


def feature_subsets() -> dict[str, tuple[str, ...]]:
    """What a model may see, by the subset's name; all in the study's order."""
    study = load_study(files.STUDY)
    known = {"all": set(study.names), "citizen": set(study.node("node_1").features)}
    known |= {node.name: set(files.table_columns(node)) for node in study.nodes}
    for modality in study.modalities:
        known[f"without_{modality}"] = {f.name for f in study.features if f.modality != modality}
    return {name: tuple(f for f in study.names if f in seen) for name, seen in known.items()}


def draws(seeds: range, rows: int) -> pl.DataFrame:
    """``rows`` rows in all, an equal share from each world."""
    return pl.concat([draw("node_1", rows // len(seeds), seed) for seed in seeds])


def expected_scores(predicted: Floats, risk: Floats) -> dict[str, float]:
    """Expected AUROC (ties count half), Brier score and log loss over labels drawn from ``risk``."""
    _, tie = np.unique(predicted, return_inverse=True)
    positive, negative = np.bincount(tie, risk), np.bincount(tie, 1 - risk)
    below = np.cumsum(negative) - negative / 2
    p = np.clip(predicted, 1e-6, 1 - 1e-6)
    return {
        "auroc": float(positive @ below / (positive.sum() * negative.sum())),
        "brier": float(np.mean(risk * (1 - p) ** 2 + (1 - risk) * p**2)),
        "log_loss": float(-np.mean(risk * np.log(p) + (1 - risk) * np.log(1 - p))),
    }


def best_prediction(features: tuple[str, ...], train: pl.DataFrame, test: pl.DataFrame) -> Floats:
    """The expected true risk of the test rows given their features, shape (n,)."""
    if len(features) == len(load_study(files.STUDY).names):
        return test["true_risk"].to_numpy()
    trees = HistGradientBoostingRegressor(
        learning_rate=0.1, max_iter=200, max_leaf_nodes=63, min_samples_leaf=200, early_stopping=False
    )
    trees.fit(train.select(features).to_numpy(), train["true_risk"].to_numpy())
    predicted: Floats = trees.predict(test.select(features).to_numpy())
    return predicted


def main() -> None:
    """Measure every subset, print a line each, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2_000_000, help="rows to learn from")
    parser.add_argument("--test-draws", type=int, default=800_000, help="fresh rows to score on")
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    train, test = draws(TRAIN_SEEDS, chosen.draws), draws(TEST_SEEDS, chosen.test_draws)
    risk, subsets = test["true_risk"].to_numpy(), {}
    print(f"{len(train):,} draws, scored on {len(test):,} fresh ones, prevalence {risk.mean():.4f}")
    print(f"{'subset':20} features  AUROC   Brier  log loss  seconds")
    for name, features in feature_subsets().items():
        started = time.perf_counter()
        scores = expected_scores(best_prediction(features, train, test), risk)
        subsets[name] = {"features": list(features)} | {k: round(v, 5) for k, v in scores.items()}
        seconds = time.perf_counter() - started
        print(f"{name:20} {len(features):8} {'  '.join(f'{v:.4f}' for v in scores.values())} {seconds:8.0f}")
    record = {
        "world": files.world_hash(),
        "draws": len(train),
        "test_draws": len(test),
        "seeds": len(TRAIN_SEEDS),
        "prevalence": round(float(risk.mean()), 5),
        "subsets": subsets,
    }
    chosen.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
