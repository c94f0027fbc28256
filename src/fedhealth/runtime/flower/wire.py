"""How questions and answers travel: named float64 arrays, bit for bit, and plain settings, in one piece of bytes.

Flower sends every record and array of a message in requests of its own; a single piece costs the fewest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec
import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict

from fedhealth.federation import Contribution, State
from fedhealth.federation.contribution import Floats
from fedhealth.runtime.secure import Call

HELLO, GOODBYE = "hello", "goodbye"
REFUSED = "the server refused: "  # how the text of a goodbye to a node begins that is not let in
T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """What the server asks: a step and its state, for a study (by hash) whose rows are split by ``seed``.

    The steps ``hello`` (who are you?) and ``goodbye`` (``text`` says how the run ended) read no rows. With a ``call``
    the step is one phase of a sum under masks.
    """

    step: str
    study_hash: str
    seed: int
    state: State
    text: str = ""
    call: Call | None = None


@dataclass(frozen=True)
class Introduction:
    """A node's answer to ``hello``."""

    node: str
    synthetic: bool
    public_key: bytes


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
class _Asked:
    question: dict[str, Any]
    call: Call | None
    state: dict[str, Piece]


@dataclass(frozen=True)
class _Told:
    rows: int
    noise: float
    sums: dict[str, Piece]


def pack_question(question: Question) -> RecordDict:
    """The question as Flower's records."""
    settings = {"step": question.step, "study_hash": question.study_hash, "seed": question.seed, "text": question.text}
    return _pack(_Asked(settings, question.call, _pieces(question.state)))


def unpack_question(message: Message) -> Question:
    """The question that a node received; ValueError where it cannot be read."""
    asked = _unpack(message, _Asked)
    return Question(**asked.question, state=_arrays(asked.state), call=asked.call)


def pack_contribution(contribution: Contribution) -> RecordDict:
    """A contribution as Flower's records."""
    return _pack(_Told(contribution.rows, contribution.noise, _pieces(contribution.sums)))


def unpack_contribution(message: Message) -> Contribution:
    """The contribution that the server received; ValueError where it cannot be read."""
    told = _unpack(message, _Told)
    return Contribution(_arrays(told.sums), told.rows, noise=told.noise)


def pack_introduction(introduction: Introduction) -> RecordDict:
    """An introduction as Flower's records."""
    return _pack(introduction)


def unpack_introduction(message: Message) -> Introduction:
    """The introduction that the server received; ValueError where it cannot be read."""
    return _unpack(message, Introduction)


def pack_body(body: bytes) -> RecordDict:
    """A node's answer in one phase of a sum under masks."""
    return _pack(body)


def unpack_body(message: Message) -> bytes:
    """The answer that the server received; ValueError where it cannot be read."""
    return _unpack(message, bytes)


def _pieces(arrays: Mapping[str, Floats]) -> dict[str, Piece]:
    return {name: Piece.of(array) for name, array in arrays.items()}


def _arrays(pieces: Mapping[str, Piece]) -> dict[str, Floats]:
    return {name: piece.array() for name, piece in pieces.items()}


def _pack(told: object) -> RecordDict:
    return RecordDict({"told": ConfigRecord({"bytes": msgspec.msgpack.encode(told)})})


def _unpack(message: Message, kind: type[T]) -> T:
    try:
        told = cast("bytes", message.content.config_records["told"]["bytes"])
        return msgspec.msgpack.decode(told, type=kind)
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise ValueError(f"a message that cannot be read as {kind.__name__}: {error}") from None
