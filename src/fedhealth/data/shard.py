"""A node's local rows as arrays, and how they are split before anything is fitted."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
HELD_OUT = -1


@dataclass(frozen=True)
class Shard:
    """Rows of one node: ``n`` rows by ``d`` study features, in the study's column order.

    Attributes:
        node: name of the node that holds the rows.
        x: values, shape ``(n, d)``, in the study's units; 0 where not observed.
        observed: mask, shape ``(n, d)``, True where the value was observed.
        y: labels 0 or 1, shape ``(n,)``.
        fold: shape ``(n,)``; -1 for held-out rows (never trained on), else the cross-fitting fold 0, 1, ...
        site: shape ``(n,)``; position of the row's node in ``study.nodes``.
        stratum: shape ``(n,)``; ``12 * city + month - 1`` with the city's position in ``study.cities``, -1 if unknown.
        notes: what the reader noticed, in words for the node's operator.
    """

    node: str
    x: Floats
    observed: NDArray[np.bool_]
    y: Floats
    fold: NDArray[np.int8]
    site: NDArray[np.int16]
    stratum: NDArray[np.int16]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, chosen: NDArray[np.bool_]) -> "Shard":
        """The shard of the rows where ``chosen`` (shape ``(n,)``) is True."""
        return replace(
            self,
            x=self.x[chosen],
            observed=self.observed[chosen],
            y=self.y[chosen],
            fold=self.fold[chosen],
            site=self.site[chosen],
            stratum=self.stratum[chosen],
        )

    @property
    def training(self) -> "Shard":
        """The rows that may be trained on."""
        return self.rows(self.fold != HELD_OUT)

    @property
    def held_out(self) -> "Shard":
        """The rows kept for evaluation."""
        return self.rows(self.fold == HELD_OUT)


def stack(shards: Sequence[Shard], node: str = "pooled") -> Shard:
    """All rows of several shards as one, folds and sites kept (what no federation could do; a baseline)."""
    return Shard(
        node,
        x=np.concatenate([s.x for s in shards]),
        observed=np.concatenate([s.observed for s in shards]),
        y=np.concatenate([s.y for s in shards]),
        fold=np.concatenate([s.fold for s in shards]),
        site=np.concatenate([s.site for s in shards]),
        stratum=np.concatenate([s.stratum for s in shards]),
    )


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """Randomness keyed by a seed and names such as a node and a round; equal keys give equal streams."""
    words = [zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys]
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))


def assign_folds(
    people: NDArray[np.generic],
    seed: int,
    node: str,
    held_out: float = 0.2,
    folds: int = 3,
    fixed: Sequence[int] = (),
) -> NDArray[np.int8]:
    """Fold of each row, shape ``(n,)``: a share ``held_out`` (0..1) of the people is -1, the rest 0..folds-1.

    ``people`` names the person of each row (or numbers the rows); all rows of one person get one fold. Where
    ``fixed`` numbers rows, exactly those are held out.
    """
    unique, position = np.unique(people, return_inverse=True)
    rank = generator(seed, node, "folds").permutation(len(unique))[position]
    fold = (rank % folds).astype(np.int8)
    fold[list(fixed) if fixed else rank < round(held_out * len(unique))] = HELD_OUT
    return fold
