"""What differential privacy costs: AUROC, bias of the mean risk and calibration slope against epsilon.

Beside the model without noise: our noisy sums with all noise at every node ("local") and with the noise shared between
nodes whose sum alone is seen ("shared", each adding 1 / (K - 1) of the variance), DP-SGD on pooled rows, and averaging
with noise for whole nodes (client-level). All are of one row at delta = 1e-5, but the last, which is of one node.
Figures are paired differences to the fit without noise, on held-out people who are fully observed in the synthetic
world. Synthetic: five nodes like one another, and the three unlike nodes of the health-risk study.

    python benchmarks/privacy_utility.py [--seeds 20] [--rows 30000] [--real FOLDER] [--json FILE]

With ``--real`` also NHANES (diabetes) and the four hospitals, whose files are in FOLDER/uci_heart.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from health_risk import CITIZEN, STUDY, full_shard, observe, seen_by
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fedhealth.data.dataset import load_dataset
from fedhealth.data.shard import Shard, stack
from fedhealth.data.synthetic import draw
from fedhealth.federation import exchange_within, fit, fit_private, metrics, score_histogram
from fedhealth.federation.private_sums import clipped
from fedhealth.federation.training import Exchange
from fedhealth.model import RiskModel, sigmoid
from fedhealth.privacy import Budget
from fedhealth.privacy.noise import noised
from fedhealth.study import Study, load_study

EPSILONS = (0.5, 1.0, 3.0, 8.0, np.inf)
PENALTY = (30.0, 3.0)  # of the fit without noise
SGD_ROUNDS, SGD_CLIP = 100, 1.0


class World(NamedTuple):
    """Nodes, and the people that models are compared on."""

    study: Study
    nodes: Sequence[Shard]
    people: Shard


def like_nodes(features: Sequence[str], rows: int, seed: int, count: int = 5) -> World:
    """``count`` nodes that all observe ``features``."""
    full = [full_shard("node_1", draw(f"node {k}", rows // count, seed), seed) for k in range(count)]
    kept = [STUDY.index(name) for name in features]
    node = replace(STUDY.nodes[0], features=tuple(features))
    study = replace(
        STUDY,
        features=tuple(STUDY.features[i] for i in kept),
        nodes=tuple(replace(node, name=f"n{k}") for k in range(count)),
        subgroups=(),
    )

    def narrowed(shard: Shard, name: str) -> Shard:
        return replace(shard, node=name, x=shard.x[:, kept], observed=shard.observed[:, kept])

    people = full_shard("node_1", draw("people of the test", 30_000, seed), seed)
    return World(study, [narrowed(s, f"n{k}") for k, s in enumerate(full)], narrowed(people, "test"))


def unlike_nodes(rows: int, seed: int) -> World:
    """The three nodes of the health-risk study, each with what its own file holds."""
    full = [full_shard(n.name, draw(n.name, rows, seed), seed) for n in STUDY.nodes]
    people = full_shard("node_1", draw("people of the test", 30_000, seed), seed)
    return World(STUDY, [observe(shard, seen_by(shard.node)) for shard in full], people)


def real(name: str, folder: Path, seed: int) -> World:
    """A built-in study on real data; compared on the nodes' own held-out rows."""
    study = load_study(name, "diabetes" if name == "nhanes" else None)
    shards = load_dataset(study, folder, seed).shards
    return World(study, shards, stack([shard.held_out for shard in shards]))


def noisy(world: World, generator: np.random.Generator, shared: bool) -> Exchange:
    """An exchange whose replies have noise; ``shared`` between the nodes, so that only their sum has enough."""
    inner, holders = exchange_within(world.nodes, world.study), len(world.nodes) - 1 if shared else 1

    def exchange(step, state):
        price = float(state["spend"]) * np.sqrt(holders)
        return {name: noised(reply, price, generator) for name, reply in inner(step, state).items()}

    return exchange


def ours(world: World, epsilon: float, seed: int, shared: bool) -> RiskModel:
    """Our private fit."""
    generator = np.random.default_rng([seed, 1])
    if np.isinf(epsilon):
        return fit_private(world.study, exchange_within(world.nodes, world.study), mu=1e6).model
    return fit_private(world.study, noisy(world, generator, shared), Budget(epsilon).mu).model


def dp_sgd(world: World, base: RiskModel, epsilon: float, seed: int) -> RiskModel:
    """Gradient descent on all rows in one place with clipped rows and noise; its columns are those of ``base``."""
    rows = stack(world.nodes).training
    columns = base.design.matrix(rows.x, rows.observed)
    deviation = 0.0
    if not np.isinf(epsilon):
        deviation = SGD_CLIP / (Budget(epsilon).mu / np.sqrt(SGD_ROUNDS))
    return _descend(base, deviation, np.random.default_rng([seed, 2]), lambda b: _row_gradients(columns, rows.y, b))


def client_level(world: World, base: RiskModel, epsilon: float, seed: int) -> RiskModel:
    """Averaging of the nodes' mean gradients, each clipped, with noise for a whole node (McMahan et al. 2018)."""
    parts = [s.training for s in world.nodes]
    columns = [base.design.matrix(p.x, p.observed) for p in parts]
    deviation = 0.0
    if not np.isinf(epsilon):
        deviation = SGD_CLIP / (Budget(epsilon).mu / np.sqrt(SGD_ROUNDS))

    def gradients(b):
        means = [(sigmoid(c @ b) - p.y) @ c / len(p) for c, p in zip(columns, parts, strict=True)]
        return np.stack(means)

    return _descend(base, deviation, np.random.default_rng([seed, 3]), gradients)


