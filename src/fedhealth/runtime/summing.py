"""A node's side of sums of which the server sees only the total, and what the two sides tell each other.

Every such sum is a round of ``privacy.secure_aggregation`` in five phases, of which the first two, keys and letters,
are done for the next sum along with ``masked`` and ``signed``. Study, run, sum, step and state are bound into masks
and signatures, so that all nodes sum the same and nobody's values serve twice.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedhealth.federation import State, packing
from fedhealth.privacy import EXITS, NotFinite
from fedhealth.privacy.secure_aggregation import Member, NodeRound, SecureAggregationError, UnfitError, fewest
from fedhealth.privacy.secure_aggregation.messages import Keys, Letter, Signed
from fedhealth.runtime.node import Node

PHASES = ("keys", "letters", "masked", "signed", "shares")


@dataclass(frozen=True)
class Call:
    """What the server tells one node in one phase of a sum.

    ``sum`` names it and is used once, ``then`` names the one after it; ``digest`` is of the step's state.
    """

    phase: str
    run: str
    sum: str
    step: str
    digest: bytes
    body: bytes
    then: str = ""

    def context(self, study_hash: str, seed: int, name: str) -> bytes:
        """What names the sum ``name``, as 32 bytes; the same at all nodes, or they do not understand each other."""
        return hashlib.sha256(packing.encode((study_hash, seed, self.run, name))).digest()

    @property
    def subject(self) -> bytes:
        """What is summed, as 32 bytes."""
        return hashlib.sha256(packing.encode((self.step, self.digest))).digest()


@dataclass(frozen=True)
class Values:
    """A node's masked values, the names and shapes of their arrays, the noise in each; and keys for the next sum."""

    names: list[str]
    shapes: list[list[int]]
    noise: float
    values: bytes
    keys: Keys


@dataclass(frozen=True)
class Arrived:
    """Whose values arrived, for all to sign, and everybody's keys for the next sum."""

    nodes: list[str]
    keys: list[Keys]


@dataclass(frozen=True)
class Agreed:
    """A node's signature under whose values arrived, and its letters for the next sum."""

    signed: Signed
    letters: list[Letter]


@dataclass
class Past:
    """What a node remembers of all sums, whatever seed or policy they were asked with."""

    seen: set[bytes] = field(default_factory=set)
    unfit: bool = False


