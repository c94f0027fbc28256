"""Sums of which the server sees only the total, over any way to reach the nodes.

Every such sum is a round of ``privacy.secure_aggregation`` in five phases. Its context binds study, run, sum, step and
state, so that all nodes sum the same and nobody's values serve twice.
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
from fedhealth.privacy.secure_aggregation import Member, NodeRound, SecureAggregationError, ServerRound, fewest
from fedhealth.privacy.secure_aggregation.messages import Keys, Letter, Masked, Shares, Signed
from fedhealth.privacy.secure_aggregation.node import threshold
from fedhealth.runtime.node import Node

TRIES = 5  # sums that are begun for one step
PHASES = ("keys", "letters", "masked", "signed", "shares")


@dataclass(frozen=True)
class Call:
    """What the server tells one node in one phase of a sum.

    ``sum`` names it and is used once; ``digest`` is of the step's state.
    """

    phase: str
    run: str
    sum: str
    step: str
    digest: bytes
    body: bytes

    def context(self, study_hash: str) -> bytes:
        """What the round is about, as 32 bytes; the same at all nodes, or they do not understand each other."""
        told = (study_hash, self.run, self.sum, self.step, self.digest)
        return hashlib.sha256(packing.encode(told)).digest()


@dataclass(frozen=True)
class Values:
    """A node's masked values, the names and shapes of the arrays that they are, and the noise in each."""

    names: list[str]
    shapes: list[list[int]]
    noise: float
    values: bytes


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
        """``check_roster`` is shown the nodes' public keys by name before any round, and raises if they are others'."""
        self.node, self._key, self._check_roster = node, key, check_roster
        self._member: Member | None = None
        self._context, self._nodes = b"", 0
        self._round: NodeRound | None = None

    @property
    def public_key(self) -> bytes:
        """By which the other nodes know this one, 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def hear(self, call: Call, state: State) -> bytes:
        """Do one phase.

        Raises:
            SecureAggregationError: the server, or another node, does what it must not.
            PolicyRefusal: the node's policy does not let the answer out.
        """
        context = call.context(self.node.study.hash)
        if call.phase == "keys":
            self._begin(context, _decode(call.body, dict[str, bytes]))
        elif self._round is None or context != self._context:
            raise self._refusal(f"phase {call.phase!r} of a sum that did not begin here")
        assert self._round is not None
        done: Any
        if call.phase == "keys":
            done = self._round.keys()
        elif call.phase == "letters":
            everyone = _decode(call.body, list[Keys])
            self._nodes, done = len(everyone), self._round.letters(everyone)
        elif call.phase == "masked":
            done = self._masked(self._round, call, state)
        elif call.phase == "signed":
            arrived = _decode(call.body, list[str])
            needed = fewest(self._nodes, EXITS[call.step].noisy)
            if len(arrived) < needed:
                raise self._refusal(f"values of {len(arrived)} of {self._nodes} nodes arrived; expected {needed}")
            done = self._round.signed(arrived)
        elif call.phase == "shares":
            done = self._round.shares(_decode(call.body, list[Signed]))
        else:
            raise self._refusal(f"phase {call.phase!r}; expected one of {', '.join(PHASES)}")
        return packing.encode(done)

    def _begin(self, context: bytes, roster: Mapping[str, bytes]) -> None:
        name = self.node.name
        if roster.get(name) != self.public_key:
            raise self._refusal("the server has another key for it")
        self._check_roster(roster)
        known = {other: Ed25519PublicKey.from_public_bytes(key) for other, key in roster.items()}
        self._member = Member(name, self._key, known, self._member.seen if self._member else set())
        self._context, self._round = context, NodeRound(self._member, context)

    def _masked(self, sums: NodeRound, call: Call, state: State) -> Values:
        if packing.digest(state) != call.digest:
            raise self._refusal("the state is not the one that the sum began with")
        if call.step not in EXITS or not EXITS[call.step].summed:
            raise self._refusal(f"step {call.step!r} is not summed")
        answer = self.node.answer(call.step, state, self._nodes, call.run)
        flat = np.concatenate([*(np.ravel(array) for array in answer.sums.values()), [float(answer.rows)]])
        hidden = sums.masked(_decode(call.body, list[Letter]), flat)
        shapes = [list(np.shape(array)) for array in answer.sums.values()]
        return Values(list(answer.sums), shapes, answer.noise, hidden.values.tobytes())

    def _refusal(self, why: str) -> SecureAggregationError:
        return SecureAggregationError(f"{self.node.name} refused: {why}")


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

    def __call__(self, step: str, state: State) -> Mapping[str, Contribution]:
        """Ask all nodes; a sum that lost too many of them is begun anew.

        Raises:
            SecureAggregationError: a node refused, the nodes' answers do not belong together, or no sum was finished.
        """
        if not EXITS[step].summed:
            return self.plain(step, state)
        for _ in range(TRIES):
            if (total := self._total(step, state)) is not None:
                return {TOGETHER: total}
        raise SecureAggregationError(f"step {step!r}: nodes were lost in each of {TRIES} sums; see why they are lost")

    def _total(self, step: str, state: State) -> Contribution | None:
        """The sum over all nodes that stay to its end; None if they are too few."""
        first = Call("keys", self.run, secrets.token_hex(8), step, packing.digest(state), b"")

        def ask(phase: str, bodies: Mapping[str, Any], kind: Any, sent: State = MappingProxyType({})) -> dict[str, Any]:
            calls = {name: replace(first, phase=phase, body=packing.encode(body)) for name, body in bodies.items()}
            return {name: _decode(answer, kind) for name, answer in self.talk(calls, sent).items()}

        keys = list(ask("keys", _same(self.roster, dict(self.roster)), Keys).values())
        server, there = ServerRound(first.context(self.study_hash), keys), [one.node for one in keys]
        letters = ask("letters", _same(there, keys), list[Letter])
        if len(letters) < max(fewest(len(keys)), self.enough):
            return None
        passed = server.pass_on([letter for each in letters.values() for letter in each])
        values: dict[str, Values] = ask("masked", passed, Values, state)
        if len(values) < max(fewest(len(keys), EXITS[step].noisy), self.enough):
            return None
        _check_alike(step, values)
        numbers = {name: np.frombuffer(each.values, dtype=np.uint64) for name, each in values.items()}
        arrived = server.arrived([Masked(name, each) for name, each in numbers.items()])
        signed = list(ask("signed", _same(arrived, list(arrived)), Signed).values())
        if len(signed) < threshold(len(keys)):
            return None
        shares = list(ask("shares", _same([one.node for one in signed], signed), Shares).values())
        if len(shares) < threshold(len(keys)):
            return None
        return _contribution(server.total(shares), list(values.values()))


def _same(names: Iterable[str], body: object) -> dict[str, Any]:
    return {name: body for name in names}  # noqa: C420 (dict.fromkeys would read as if the bodies were copies)


def _check_alike(step: str, values: Mapping[str, Values]) -> None:
    first, one = next(iter(values.items()))
    for name, other in values.items():
        if (other.names, other.shapes, len(other.values)) != (one.names, one.shapes, len(one.values)):
            raise SecureAggregationError(
                f"{name} answers step {step!r} with other arrays than {first}; install one version everywhere"
            )


def _contribution(flat: Any, values: list[Values]) -> Contribution:
    ends = np.cumsum([int(np.prod(shape)) for shape in values[0].shapes], dtype=np.intp)
    pieces = zip(values[0].names, np.split(flat[:-1], ends), values[0].shapes, strict=False)
    sums = {name: piece.reshape(shape) for name, piece, shape in pieces}
    return Contribution(sums, round(flat[-1]), noise=float(np.hypot.reduce([one.noise for one in values])))


def _decode(body: bytes, kind: Any) -> Any:
    try:
        return packing.decode(body, kind)
    except ValueError as error:
        raise SecureAggregationError(f"got a message that {error}") from None
