"""The server's side: an exchange whose training steps come as totals, over any way to reach the nodes."""

import math
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from fedhealth.federation import TOGETHER, Contribution, Exchange, State, packing
from fedhealth.federation.contribution import Floats
from fedhealth.privacy import EXITS
from fedhealth.privacy.secure_aggregation import SecureAggregationError, ServerRound, fewest
from fedhealth.privacy.secure_aggregation.messages import Keys, Letter, Masked, Shares
from fedhealth.runtime.events import Watch, unwatched
from fedhealth.runtime.summing import Agreed, Arrived, Call, Values, read
from fedhealth.study import Study

TRIES = 5  # sums that are begun for one step
NOTHING: State = MappingProxyType({})

Talk = Callable[[Mapping[str, Call], State], Mapping[str, bytes]]
"""Send each node its call, with a state; get the nodes' answers."""


@dataclass(frozen=True)
class Begun:
    """A sum whose nodes have exchanged keys and letters."""

    name: str
    server: ServerRound
    passed: Mapping[str, list[Letter]]


@dataclass
class SecureExchange:
    """An exchange in which what trains a model comes as a total, under ``TOGETHER``; all else as ``plain`` gives it.

    ``seed`` is that of the nodes' splits. ``roster`` has the nodes' public keys by name; ``talk`` gives the answers of
    those that are still there, and begins a sum (phase ``keys``) only with enough. ``run`` names the run to the nodes;
    a total over fewer than ``enough`` is not asked for. A node whose message cannot be used is refused, told to
    ``watch``, and its values are not in the sum.
    """

    study: Study
    seed: int
    plain: Exchange
    talk: Talk
    roster: Mapping[str, bytes]
    run: str = ""
    enough: int = 0
    watch: Watch = unwatched
    _next: Begun | None = None
    _refused: dict[str, str] = field(default_factory=dict)

    def __call__(self, step: str, state: State) -> Mapping[str, Contribution]:
        """Ask all nodes; a sum that lost too many of them is begun anew.

        Raises:
            SecureAggregationError: a node refused, or no sum was finished.
        """
        if not EXITS[step].summed:
            return self.plain(step, state)
        self._refused = {}
        for _ in range(TRIES):
            about = Call("", self.run, "", step, packing.digest(state), b"")
            begun, self._next = self._next or self._begin(about), None
            if begun and (total := self._total(begun, about, state)) is not None:
                return {TOGETHER: total}
        why = "; ".join(f"{name}: {fault}" for name, fault in self._refused.items()) or "see why they are lost"
        raise SecureAggregationError(f"step {step!r}: nodes were lost in each of {TRIES} sums; {why}")

    def _fewest(self) -> int:
        return max(fewest(len(self.study.nodes)), self.enough)

    def _ask(self, about: Call, phase: str, bodies: Mapping[str, object], kind: Any, state: State = NOTHING) -> Any:
        calls = {name: replace(about, phase=phase, body=packing.encode(body)) for name, body in bodies.items()}
        found = {}
        for name, told in self.talk(calls, state).items():
            try:
                if told:
                    found[name] = read(told, kind, name)
            except SecureAggregationError as error:
                self._refuse(about.step, name, str(error))
        others = {name: told.node for name, told in found.items() if getattr(told, "node", name) != name}
        for name, other in others.items():
            del found[name]
            self._refuse(about.step, name, f"answers as {other}")
        return found

    def _refuse(self, step: str, name: str, why: str) -> None:
        self._refused[name] = why
        self.watch("refused", node=name, why=f"step {step!r}: {why}")

    def _begin(self, about: Call) -> Begun | None:
        """A new sum with whoever is there; None if too few stay until its letters are written."""
        about = replace(about, sum=secrets.token_hex(8))
        keys = list(self._ask(about, "keys", _same(self.roster, dict(self.roster)), Keys).values())
        letters = self._ask(about, "letters", _same([one.node for one in keys], keys), list[Letter])
        letters = self._own(about.step, letters)
        return self._begun(about, about.sum, keys, letters)

    def _own(self, step: str, letters: Mapping[str, list[Letter]]) -> dict[str, list[Letter]]:
        """The letters of nodes that write under their own name."""
        others = [name for name, each in letters.items() if any(letter.sender != name for letter in each)]
        for name in others:
            self._refuse(step, name, "writes letters under another name")
        return {name: each for name, each in letters.items() if name not in others}

    def _begun(self, about: Call, name: str, keys: list[Keys], letters: Mapping[str, list[Letter]]) -> Begun | None:
        if len(letters) < self._fewest():
            return None
        server = ServerRound(about.context(self.study.hash, self.seed, name), keys, len(self.study.nodes))
        return Begun(name, server, server.pass_on([letter for each in letters.values() for letter in each]))

    def _total(self, begun: Begun, about: Call, state: State) -> Contribution | None:
        """The sum over all nodes that stay to its end; None if they are too few."""
        server = begun.server
        about = replace(about, sum=begun.name, then=secrets.token_hex(8))
        values: dict[str, Values] = self._ask(about, "masked", begun.passed, Values, state)
        for name, why in _unlike(values).items():
            del values[name]
            self._refuse(about.step, name, why)
        if len(values) < (len(server.keys) if EXITS[about.step].noisy else self._fewest()):
            return None
        numbers = {name: np.frombuffer(each.values, dtype=np.uint64) for name, each in values.items()}
        arrived = server.arrived([Masked(name, each) for name, each in numbers.items()], about.subject)
        keys = [each.keys for each in values.values()]
        agreed: dict[str, Agreed] = self._ask(about, "signed", _same(arrived, Arrived(list(arrived), keys)), Agreed)
        if len(agreed) < server.least:
            return None
        signed = [one.signed for one in agreed.values()]
        shares: dict[str, Shares] = self._ask(about, "shares", _same(agreed, signed), Shares)
        letters = self._own(about.step, {name: one.letters for name, one in agreed.items()})
        if len(letters) == len(self.roster):  # with a node missing the next sum begins anew, so that it can come back
            self._next = self._begun(about, about.then, keys, letters)
        total = self._unmasked(server, about.step, shares)
        return None if total is None else _contribution(total, list(values.values()))

    def _unmasked(self, server: ServerRound, step: str, shares: Mapping[str, Shares]) -> Floats | None:
        """The total, without the shares of a node whose shares do not fit, if there are enough others."""
        for wrong in (None, *shares):
            used = [each for name, each in shares.items() if name != wrong]
            if len(used) < server.least:
                return None
            try:
                total = server.total(used)
            except SecureAggregationError as error:
                self._refused["the server"] = str(error)
                continue
            if wrong:
                self._refuse(step, wrong, "its shares do not fit")
            return total
        return None


