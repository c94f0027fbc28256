"""How questions and answers travel: named float64 arrays, bit for bit, and plain settings, in one piece of bytes.

Flower sends every record and array of a message in requests of its own; a single piece costs the fewest.
"""

import hashlib
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from flwr.app import ConfigRecord, Message, RecordDict

from fedhealth.federation import Contribution, State, packing
from fedhealth.federation.packing import Packed, Piece
from fedhealth.runtime.summing import Call

HELLO, GOODBYE = "hello", "goodbye"
LARGEST = 256 * 2**20  # bytes of a message
TURNED_AWAY = "the server refused: "  # how the text of a goodbye to a node begins that is not let in
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
    run: str = ""
    text: str = ""
    call: Call | None = None

    @property
    def mark(self) -> bytes:
        """What an answer repeats, so that it cannot be taken for the answer to another question."""
        told = (self.run, self.study_hash, self.seed, self.step)
        return hashlib.sha256(packing.encode(told) + packing.digest(self.state)).digest()


@dataclass(frozen=True)
class Introduction:
    """A node's answer to ``hello``: its name, whether its rows were generated, its public key, its policy's hash.

    ``version`` is that of its program, empty from one that does not tell it.
    """

    node: str
    synthetic: bool
    public_key: bytes
    policy: str
    version: str = ""


@dataclass(frozen=True)
class _Asked:
    question: dict[str, Any]
    call: Call | None
    state: dict[str, Piece]


@dataclass(frozen=True)
class _Told:
    answers: bytes
    contribution: Packed


def pack_question(question: Question) -> RecordDict:
    """The question as Flower's records."""
    settings = {f.name: getattr(question, f.name) for f in fields(question) if f.name not in ("state", "call")}
    return _pack(_Asked(settings, question.call, packing.pieces(question.state)))


def unpack_question(message: Message) -> Question:
    """The question that a node received; ValueError where it cannot be read."""
    asked = _unpack(message, _Asked)
    return Question(**asked.question, state=packing.arrays_of(asked.state), call=asked.call)


def pack_contribution(question: Question, contribution: Contribution) -> RecordDict:
    """The answer to ``question`` as Flower's records."""
    return _pack(_Told(question.mark, Packed.of(contribution)))


def unpack_contribution(question: Question, message: Message) -> Contribution:
    """The answer that the server received; ValueError where it cannot be read, or answers another question."""
    told = _unpack(message, _Told)
    if told.answers != question.mark:
        raise ValueError("answers another question")
    return told.contribution.contribution()


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


def size_of(message: Message) -> int:
    """How many bytes a message carries; 0 of one that is of another form."""
    try:
        return len(_carried(message))
    except ValueError:
        return 0


def _pack(told: object) -> RecordDict:
    return RecordDict({"told": ConfigRecord({"bytes": packing.encode(told)})})


def _unpack(message: Message, kind: type[T]) -> T:
    return packing.decode(_carried(message), kind)


def _carried(message: Message) -> bytes:
    try:
        told = message.content.config_records["told"]["bytes"]
    except (KeyError, TypeError):
        raise ValueError("is of another form") from None
    if not isinstance(told, bytes) or len(told) > LARGEST:
        raise ValueError(f"is of another form, or has more than {LARGEST:,} bytes")
    return told
