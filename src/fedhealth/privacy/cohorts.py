"""Which rows were answered about before: two answers over nearly the same rows, subtracted, would tell the rest.

A cohort is remembered by one 64-bit hash per row, in a folder beside the node's table. Nothing of it leaves.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedhealth.data.shard import Hashes, Shard


@dataclass(frozen=True)
class Cohort:
    """The rows of one job as sorted hashes, how they were split, and the folder that remembers those of earlier ones.

    Training and held-out rows are both answered about, so a cohort is all of them; and sums over the held-out rows of
    many splits would tell of single rows, so that one split is all that is answered about.
    """

    folder: Path
    rows: Hashes
    split: str

    @classmethod
    def of(cls, shard: Shard, folder: Path) -> "Cohort":
        """The cohort of a shard's rows: the same for every study and outcome that reads the same table."""
        found = shard.identity
        order = np.lexsort((shard.fold, found))
        split = hashlib.sha256(found[order].tobytes() + np.ascontiguousarray(shard.fold[order]).tobytes()).hexdigest()
        return cls(folder, np.sort(found), split)

    def is_split_anew(self) -> bool:
        """Whether just these rows were answered about before, split otherwise into training and held-out ones."""
        return self._split_path.is_file() and self._split_path.read_text(encoding="ascii") != self.split

    def nearest(self) -> int:
        """In how many rows it differs from the earlier cohort most like it; 0 where it equals one or is the first."""
        if self._path.is_file():
            return 0
        earlier = (np.load(path, allow_pickle=False) for path in sorted(self.folder.glob("*.npy")))
        return min((_difference(self.rows, other) for other in earlier), default=0)

    def remember(self) -> None:
        """Keep it for :meth:`nearest`, on disk before anything is answered about it."""
        if not self._path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            staged = self._path.with_suffix(".new")
            with staged.open("wb") as file:
                np.save(file, self.rows, allow_pickle=False)
            self._split_path.write_text(self.split, encoding="ascii")
            staged.replace(self._path)

    @property
    def _split_path(self) -> Path:
        return self._path.with_suffix(".split")

    @property
    def _path(self) -> Path:
        return self.folder / f"{hashlib.sha256(self.rows.tobytes()).hexdigest()[:16]}.npy"


def cohort_folder(data: Path, node: str) -> Path:
    """Where the cohorts of ``node`` are remembered."""
    return data / f"{node}.cohorts"


def _difference(one: Hashes, other: Hashes) -> int:
    """Rows that are in one and not in the other; equal rows count as often as they occur."""
    values, where = np.unique(np.concatenate([one, other]), return_inverse=True)
    counts = np.bincount(where[: len(one)], minlength=len(values)) - np.bincount(
        where[len(one) :], minlength=len(values)
    )
    return int(np.abs(counts).sum())
