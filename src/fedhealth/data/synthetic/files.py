"""Write a synthetic world to disk as the nodes would hold it, and say how well anyone could predict in it."""

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Any

import polars as pl

from fedhealth.data.files import replacing, sha256_of
from fedhealth.data.synthetic.world import HOTLINE, STUDY, draw, draw_chunks
from fedhealth.study import Node, load_study

Progress = Callable[[int], None]
NOTICE = "Synthetic data: no row is a measurement of a person or a place."
BEST = "best.json"


def write_world(
    folder: str | Path, rows: int = 30_000, seed: int = 7, progress: Progress | None = None
) -> dict[str, Any]:
    """Write one table per node and ``world.json``; nothing in the folder changes until all are complete.

    Args:
        folder: where; made if missing. The files of an earlier world in it are replaced.
        rows: of each node, at least 1.
        seed: of the world, at least 0; the same seed and rows give the same bytes.
        progress: called with the number of rows just written, ``3 * rows`` in all.

    Returns:
        What ``world.json`` holds: ``synthetic`` (always true), ``notice``, ``study``, ``seed``, ``rows`` (a
        node), ``prevalence`` by node, ``sha256`` by file, and ``best`` as :func:`best_reachable` gives it.
    """
    nodes, where = load_study(STUDY).nodes, Path(folder)
    with ExitStack() as stack:  # leaves in reverse order: the tables first, world.json last
        summary = stack.enter_context(replacing(where / "world.json"))
        parts = {node.name: stack.enter_context(replacing(where / node.file)) for node in nodes}
        positives = {node.name: _write_table(node, rows, seed, parts[node.name], progress) for node in nodes}
        world = {
            "synthetic": True,
            "notice": NOTICE,
            "study": STUDY,
            "seed": seed,
            "rows": rows,
            "prevalence": {name: round(count / rows, 6) for name, count in positives.items()},
            "sha256": {node.file: sha256_of(parts[node.name]) for node in nodes},
            "best": best_reachable(),
        }
        summary.write_text(json.dumps(world, indent=2) + "\n", encoding="utf-8")
    return world


def table_columns(node: Node) -> tuple[str, ...]:
    """The columns of a node's table: who and where, the anchors, the node's features, the label."""
    heading = ("user_id", "date", "city", "sex") if node.person else ("city_id", "date", "city", "age", "sex")
    return (*heading, *(name for name in node.features if name not in heading), "health_risk")


def best_reachable() -> dict[str, Any]:
    """The best any model can reach in this world, by what it may see (``benchmarks/best_reachable.py``).

    ``subsets`` maps ``all``, ``citizen`` (the eight of the form), each node (with its anchors) and
    ``without_<modality>`` to ``features``, ``auroc``, ``brier`` and ``log_loss``, averaged over ``seeds``
    worlds; ``world`` is the hash of the world that was measured.
    """
    found: dict[str, Any] = json.loads((resources.files(__package__) / BEST).read_text(encoding="utf-8"))
    return found


def world_hash() -> str:
    """SHA-256 over some rows and their true risks: it changes when the world does."""
    rows = pl.concat([draw(node, 5_000, seed=0) for node in ("node_1", HOTLINE)])
    text = rows.with_columns(pl.col("true_risk").round(6)).write_csv()
    return hashlib.sha256(text.encode()).hexdigest()


def _write_table(node: Node, rows: int, seed: int, path: Path, progress: Progress | None) -> int:
    """Write the node's table and return its number of positive labels."""
    positives = 0
    with path.open("wb") as file:
        for chunk in draw_chunks(node.name, rows, seed):
            chunk.select(table_columns(node)).write_csv(file, include_header=file.tell() == 0)
            positives += int(chunk["health_risk"].sum())
            if progress:
                progress(len(chunk))
    return positives
