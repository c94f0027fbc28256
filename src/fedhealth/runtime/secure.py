"""Sums of which the server sees only the total, over any way to reach the nodes.

Every such sum is a round of ``privacy.secure_aggregation`` in five phases, of which the first two, keys and letters,
are done for the next sum along with ``masked`` and ``signed``. Study, run, sum, step and state are bound into masks
and signatures, so that all nodes sum the same and nobody's values serve twice.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedhealth.federation import TOGETHER, Contribution, Exchange, State, packing
from fedhealth.privacy import EXITS
from fedhealth.privacy.secure_aggregation import (
    Member,
    NodeRound,
    SecureAggregationError,
    ServerRound,
    UnfitError,
    fewest,
)
from fedhealth.privacy.secure_aggregation.messages import Keys, Letter, Masked, Shares, Signed
from fedhealth.privacy.secure_aggregation.node import threshold
from fedhealth.runtime.node import Node

TRIES = 5  # sums that are begun for one step
NOTHING: State = MappingProxyType({})
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

    def context(self, study_hash: str, name: str) -> bytes:
        """What names the sum ``name``, as 32 bytes; the same at all nodes, or they do not understand each other."""
        return hashlib.sha256(packing.encode((study_hash, self.run, name))).digest()

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


Talk = Callable[[Mapping[str, Call], State], Mapping[str, bytes]]
"""Send each node its call, with a state; get the nodes' answers."""


