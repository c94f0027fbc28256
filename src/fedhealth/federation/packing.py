"""Contributions and states as bytes, bit for bit: to travel, to be kept, and to be compared by a hash."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np

from fedhealth.federation.contribution import Contribution, Floats, State

T = TypeVar("T")


@dataclass(frozen=True)
class Piece:
    """An array of float64: its shape and its bytes in C order."""

    shape: list[int]
    values: bytes

    @classmethod
    def of(cls, array: Floats) -> "Piece":
        """The piece that stands for ``array``."""
        return cls(list(np.shape(array)), np.ascontiguousarray(array, dtype=np.float64).tobytes())

    def array(self) -> Floats:
        """The array; ValueError where shape and bytes do not fit."""
        return np.frombuffer(self.values, dtype=np.float64).reshape(self.shape)


@dataclass(frozen=True)
class Packed:
    """A contribution without what only its node needs to know (its sensitivity)."""

    rows: int
    noise: float
    sums: dict[str, Piece]

    @classmethod
    def of(cls, contribution: Contribution) -> "Packed":
        """What stands for ``contribution``."""
        return cls(contribution.rows, contribution.noise, pieces(contribution.sums))

    def contribution(self) -> Contribution:
        """The contribution; ValueError where it is damaged."""
        return Contribution(arrays_of(self.sums), self.rows, noise=self.noise)


def pieces(arrays: Mapping[str, Floats]) -> dict[str, Piece]:
    """Every array as a piece."""
    return {name: Piece.of(array) for name, array in arrays.items()}


def arrays_of(packed: Mapping[str, Piece]) -> dict[str, Floats]:
    """Every piece as an array; ValueError where one is damaged."""
    return {name: piece.array() for name, piece in packed.items()}


def encode(value: object) -> bytes:
    """Dataclasses, mappings, lists and plain values as bytes (MessagePack)."""
    return msgspec.msgpack.encode(value)


def decode(data: bytes, kind: type[T]) -> T:
    """The value of this kind.

    Raises:
        ValueError: the bytes are none.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read as {getattr(kind, '__name__', kind)}: {error}") from None


def digest(state: State) -> bytes:
    """A SHA-256 over names, shapes and bits of all arrays, in the order of names."""
    told = hashlib.sha256()
    for name in sorted(state):
        array = np.ascontiguousarray(state[name], dtype=np.float64)
        told.update(f"{name} {np.shape(state[name])} ".encode() + array.tobytes())
    return told.digest()
