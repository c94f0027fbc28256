"""Many small nodes of the synthetic world, for simulations: each sees the columns of one of the study's three nodes."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from fedhealth.data.shard import HELD_OUT, Shard
from fedhealth.data.synthetic.world import HOTLINE, STUDY, draw_chunks
from fedhealth.study import Study, load_study

HELD_OUT_SHARE, FOLDS = 0.2, 3


def draw_clients(clients: int, rows: int, seed: int) -> Iterator[Shard]:
    """Synthetic shards of ``clients`` nodes with ``rows`` rows each, every row another person; drawn as they are read.

    Client ``i`` observes what the health-risk study's node ``i`` (in turn) observes, and the anchors. A fifth of its
    rows is held out.

    Args:
        clients: how many, at least 1.
        rows: of each, at least 1.
        seed: of the world, at least 0. The first clients are the same however many are drawn.
    """
    if clients < 1:
        raise ValueError(f"clients: got {clients}; expected at least 1")
    study, first, left = load_study(STUDY), 0, None
    for drawn in draw_chunks(HOTLINE, clients * rows, seed):
        table = drawn if left is None else pl.concat([left, drawn])
        whole = table.height // rows
        yield from _split(study, table, first, whole, rows)
        first, left = first + whole, table[whole * rows :]


def _split(study: Study, table: pl.DataFrame, first: int, clients: int, rows: int) -> Iterator[Shard]:
    """The next ``clients`` shards from the top of the table."""
    x = table.select(study.names).to_numpy().astype(np.float64)
    y = table[study.outcome.columns[0]].to_numpy().astype(np.float64)
    cities = {name: place for place, name in enumerate(study.cities)}
    city = table["city"].replace_strict(cities, return_dtype=pl.Int16)
    stratum = (city * 12 + table["date"].dt.month().cast(pl.Int16) - 1).to_numpy()
    held_out = round(HELD_OUT_SHARE * rows)
    fold = np.where(np.arange(rows) < held_out, HELD_OUT, np.arange(rows) % FOLDS).astype(np.int8)
    for i in range(clients):
        own, kind = slice(i * rows, (i + 1) * rows), (first + i) % len(study.nodes)
        seen = np.array([f.name in study.nodes[kind].features or f.anchor for f in study.features])
        observed = np.broadcast_to(seen, (rows, len(seen)))
        site = np.full(rows, kind, dtype=np.int16)
        yield Shard(f"client_{first + i + 1}", np.where(seen, x[own], 0.0), observed, y[own], fold, site, stratum[own])