class SummingNode:
    """A node's side: what passed its door leaves under masks."""

    def __init__(
        self,
        node: Node,
        key: Ed25519PrivateKey,
        seed: int = 0,
        check_roster: Callable[[Mapping[str, bytes]], None] = lambda _: None,
        past: Past | None = None,
    ) -> None:
        """``seed`` is that of the rows' split.

        ``check_roster`` is shown the nodes' public keys by name before any sum, and raises if they are others'.
        """
        self.node, self._key, self._seed, self._check_roster = node, key, seed, check_roster
        self._past = past or Past()
        self._member: Member | None = None
        self._sums: dict[str, NodeRound] = {}
        self._runs: dict[str, str] = {}
        self._nodes: dict[str, tuple[str, ...]] = {}
        self._steps: dict[str, str] = {}

    @property
    def public_key(self) -> bytes:
        """By which the other nodes know this one, 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def hear(self, call: Call, state: State) -> bytes:
        """Do one phase; nothing comes back from a node that was started after the sum had begun.

        A node whose values were once too large for a sum, or no numbers, takes part in no more: whether they are would
        tell of single rows.

        Raises:
            SecureAggregationError: the server, or another node, does what it must not.
            PolicyRefusal: the node's policy does not let the answer out.
        """
        if self._past.unfit:
            raise self._refusal("its values did not fit into an earlier sum")
        if call.phase == "keys":
            self._know(read(call.body, dict[str, bytes]))
            return packing.encode(self._begin(call, call.sum))
        if call.sum not in self._sums:
            return b""
        if call.run != self._runs[call.sum]:
            raise self._refusal("the sum was begun by another run")
        phases: dict[str, Callable[[Call, State], object]] = {
            "letters": lambda call, _: self._letters(call.sum, read(call.body, list[Keys])),
            "masked": self._masked,
            "signed": self._signed,
            "shares": lambda call, _: self._sums.pop(call.sum).shares(read(call.body, list[Signed])),
        }
        if call.phase not in phases:
            raise self._refusal(f"phase {call.phase!r}; expected one of {', '.join(PHASES)}")
        return packing.encode(phases[call.phase](call, state))

    def _know(self, roster: Mapping[str, bytes]) -> None:
        if roster.get(self.node.name) != self.public_key:
            raise self._refusal("the server has another key for it")
        if strangers := roster.keys() - {one.name for one in self.node.study.nodes}:
            raise self._refusal(f"{', '.join(sorted(strangers))} take no part in this study")
        try:
            known = {other: Ed25519PublicKey.from_public_bytes(key) for other, key in roster.items()}
        except ValueError:
            raise self._refusal("a node's key is none") from None
        self._check_roster(roster)
        self._member = Member(self.node.name, self._key, known, len(self.node.study.nodes), self._past.seen)
        self._sums, self._runs, self._nodes, self._steps = {}, {}, {}, {}

    def _begin(self, call: Call, name: str) -> Keys:
        assert self._member
        self._sums[name] = NodeRound(self._member, call.context(self.node.study.hash, self._seed, name))
        self._runs[name] = call.run
        return self._sums[name].keys()

    def _letters(self, name: str, everyone: list[Keys]) -> list[Letter]:
        letters = self._sums[name].letters(everyone)  # raises before anything is noted
        if len(everyone) < (least := fewest(len(self.node.study.nodes))):
            raise self._refusal(f"a sum over {len(everyone)} nodes; the study needs at least {least}")
        self._nodes[name] = tuple(sorted(one.node for one in everyone))
        return letters

    def _masked(self, call: Call, state: State) -> Values:
        if packing.digest(state) != call.digest:
            raise self._refusal("the state is not the one that the sum is about")
        if call.step not in EXITS or not EXITS[call.step].summed:
            raise self._refusal(f"step {call.step!r} is not summed")
        if call.sum not in self._nodes or call.sum in self._steps:
            raise self._refusal("values are asked for before the letters of a sum, or a second time")
        self._steps[call.sum], letters = call.step, read(call.body, list[Letter])
        try:
            answer = self.node.answer(call.step, state, self._nodes[call.sum], call.run)
            flat = np.concatenate([*(np.ravel(array) for array in answer.sums.values()), [float(answer.rows)]])
            hidden = self._sums[call.sum].masked(letters, flat, call.subject)
        except (UnfitError, NotFinite):
            self._past.unfit = True
            raise
        shapes = [list(np.shape(array)) for array in answer.sums.values()]
        keys = self._begin(call, call.then)
        return Values(list(answer.sums), shapes, answer.noise, hidden.values.tobytes(), keys)

    def _signed(self, call: Call, _: State) -> Agreed:
        if call.sum not in self._steps:
            raise self._refusal("its signature is asked for before its values")
        arrived, nodes = read(call.body, Arrived), self._nodes[call.sum]
        needed = len(nodes) if EXITS[self._steps[call.sum]].noisy else fewest(len(self.node.study.nodes))
        if len(set(arrived.nodes)) < needed:
            raise self._refusal(f"values of {len(set(arrived.nodes))} of {len(nodes)} nodes arrived; expected {needed}")
        signed = self._sums[call.sum].signed(arrived.nodes)
        return Agreed(signed, self._letters(call.then, arrived.keys) if len(arrived.keys) == len(nodes) else [])

    def _refusal(self, why: str) -> SecureAggregationError:
        return SecureAggregationError(f"{self.node.name} refused: {why}")


def read(body: bytes, kind: Any, name: str = "the server") -> Any:
    """A message of this kind; SecureAggregationError, with the sender's ``name``, where it is none."""
    try:
        return packing.decode(body, kind)
    except ValueError as error:
        raise SecureAggregationError(f"got a message of {name} that {error}") from None