def _row_gradients(columns, y, b):
    return columns * (sigmoid(columns @ b) - y)[:, None]


def _descend(base: RiskModel, deviation: float, generator: np.random.Generator, gradients: Callable) -> RiskModel:
    """Adam (Kingma & Ba 2015) on noisy means of clipped gradients; the average of the last half."""
    b, first, second, kept = np.zeros(base.design.width), 0.0, 0.0, []
    b[0] = base.coefficients[0]
    for step in range(1, SGD_ROUNDS + 1):
        each = clipped(gradients(b), SGD_CLIP)
        mean = (each.sum(axis=0) + generator.normal(0, deviation, b.shape)) / len(each)
        first, second = 0.9 * first + 0.1 * mean, 0.99 * second + 0.01 * mean**2
        b = b - 0.05 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
        kept.append(b)
    return replace(base, coefficients=np.mean(kept[SGD_ROUNDS // 2 :], axis=0), calibration=np.array([0.0, 1.0]))


def figures(world: World, model: RiskModel) -> tuple[float, float, float]:
    """AUROC, mean risk minus share of positives, calibration slope."""
    risk = model.risk(world.people.x, world.people.observed)
    found = metrics(score_histogram(risk, world.people.y, world.study.outcome.threshold))
    return found.auroc, float(risk.mean() - world.people.y.mean()), found.calibration_slope


def one_world(world: World, seed: int) -> Iterator[tuple[str, float, tuple[float, float, float]]]:
    """Mechanism, epsilon, and loss of AUROC, bias and slope."""
    base = fit(world.study, exchange_within(world.nodes, world.study), penalty=PENALTY).model
    best = figures(world, base)
    yield "without noise", np.inf, best
    for epsilon in EPSILONS:
        models = {
            "shared": lambda epsilon=epsilon: ours(world, epsilon, seed, shared=True),
            "local": lambda epsilon=epsilon: ours(world, epsilon, seed, shared=False),
            "DP-SGD, pooled": lambda epsilon=epsilon: dp_sgd(world, base, epsilon, seed),
            "client-level": lambda epsilon=epsilon: client_level(world, base, epsilon, seed),
        }
        for name, train in models.items():
            auroc, bias, slope = figures(world, train())
            yield name, epsilon, (best[0] - auroc, bias, slope)


def worlds(rows: int, folder: Path | None) -> dict[str, Callable[[int], World]]:
    """Every data set by name: a seed gives its world."""
    found: dict[str, Callable[[int], World]] = {
        "synthetic, 8 features, 5 nodes": lambda seed: like_nodes(CITIZEN, rows, seed),
        f"synthetic, {len(STUDY.names)} features, 5 nodes": lambda seed: like_nodes(STUDY.names, rows, seed),
        "synthetic, 3 unlike nodes": lambda seed: unlike_nodes(rows, seed),
    }
    if folder:
        found["NHANES, diabetes, 3 unlike nodes"] = lambda seed: real("nhanes", folder, seed)
        found["four hospitals"] = lambda seed: real("heart-disease", folder / "uci_heart", seed)
    return found


def main() -> None:
    """Run, print a table for each data set, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--json", type=Path)
    asked, console, results = parser.parse_args(), Console(), {}
    sys.path.append(sys.path.pop(0))  # else nhanes.py beside this file hides the package of that name
    for title, world in worlds(asked.rows, asked.real).items():
        found: dict[tuple[str, float], list[tuple[float, float, float]]] = {}
        for seed in track(range(asked.seeds), title, console=console, transient=True):
            for name, epsilon, values in one_world(world(seed), seed):
                found.setdefault((name, epsilon), []).append(values)
        results[title] = [
            {
                "mechanism": name,
                "epsilon": None if np.isinf(epsilon) else epsilon,
                **dict(zip(("auroc_loss", "bias", "slope"), np.mean(values, axis=0).tolist(), strict=True)),
                "auroc_loss_sd": float(np.std(values, axis=0)[0]),
                "largest_bias": float(np.abs(np.array(values))[:, 1].max()),
            }
            for (name, epsilon), values in found.items()
        ]
        console.print(table(title, results[title]))
    if asked.json:
        asked.json.write_text(
            json.dumps({"seeds": asked.seeds, "rows": asked.rows, "results": results}, indent=1) + "\n"
        )


def table(title: str, lines: Sequence[dict]) -> Table:
    """The figures of one data set; the first line is AUROC itself, all others are losses of it."""
    shown = Table("mechanism", "epsilon", "AUROC lost (sd)", "bias", "largest", "slope", title=title, box=None)
    for line in lines:
        epsilon = "∞" if line["epsilon"] is None else f"{line['epsilon']:g}"
        lost = f"{line['auroc_loss']:.4f} ({line['auroc_loss_sd']:.4f})"
        shown.add_row(
            line["mechanism"],
            epsilon,
            lost,
            f"{line['bias']:+.4f}",
            f"{line['largest_bias']:.4f}",
            f"{line['slope']:.3f}",
        )
    return shown


if __name__ == "__main__":
    main()
