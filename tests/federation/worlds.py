"""A tiny study with every kind of feature, and rows of it with a known risk, for tests of what learns from them."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fedhealth.data.shard import HELD_OUT, Shard
from fedhealth.study import study_from_dict

STUDY = study_from_dict(
    {
        "name": "tiny",
        "title": "Tiny",
        "policy": "research",
        "outcomes": [{"name": "ill", "title": "illness", "threshold": 0.3}],
        "features": [
            {
                "name": "pulse",
                "title": "Pulse",
                "modality": "wearable",
                "kind": "number",
                "unit": "/min",
                "low": 40,
                "high": 140,
            },
            {
                "name": "lead",
                "title": "Lead",
                "modality": "environment",
                "kind": "number",
                "unit": "ug/dL",
                "low": 0.01,
                "high": 100,
                "scale": "log",
            },
            {"name": "smoker", "title": "Smokes", "modality": "clinic", "kind": "flag"},
            {
                "name": "pain",
                "title": "Pain",
                "modality": "clinic",
                "kind": "category",
                "levels": ["none", "some", "much"],
                "high": 2,
            },
        ],
        "nodes": [
            {"name": name, "title": name, "file": name, "features": ["pulse", "lead", "smoker", "pain"]}
            for name in ("east", "north", "south", "west")
        ],
    },
    "tiny.toml",
)
OFFSET_STUDY = dataclasses.replace(STUDY, node_intercepts=True)


def draw_rows(n: int, seed: int, missing: float | Sequence[float] = 0.0, node: str = "east") -> Shard:
    """``n`` rows with a non-linear risk; ``missing`` is the share of values that are not observed (by feature)."""
    rng = np.random.default_rng(seed)
    x = np.column_stack(
        [
            np.clip(rng.normal(80, 15, n), 40, 140).round(1),
            np.clip(np.exp(rng.normal(0, 1, n)), 0.01, 100).round(2),
            rng.random(n) < 0.3,
            rng.integers(3, size=n),
        ]
    ).astype(np.float64)
    logit = -1.5 + ((x[:, 0] - 80) / 20) ** 2 * 0.6 + 0.8 * np.log(x[:, 1]) + 0.9 * x[:, 2] + 0.7 * (x[:, 3] == 2)
    observed = rng.random(x.shape) >= np.asarray(missing)
    return make_shard(np.where(observed, x, 0.0), observed, rng.random(n) < 1 / (1 + np.exp(-logit)), node=node)


def make_shard(x: object, observed: object, y: object, fold: object = None, node: str = "east") -> Shard:
    """A shard of ``STUDY``; without ``fold`` every fifth row is held out."""
    rows = np.asarray(x, dtype=np.float64)
    cycle = np.arange(len(rows))
    return Shard(
        node,
        rows,
        np.asarray(observed, dtype=bool),
        np.asarray(y, dtype=np.float64),
        np.asarray(np.where(cycle % 5 == 0, HELD_OUT, cycle % 3) if fold is None else fold, dtype=np.int8),
        np.full(len(rows), [n.name for n in STUDY.nodes].index(node), dtype=np.int16),
        np.full(len(rows), -1, dtype=np.int16),
        cycle.astype(np.uint64),
    )


def split(rows: Shard, place: np.ndarray) -> list[Shard]:
    """The rows at the nodes that ``place`` (shape ``(n,)``) numbers; a row's site follows its node."""
    parts = []
    for position, node in enumerate(STUDY.nodes):
        part = rows.rows(place == position)
        site = np.full(len(part), position, dtype=np.int16)
        parts.append(dataclasses.replace(part, node=node.name, site=site))
    return parts


def hide(rows: Shard, features: Sequence[int]) -> Shard:
    """The rows without these features."""
    observed = rows.observed & ~np.isin(np.arange(rows.x.shape[1]), features)
    return dataclasses.replace(rows, x=np.where(observed, rows.x, 0.0), observed=observed)