def _same(names: Iterable[str], body: object) -> dict[str, Any]:
    return {name: body for name in names}  # noqa: C420 (dict.fromkeys would read as if the bodies were copies)


def _unlike(values: Mapping[str, Values]) -> dict[str, str]:
    """Why values cannot be summed with the others, by the name of the node that sent them."""
    found = {}
    for name, one in values.items():
        size = 8 * (1 + sum(math.prod(shape) for shape in one.shapes))
        fits = len(one.values) == size and all(length >= 0 for shape in one.shapes for length in shape)
        if not fits or not 0 <= one.noise < np.inf or one.keys.node != name:
            found[name] = "answers with damaged values"
    forms = {name: (tuple(one.names), str(one.shapes)) for name, one in values.items() if name not in found}
    usual = Counter(forms.values()).most_common(1)
    for name, form in forms.items():
        if form != usual[0][0]:
            found[name] = "answers with other arrays than the other nodes; install one version everywhere"
    return found


def _contribution(flat: Floats, values: list[Values]) -> Contribution:
    ends = np.cumsum([math.prod(shape) for shape in values[0].shapes], dtype=np.intp)
    pieces = zip(values[0].names, np.split(flat[:-1], ends), values[0].shapes, strict=False)
    sums = {name: piece.reshape(shape) for name, piece, shape in pieces}
    return Contribution(sums, round(flat[-1]), noise=float(np.hypot.reduce([one.noise for one in values])))
