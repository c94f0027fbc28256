"""All that a study's folder holds: the nodes' shards and, where it can be known, every feature of the same people."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fedhealth.data import synthetic
from fedhealth.data.files import DataError
from fedhealth.data.generated import is_synthetic
from fedhealth.data.nhanes import read_nhanes
from fedhealth.data.shard import Shard
from fedhealth.data.tables import read_shard, shard_from_table
from fedhealth.study import Study


@dataclass(frozen=True)
class Dataset:
    """The nodes' rows for a run.

    Attributes:
        shards: what each node observes, in the study's node order.
        full: the same rows with every feature observed, where they can be known (synthetic world, NHANES).
        best: best reachable metrics of the synthetic world, by feature subset.
        synthetic: names of the nodes whose rows were generated.
    """

    shards: tuple[Shard, ...]
    full: tuple[Shard, ...] = ()
    best: dict[str, Any] | None = None
    synthetic: tuple[str, ...] = ()


def load_dataset(study: Study, folder: Path, seed: int) -> Dataset:
    """Read every node's rows; ``seed`` keys the split into training and held-out rows.

    Raises:
        DataError: see :mod:`fedhealth.data.tables`.
    """
    if study.source.kind == "nhanes":
        return Dataset(*read_nhanes(study, seed))
    shards = tuple(read_shard(study, node, folder, seed) for node in study.nodes)
    world = folder / "world.json"
    if not world.is_file():
        return Dataset(shards)
    try:
        facts = json.loads(world.read_text(encoding="utf-8"))
        facts = {name: facts[name] for name in ("rows", "seed", "best")}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{world}: not what the generator writes ({error}); generate the data again") from None
    generated = tuple(node.name for node in study.nodes if is_synthetic(node, folder))
    full = _full_rows(study, shards, facts, seed) if len(generated) == len(shards) else ()
    return Dataset(shards, full, facts["best"] if full else None, generated)


def read_own_shard(study: Study, node: str, data: Path, seed: int) -> Shard:
    """Read one node's rows and no other's (the ``nhanes`` package holds all in one table; the rest is dropped).

    Raises:
        DataError: the table cannot be used.
    """
    if study.source.kind == "nhanes":
        return next(shard for shard in read_nhanes(study, seed)[0] if shard.node == node)
    return read_shard(study, study.node(node), data, seed)


def _full_rows(study: Study, shards: tuple[Shard, ...], facts: dict[str, Any], seed: int) -> tuple[Shard, ...]:
    """Draw the same people again with every feature; empty where the files were changed since."""
    everything = replace(study, nodes=tuple(replace(n, features=study.names) for n in study.nodes))
    full = tuple(
        shard_from_table(everything, n, synthetic.draw(n.name, facts["rows"], facts["seed"]), seed, n.name)
        for n in everything.nodes
    )
    if not all(np.array_equal(f.y, s.y) for f, s in zip(full, shards, strict=True)):
        return ()
    return tuple(replace(f, fold=s.fold, table=s.table) for f, s in zip(full, shards, strict=True))