class SummingNode:
    """A node's side: what passed its door leaves under masks."""

    def __init__(
        self,
        node: Node,
        key: Ed25519PrivateKey,
        check_roster: Callable[[Mapping[str, bytes]], None] = lambda _: None,
    ) -> None:
        """``check_roster`` is shown the nodes' public keys by name before any sum, and raises if they are others'."""
        self.node, self._key, self._check_roster = node, key, check_roster
        self._member: Member | None = None
        self._sums: dict[str, NodeRound] = {}
        self._nodes: dict[str, tuple[str, ...]] = {}
        self._steps: dict[str, str] = {}
        self._unfit = False

    @property
    def public_key(self) -> bytes:
        """By which the other nodes know this one, 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def hear(self, call: Call, state: State) -> bytes:
        """Do one phase; nothing comes back from a node that was started after the sum had begun.

        A node whose values were once too large for a sum takes part in no more: how large would tell of its rows.

        Raises:
            SecureAggregationError: the server, or another node, does what it must not.
            PolicyRefusal: the node's policy does not let the answer out.
        """
        if self._unfit:
            raise self._refusal("its values did not fit into an earlier sum")
        if call.phase == "keys":
            self._know(_decode(call.body, dict[str, bytes]))
            return packing.encode(self._begin(call, call.sum))
        if call.sum not in self._sums:
            return b""
        phases: dict[str, Callable[[Call, State], object]] = {
            "letters": lambda call, _: self._letters(call.sum, _decode(call.body, list[Keys])),
            "masked": self._masked,
            "signed": self._signed,
            "shares": lambda call, _: self._sums.pop(call.sum).shares(_decode(call.body, list[Signed])),
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
        seen = self._member.seen if self._member else set()
        self._member = Member(self.node.name, self._key, known, seen)
        self._sums, self._nodes, self._steps = {}, {}, {}

    def _begin(self, call: Call, name: str) -> Keys:
        assert self._member
        self._sums[name] = NodeRound(self._member, call.context(self.node.study.hash, name))
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
        self._steps[call.sum], letters = call.step, _decode(call.body, list[Letter])
        answer = self.node.answer(call.step, state, self._nodes[call.sum], call.run)
        flat = np.concatenate([*(np.ravel(array) for array in answer.sums.values()), [float(answer.rows)]])
        try:
            hidden = self._sums[call.sum].masked(letters, flat, call.subject)
        except UnfitError:
            self._unfit = True
            raise
        shapes = [list(np.shape(array)) for array in answer.sums.values()]
        keys = self._begin(call, call.then)
        return Values(list(answer.sums), shapes, answer.noise, hidden.values.tobytes(), keys)

    def _signed(self, call: Call, _: State) -> Agreed:
        if call.sum not in self._steps:
            raise self._refusal("its signature is asked for before its values")
        arrived, nodes = _decode(call.body, Arrived), self._nodes[call.sum]
        needed = fewest(len(nodes), EXITS[self._steps[call.sum]].noisy)
        if len(set(arrived.nodes)) < needed:
            raise self._refusal(f"values of {len(set(arrived.nodes))} of {len(nodes)} nodes arrived; expected {needed}")
        signed = self._sums[call.sum].signed(arrived.nodes)
        return Agreed(signed, self._letters(call.then, arrived.keys) if len(arrived.keys) == len(nodes) else [])

    def _refusal(self, why: str) -> SecureAggregationError:
        return SecureAggregationError(f"{self.node.name} refused: {why}")


@dataclass(frozen=True)
class Begun:
    """A sum whose nodes have exchanged keys and letters."""

    name: str
    server: ServerRound
    passed: Mapping[str, list[Letter]]


@dataclass
class SecureExchange:
    """An exchange in which what trains a model comes as a total, under ``TOGETHER``; all else as ``plain`` gives it.

    ``roster`` has the nodes' public keys by name; ``talk`` gives the answers of those that are still there, and begins
    a sum (phase ``keys``) only with enough. ``run`` names the run to the nodes; a total over fewer than ``enough`` is
    not asked for.
    """

    study_hash: str
    plain: Exchange
    talk: Talk
    roster: Mapping[str, bytes]
    run: str = ""
    enough: int = 0
    _next: Begun | None = None

    def __call__(self, step: str, state: State) -> Mapping[str, Contribution]:
        """Ask all nodes; a sum that lost too many of them is begun anew.

        Raises:
            SecureAggregationError: a node refused, the nodes' answers do not belong together, or no sum was finished.
        """
        if not EXITS[step].summed:
            return self.plain(step, state)
        for _ in range(TRIES):
            about = Call("", self.run, "", step, packing.digest(state), b"")
            begun, self._next = self._next or self._begin(about), None
            if begun and (total := self._total(begun, about, state)) is not None:
                return {TOGETHER: total}
        raise SecureAggregationError(f"step {step!r}: nodes were lost in each of {TRIES} sums; see why they are lost")

    def _ask(self, about: Call, phase: str, bodies: Mapping[str, object], kind: Any, state: State = NOTHING) -> Any:
        calls = {name: replace(about, phase=phase, body=packing.encode(body)) for name, body in bodies.items()}
        found = {name: _decode(told, kind, name) for name, told in self.talk(calls, state).items() if told}
        for name, told in found.items():
            if getattr(told, "node", name) != name:
                raise SecureAggregationError(f"{name} answers as {told.node}")
        return found

    def _begin(self, about: Call) -> Begun | None:
        """A new sum with whoever is there; None if too few stay until its letters are written."""
        about = replace(about, sum=secrets.token_hex(8))
        keys = list(self._ask(about, "keys", _same(self.roster, dict(self.roster)), Keys).values())
        letters = self._ask(about, "letters", _same([one.node for one in keys], keys), list[Letter])
        return self._begun(about, about.sum, keys, letters)

    def _begun(self, about: Call, name: str, keys: list[Keys], letters: Mapping[str, list[Letter]]) -> Begun | None:
        if len(letters) < max(fewest(len(keys)), self.enough):
            return None
        server = ServerRound(about.context(self.study_hash, name), keys)
        return Begun(name, server, server.pass_on([letter for each in letters.values() for letter in each]))

    def _total(self, begun: Begun, about: Call, state: State) -> Contribution | None:
        """The sum over all nodes that stay to its end; None if they are too few."""
        server, nodes = begun.server, len(begun.server.keys)
        about = replace(about, sum=begun.name, then=secrets.token_hex(8))
        values: dict[str, Values] = self._ask(about, "masked", begun.passed, Values, state)
        if len(values) < max(fewest(nodes, EXITS[about.step].noisy), self.enough):
            return None
        _check_alike(about.step, values)
        numbers = {name: np.frombuffer(each.values, dtype=np.uint64) for name, each in values.items()}
        arrived = server.arrived([Masked(name, each) for name, each in numbers.items()], about.subject)
        keys = [each.keys for each in values.values()]
        agreed: dict[str, Agreed] = self._ask(about, "signed", _same(arrived, Arrived(list(arrived), keys)), Agreed)
        if len(agreed) < threshold(nodes):
            return None
        signed = [one.signed for one in agreed.values()]
        shares = list(self._ask(about, "shares", _same(agreed, signed), Shares).values())
        if len(shares) < threshold(nodes):
            return None
        if len(agreed) == len(self.roster):  # with a node missing the next sum begins anew, so that it can come back
            self._next = self._begun(about, about.then, keys, {name: one.letters for name, one in agreed.items()})
        return _contribution(server.total(shares), list(values.values()))


def _same(names: Iterable[str], body: object) -> dict[str, Any]:
    return {name: body for name in names}  # noqa: C420 (dict.fromkeys would read as if the bodies were copies)


def _check_alike(step: str, values: Mapping[str, Values]) -> None:
    first, one = next(iter(values.items()))
    for name, other in values.items():
        size = 8 * (1 + sum(int(np.prod(shape)) for shape in other.shapes))
        if len(other.values) != size or not 0 <= other.noise < np.inf or other.keys.node != name:
            raise SecureAggregationError(f"{name} answers step {step!r} with damaged values")
        if (other.names, other.shapes, len(other.values)) != (one.names, one.shapes, len(one.values)):
            raise SecureAggregationError(
                f"{name} answers step {step!r} with other arrays than {first}; install one version everywhere"
            )


def _contribution(flat: Any, values: list[Values]) -> Contribution:
    ends = np.cumsum([int(np.prod(shape)) for shape in values[0].shapes], dtype=np.intp)
    pieces = zip(values[0].names, np.split(flat[:-1], ends), values[0].shapes, strict=False)
    sums = {name: piece.reshape(shape) for name, piece, shape in pieces}
    return Contribution(sums, round(flat[-1]), noise=float(np.hypot.reduce([one.noise for one in values])))


def _decode(body: bytes, kind: Any, name: str = "the server") -> Any:
    try:
        return packing.decode(body, kind)
    except ValueError as error:
        raise SecureAggregationError(f"got a message of {name} that {error}") from None
