"""Four hospitals, real data: one federated model beside FLamby's FedAvg, pooled linear models and boosted trees.

Twenty stratified splits of the 740 rows that are complete in FLamby's features (du Terrail et al. 2022), then FLamby's
own split. The model, declared beforehand, trains on every row that is not in the test set, with every column as it is.
Site accuracy is the unweighted mean over hospitals of the share of risks on the right side of 0.5; accuracy, AUROC and
log loss are over all test rows.

    python benchmarks/heart_disease.py --data DIR [--splits 20] [--json FILE]

DIR holds the four `processed.*.data` files of UCI data set 45.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import t as student
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

from fedhealth.data.dataset import load_dataset
from fedhealth.data.shard import Floats, generator, stack
from fedhealth.federation import SEGMENTS, exchange_within, fit
from fedhealth.model import sigmoid
from fedhealth.study import Study, load_study

STUDY = load_study("heart-disease")
# Declared before any split was scored: what `fedhealth train --study heart-disease` trains, without options.
DECLARED = "additive"
FLAMBY_SPLIT = 43
# Site-average accuracy in per cent on FLamby's split, as published: https://github.com/owkin/FLamby
PUBLISHED = {"FedAvg": "68.5 ± 2.5", "best federated (FedAdagrad, FedYogi)": "73.1 ± 1.1", "pooled": "73.5 ± 0.3"}
FEDAVG, POOLED, MAJORITY = "FedAvg, FLamby's settings", "pooled one-hot linear", "majority of each hospital"
ROUNDS, UPDATES, BATCH, RATE = 15, 100, 4, 1e-3  # 486 rows // 4 hospitals // 4 rows * 50 epochs // 100 updates = 15
Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Hospital:
    """One hospital's complete rows: positions in its file, FLamby's 13 columns and labels."""

    rows: NDArray[np.intp]
    x: Floats
    y: Floats

    def split(self, seed: int) -> Masks:
        """Which rows are test rows: 34 %, stratified by label where FLamby does."""
        stratify = self.y if min(self.y.sum(), (1 - self.y).sum()) > 2 else None
        everyone = np.arange(len(self.y))
        _, test = train_test_split(
            everyone, train_size=0.66, test_size=0.34, random_state=seed, shuffle=True, stratify=stratify
        )
        return np.isin(everyone, test)


def read_hospital(path: Path) -> Hospital:
    """Rows that are complete without slope, ca and thal; chest pain and ECG one-hot without the first level."""
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").split()]
    kept = [i for i, cells in enumerate(lines) if not {"?", "-9", "-9.0"} & {*cells[:10], cells[13]}]
    table = np.array([[float(lines[i][j]) for j in (*range(10), 13)] for i in kept])
    levels = [table[:, [2]] == [2, 3, 4], table[:, [6]] == [1, 2]]
    numbers = np.delete(table[:, :10], [2, 6], axis=1)
    return Hospital(np.array(kept), np.column_stack([numbers, *levels]), (table[:, 10] > 0).astype(np.float64))


@dataclass(frozen=True)
class Split:
    """One split: each hospital's complete rows and its test mask, by name; ``seed`` keys what trains at random."""

    hospitals: Mapping[str, Hospital]
    test: Mapping[str, Masks]
    folder: Path
    seed: int

    def study(self) -> Study:
        """The study with this split's test rows held out."""
        nodes = (replace(n, held_out=self._rows(n.name)) for n in STUDY.nodes)
        return replace(STUDY, nodes=tuple(nodes))

    def _rows(self, name: str) -> tuple[int, ...]:
        return tuple(int(row) for row in self.hospitals[name].rows[self.test[name]])


Risks = dict[str, Floats]  # of the test rows, by hospital, in the order of the file


def federated(model: str, split: Split) -> Risks:
    """The federated model over all rows that are not test rows."""
    study = split.study()
    shards = load_dataset(study, split.folder, seed=0).shards
    trained = fit(study, exchange_within(shards, study), SEGMENTS[model]).model
    rows = {s.node: s.held_out for s in shards}
    return {name: trained.risk(r.x, r.observed, r.site) for name, r in rows.items()}


