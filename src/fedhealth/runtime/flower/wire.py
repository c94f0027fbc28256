"""How questions and answers travel: named float64 arrays, bit for bit, and plain settings. Nothing else."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from fedhealth.federation import Contribution, State
from fedhealth.federation.contribution import Floats

HELLO, GOODBYE = "hello", "goodbye"


@dataclass(frozen=True)
class Question:
    """What the server asks: a step and its state, for a study (by hash) whose rows are split by ``seed``.

    The steps ``hello`` (who are you?) and ``goodbye`` (``text`` says how the run ended) read no rows.
    """

    step: str
    study_hash: str
    seed: int
    state: State
    text: str = ""


@dataclass(frozen=True)
class Introduction:
    """A node's answer to ``hello``: its name, whether its rows were generated, the hash of its policy."""

    node: str
    synthetic: bool
    policy: str


def pack_question(question: Question) -> RecordDict:
    """The question as Flower's records."""
    settings: dict[str, str | int | bool] = {
        "step": question.step,
        "study": question.study_hash,
        "seed": question.seed,
        "text": question.text,
    }
    return _pack(question.state, settings)


def unpack_question(message: Message) -> Question:
    """The question that a node received."""
    settings, state = _settings(message), _unpack(message.content)
    return Question(str(settings["step"]), str(settings["study"]), int(settings["seed"]), state, str(settings["text"]))


def pack_contribution(contribution: Contribution) -> RecordDict:
    """A contribution as Flower's records."""
    return _pack(contribution.sums, {"rows": contribution.rows, "noise": contribution.noise})


def unpack_contribution(message: Message) -> Contribution:
    """The contribution that the server received."""
    settings = _settings(message)
    return Contribution(_unpack(message.content), int(settings["rows"]), noise=float(settings["noise"]))


def pack_introduction(introduction: Introduction) -> RecordDict:
    """An introduction as Flower's records."""
    return _pack({}, asdict(introduction))


def unpack_introduction(message: Message) -> Introduction:
    """The introduction that the server received."""
    settings = _settings(message)
    return Introduction(str(settings["node"]), bool(settings["synthetic"]), str(settings["policy"]))


def _pack(arrays: Mapping[str, Floats], settings: Mapping[str, str | int | float | bool]) -> RecordDict:
    """All arrays end to end in one, since every array costs requests of its own; names and shapes beside it."""
    flat = np.concatenate([np.zeros(0), *(np.ravel(a) for a in arrays.values())])
    layout = {"names": list(arrays), "shapes": [",".join(map(str, np.shape(a))) for a in arrays.values()]}
    return RecordDict(
        {
            "arrays": ArrayRecord({"values": Array(flat)}),
            "layout": ConfigRecord({name: value for name, value in layout.items() if value}),
            "settings": ConfigRecord(dict(settings)),
        }
    )


def _unpack(content: RecordDict) -> dict[str, Floats]:
    flat = content.array_records["arrays"]["values"].numpy()
    layout: dict[str, Any] = dict(content.config_records["layout"])
    shapes = [tuple(int(n) for n in shape.split(",") if n) for shape in layout.get("shapes", [])]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes], dtype=np.intp)
    pieces = np.split(np.asarray(flat, dtype=np.float64), ends)
    named = zip(layout.get("names", []), pieces, shapes, strict=False)  # after the last shape an empty piece is left
    return {name: piece.reshape(shape) for name, piece, shape in named}


def _settings(message: Message) -> dict[str, Any]:
    return dict(message.content.config_records["settings"])
