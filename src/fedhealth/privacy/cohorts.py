"""Which rows were answered about before: two answers over nearly the same rows, subtracted, would tell the rest.

A cohort is remembered by 64-bit hashes of its rows, in a folder beside the node's table. Nothing of it leaves.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedhealth.data.files import replacing
from fedhealth.data.shard import Hashes, Shard


@dataclass(frozen=True)
class Cohort:
    """The rows of one job as sorted hashes, how they were split, and the folder that remembers those of earlier ones.

    Training and held-out rows are both answered about, so a cohort is all of them; and sums over the held-out rows of
    many splits would tell of single rows, so that one split is all that is answered about. Rows are known twice: by
    what the study reads (``rows``), which a table written anew does not change, and by all that the ``table`` says,
    which another outcome or other features do not change.
    """

    folder: Path
    rows: Hashes
    table: Hashes
    split: str

    @classmethod
    def of(cls, shard: Shard, folder: Path) -> "Cohort":
        """The cohort of a shard's rows."""
        read = np.column_stack([shard.x, shard.observed, shard.y])
        found = np.frombuffer(b"".join(_hash(row.tobytes()) for row in read), dtype=np.uint64)
        order = np.lexsort((shard.fold, found))
        split = hashlib.sha256(found[order].tobytes() + np.ascontiguousarray(shard.fold[order]).tobytes()).hexdigest()
        return cls(folder, np.sort(found), np.sort(shard.table), split)

    def is_split_anew(self) -> bool:
        """Whether just these rows were answered about before, split otherwise into training and held-out ones."""
        return self._split_path.is_file() and self._split_path.read_text(encoding="ascii") != self.split

    def nearest(self) -> int:
        """In how many rows it differs from the earlier cohort most like it; 0 where it equals one or is the first."""
        if self._path.is_file():
            return 0
        rows = [_difference(self.rows, other) for other in self._earlier(".npy")]
        tables = [_difference(self.table, other) for other in self._earlier(".table.npy")]
        return min((difference for difference in (*rows, *tables) if difference), default=0)

    def remember(self) -> None:
        """Keep it for :meth:`nearest`, on disk before anything is answered about it."""
        if not self._path.is_file():
            _write(self._path.with_suffix(".table.npy"), self.table)
            self._split_path.write_text(self.split, encoding="ascii")
            _write(self._path, self.rows)

    def _earlier(self, ending: str) -> Iterator[Hashes]:
        for path in sorted(self.folder.glob(f"*{ending}")):
            if path.name.count(".") == ending.count("."):
                yield np.load(path, allow_pickle=False)

    @property
    def _split_path(self) -> Path:
        return self._path.with_suffix(".split")

    @property
    def _path(self) -> Path:
        return self.folder / f"{hashlib.sha256(self.rows.tobytes()).hexdigest()[:16]}.npy"


def _hash(row: bytes) -> bytes:
    return hashlib.blake2b(row, digest_size=8).digest()


def _write(path: Path, found: Hashes) -> None:
    with replacing(path) as part, part.open("wb") as file:
        np.save(file, found, allow_pickle=False)


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