def fedavg(split: Split) -> Risks:
    """FedAvg of a logistic regression with FLamby's settings, each hospital scaled by its own training rows."""
    rng = generator(split.seed, "fedavg")
    scaled, batches, sizes = {}, {}, {}
    for name, hospital in split.hospitals.items():
        training = ~split.test[name]
        mean, sd = hospital.x[training].mean(axis=0), hospital.x[training].std(axis=0, ddof=1)
        x = np.column_stack([(hospital.x - mean) / np.where(sd > 0, sd, 1.0), np.ones(len(hospital.x))])
        scaled[name], sizes[name] = x[split.test[name]], training.sum()
        batches[name] = _batches(x[training], hospital.y[training], rng)
    weights = rng.uniform(-1, 1, 14) / np.sqrt(13)
    for _ in range(ROUNDS):
        moved = {name: _descend(weights, batches[name]) - weights for name in batches}
        weights = weights + sum(sizes[name] * moved[name] for name in moved) / sum(sizes.values())
    return {name: sigmoid(x @ weights) for name, x in scaled.items()}


def _batches(x: Floats, y: Floats, rng: np.random.Generator):
    """Batches without end, shuffled anew for every epoch."""
    while True:
        order = rng.permutation(len(y))
        for first in range(0, len(y), BATCH):
            chosen = order[first : first + BATCH]
            yield x[chosen], y[chosen]


def _descend(weights: Floats, batches) -> Floats:
    for _ in range(UPDATES):
        x, y = next(batches)
        weights = weights - RATE * (sigmoid(x @ weights) - y) @ x / len(y)
    return weights


def pooled_linear(split: Split) -> Risks:
    """Logistic regression on FLamby's 13 columns of all hospitals' complete training rows in one place."""
    x = np.concatenate([h.x[~split.test[n]] for n, h in split.hospitals.items()])
    y = np.concatenate([h.y[~split.test[n]] for n, h in split.hospitals.items()])
    mean, sd = x.mean(axis=0), x.std(axis=0)
    model = LogisticRegression(max_iter=1000).fit((x - mean) / sd, y)
    test = {n: h.x[split.test[n]] for n, h in split.hospitals.items()}
    return {name: model.predict_proba((rows - mean) / sd)[:, 1] for name, rows in test.items()}


def pooled_all_columns(split: Split) -> Risks:
    """Logistic regression on every row and column in one place: one-hot, missing indicators, hospital."""
    return _pooled(split, LogisticRegression(max_iter=1000), _linear_columns)


def boosted_trees(split: Split) -> Risks:
    """Gradient-boosted trees on every row and column in one place, with the hospital; scikit-learn's defaults."""
    kinds = [f.kind == "category" for f in STUDY.features] + [True]
    model = HistGradientBoostingClassifier(categorical_features=kinds, random_state=0)
    return _pooled(split, model, lambda x, seen, site: np.column_stack([np.where(seen, x, np.nan), site]))


def _pooled(split: Split, model, columns: Callable[[Floats, Masks, NDArray[np.int16]], Floats]) -> Risks:
    shards = load_dataset(split.study(), split.folder, seed=0).shards
    rows = stack(shards).training
    everything = columns(rows.x, rows.observed, rows.site)
    mean, sd = np.nanmean(everything, axis=0), np.nanstd(everything, axis=0)
    scale = (lambda x: (x - mean) / np.where(sd > 0, sd, 1.0)) if isinstance(model, LogisticRegression) else np.asarray
    model.fit(scale(everything), rows.y)
    test = {s.node: s.held_out for s in shards}
    return {name: model.predict_proba(scale(columns(r.x, r.observed, r.site)))[:, 1] for name, r in test.items()}


def _linear_columns(x: Floats, seen: Masks, site: NDArray[np.int16]) -> Floats:
    parts = [~seen, site[:, None] == np.arange(len(STUDY.nodes))]
    for i, feature in enumerate(STUDY.features):
        if feature.kind == "category":
            parts.append((x[:, [i]] == np.arange(1, len(feature.levels))) & seen[:, [i]])
        else:
            middle = {"number": (feature.low + feature.high) / 2, "flag": 0.0}[feature.kind]
            parts.append(np.where(seen[:, [i]], x[:, [i]], middle))
    return np.column_stack(parts).astype(np.float64)


def majority(split: Split) -> Risks:
    """Each hospital's own share of positive training rows, for everybody."""
    share = {name: h.y[~split.test[name]].mean() for name, h in split.hospitals.items()}
    return {name: np.full(int(split.test[name].sum()), value) for name, value in share.items()}


METHODS: dict[str, Callable[[Split], Risks]] = {
    f"federated {DECLARED} (declared)": lambda split: federated(DECLARED, split),
    "federated logistic": lambda split: federated("logistic", split),
    FEDAVG: fedavg,
    POOLED: pooled_linear,
    "pooled linear, all columns and rows": pooled_all_columns,
    "boosted trees, all columns and rows": boosted_trees,
    MAJORITY: majority,
}
OURS = next(iter(METHODS))
MEASURES = ("site_accuracy", "accuracy", "auroc", "log_loss")
Scores = dict[str, float]


