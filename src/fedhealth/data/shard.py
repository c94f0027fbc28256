"""A node's local rows as arrays, and how they are split before anything is fitted."""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]
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
        table: a hash of all that the node's table says in each of its rows, whatever the study reads of it, rows that
            are not used too; shape ``(0,)`` where there is no table.
        notes: what the reader noticed, in words for the node's operator.
    """

    node: str
    x: Floats
    observed: NDArray[np.bool_]
    y: Floats
    fold: NDArray[np.int8]
    site: NDArray[np.int16]
    stratum: NDArray[np.int16]
    table: Hashes = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
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


def hashes(texts: Sequence[str]) -> Hashes:
    """A 64-bit hash of each text, the same on every machine."""
    found = (hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(found), dtype="<u8")


def assign_folds(
    people: Sequence[str],
    seed: int,
    node: str,
    held_out: float = 0.2,
    folds: int = 3,
    fixed: Sequence[int] = (),
) -> NDArray[np.int8]:
    """Fold of each row, shape ``(n,)``: about a share ``held_out`` (0..1) of the people is -1, the rest 0..folds-1.

    ``people`` names the person of each row; all rows of one person get one fold. It follows from the person's name,
    seed and node alone: were it to depend on who else is there, one row more would move others' between training and
    evaluation, and no clip would bound what that row changes. Where ``fixed`` numbers rows, exactly those are held out.
    """
    drawn = hashes([f"{seed}\0{node}\0{name}" for name in people]) / 2.0**64
    share = 0.0 if fixed else held_out
    fold = np.floor((drawn - share) / (1.0 - share) * folds).clip(0, folds - 1).astype(np.int8)
    fold[drawn < share] = HELD_OUT
    fold[list(fixed)] = HELD_OUT
    return fold