def score(split: Split, risks: Risks) -> Scores:
    """Measures of one method on one split's test rows; ``accuracy.<hospital>`` besides ``MEASURES``."""
    y = {name: h.y[split.test[name]] for name, h in split.hospitals.items()}
    right = {name: (risks[name] >= 0.5) == (y[name] == 1) for name in y}
    labels, risk = np.concatenate(list(y.values())), np.concatenate([risks[name] for name in y])
    return {
        "site_accuracy": float(np.mean([r.mean() for r in right.values()])),
        "accuracy": float(np.concatenate(list(right.values())).mean()),
        "auroc": float(roc_auc_score(labels, risk)),
        "log_loss": float(log_loss(labels, risk)),
        **{f"accuracy.{name}": float(r.mean()) for name, r in right.items()},
    }


def paired_gain(first: Floats, second: Floats, test_to_training: float) -> tuple[float, float, float]:
    """Mean of ``first - second`` over splits and its 95 % corrected resampled t interval (Nadeau & Bengio 2003).

    Splits share rows, so the variance of the mean over ``J`` splits is ``(1 / J + test / training) * s^2``.
    """
    gain = first - second
    spread = np.sqrt((1 / len(gain) + test_to_training) * gain.var(ddof=1))
    half = student.ppf(0.975, len(gain) - 1) * spread
    return float(gain.mean()), float(gain.mean() - half), float(gain.mean() + half)


def run(folder: Path, splits: int, console: Console) -> dict[str, object]:
    """All splits and FLamby's; everything that is printed, ready for JSON."""
    hospitals = {node.name: read_hospital(folder / node.file) for node in STUDY.nodes}
    found: dict[str, list[Scores]] = {name: [] for name in METHODS}
    for seed in (*range(splits), FLAMBY_SPLIT):
        split = Split(hospitals, {name: h.split(seed) for name, h in hospitals.items()}, folder, seed)
        for name, method in METHODS.items():
            found[name].append(score(split, method(split)))
        console.print(f"split {seed} scored", style="dim")
    flamby = {name: scores.pop() for name, scores in found.items()}
    values = {name: {m: np.array([s[m] for s in scores]) for m in MEASURES} for name, scores in found.items()}
    tested = sum(int(mask.sum()) for mask in split.test.values())
    ratio = tested / (sum(len(h.y) for h in hospitals.values()) - tested)
    gains = {
        other: {m: paired_gain(values[OURS][m], values[other][m], ratio) for m in MEASURES}
        for other in METHODS
        if other != OURS
    }
    return {
        "splits": found,
        "mean": {name: {m: float(v.mean()) for m, v in by.items()} for name, by in values.items()},
        "sd": {name: {m: float(v.std(ddof=1)) for m, v in by.items()} for name, by in values.items()},
        "gain": gains,
        "flamby_split": flamby,
        "published": PUBLISHED,
    }


def show(results: dict, splits: int, console: Console) -> None:
    """The tables."""
    table = Table(
        "method", "site accuracy %", "accuracy %", "AUROC", "log loss", title=f"{splits} splits, mean ± sd", box=None
    )
    for name, mean in results["mean"].items():
        sd = results["sd"][name]
        shares = (f"{100 * mean[m]:.1f} ± {100 * sd[m]:.1f}" for m in MEASURES[:2])
        table.add_row(name, *shares, *(f"{mean[m]:.3f} ± {sd[m]:.3f}" for m in MEASURES[2:]))
    console.print(table)
    title = "mean paired gain of the declared method (95 % corrected resampled t interval)"
    table = Table("over", "site accuracy, points", "AUROC", "log loss", title=title, box=None)
    for other, gain in results["gain"].items():
        points = "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * v for v in gain["site_accuracy"]))
        rest = ("{:+.3f} ({:+.3f} to {:+.3f})".format(*gain[m]) for m in MEASURES[2:])
        table.add_row(other, points, *rest)
    console.print(table)
    hospitals = [node.name for node in STUDY.nodes]
    table = Table("method", "site accuracy %", *hospitals, "AUROC", "log loss", title="FLamby's split", box=None)
    for name, scores in results["flamby_split"].items():
        shares = (f"{100 * scores[m]:.1f}" for m in ("site_accuracy", *(f"accuracy.{h}" for h in hospitals)))
        table.add_row(name, *shares, f"{scores['auroc']:.3f}", f"{scores['log_loss']:.3f}")
    for name, accuracy in results["published"].items():
        table.add_row(f"published: {name}", accuracy)
    console.print(table)


def main() -> None:
    """Run, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the four processed.*.data files")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console = Console(width=120)
    results = run(options.data, options.splits, console)
    show(results, options.splits, console)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
