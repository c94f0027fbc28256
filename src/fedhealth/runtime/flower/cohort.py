"""The nodes of a run as the server knows them: who is there, who was lost and came back, asked together."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from flwr.app import Message
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from fedhealth.federation import Contribution, State
from fedhealth.privacy import is_summed_under_masks
from fedhealth.privacy.secure_aggregation import fewest
from fedhealth.runtime.events import Watch
from fedhealth.runtime.flower.environment import FlowerError
from fedhealth.runtime.flower.polling import SHORTEST, pauses
from fedhealth.runtime.flower.wire import (
    GOODBYE,
    HELLO,
    REFUSED,
    Introduction,
    Question,
    pack_question,
    size_of,
    unpack_body,
    unpack_contribution,
    unpack_introduction,
)
from fedhealth.runtime.summing import Call
from fedhealth.runtime.validation import faults
from fedhealth.study import Study

HELLO_LIMIT = 30.0  # seconds in which a node must say who it is
LOOK = 2.0  # seconds between looks at who is still there
OF_FLOWER = (ErrorCode.MESSAGE_UNAVAILABLE, ErrorCode.REPLY_MESSAGE_UNAVAILABLE, ErrorCode.NODE_UNAVAILABLE)
T = TypeVar("T")
NEW = "a new node"  # until it gave its name


class NotYet(Exception):
    """A node came back before its earlier connection was given up."""


@dataclass(frozen=True)
class Patience:
    """How long the server waits, in seconds, and for how many.

    ``nodes``: for the nodes to come, at first or back; ``step``: for an answer. ``fewest``: without fewer nodes no step
    is done; None: all of fewer than five, else over two thirds (:func:`~fedhealth.privacy.secure_aggregation.fewest`).
    """

    nodes: float = 600.0
    step: float = 600.0
    fewest: int | None = None


@dataclass
class Cohort:
    """The nodes of a run: who is there (``ids`` by name, in the study's order), asked together."""

    grid: Grid
    study: Study
    seed: int
    run: str
    patience: Patience
    watch: Watch
    check: Callable[[int, Introduction], None] = lambda node_id, introduction: None
    ids: dict[str, int] = field(default_factory=dict)
    introductions: dict[str, Introduction] = field(default_factory=dict)
    _turned_away: set[int] = field(default_factory=set)

    @property
    def enough(self) -> int:
        """How many nodes a step needs."""
        least = fewest(len(self.study.nodes)) if is_summed_under_masks(self.study) else 1
        return max(self.patience.fewest or fewest(len(self.study.nodes)), least)

    def gather(self) -> None:
        """Wait until all of the study's nodes are there, or, once patience is over, enough of them.

        Raises:
            FlowerError: too few came in time, or one refuses, is unknown, or came twice.
        """
        until = time.monotonic() + self.patience.nodes
        while len(self.ids) < len(self.study.nodes) and not (time.monotonic() > until and len(self.ids) >= self.enough):
            if time.monotonic() > until:
                raise FlowerError(f"waited {self.patience.nodes:.0f} s; did not come: {', '.join(self._absent())}")
            self._welcome(strict=True)
            time.sleep(SHORTEST)
        for name in self._absent():
            self.watch("lost", node=name, why=f"did not come within {self.patience.nodes:.0f} s")

    def contributions(self, step: str, state: State) -> dict[str, Contribution]:
        """The nodes' contributions to a step, in the study's order: all, or as many as are needed.

        Raises:
            FlowerError: too few nodes answered in time, with what can be used.
        """
        question = Question(step, self.study.hash, self.seed, state, self.run)
        found: dict[str, Contribution] = {}
        while True:
            asked = {name: question for name in self.ids if name not in found}
            replies, refused = self._replies(asked)
            found |= _unpacked(replies, refused, lambda reply: unpack_contribution(question, reply))
            for name, why in faults(step, found).items():
                del found[name]
                refused[name] = why
            if self._settled(step, found, refused):
                return {node.name: found[node.name] for node in self.study.nodes if node.name in found}

    def bodies(self, calls: Mapping[str, Call], state: State) -> dict[str, bytes]:
        """The answers of the nodes that ``calls`` names, in one phase of a sum under masks, as far as they came.

        A sum begins (phase ``keys``) only with as many nodes as are needed.

        Raises:
            FlowerError: too few nodes are there in time, or a node refused without which there are too few.
        """
        first = next(iter(calls.values()))
        question = Question(first.step, self.study.hash, self.seed, state, self.run)
        found: dict[str, bytes] = {}
        while True:
            asked = {name: replace(question, call=call) for name, call in calls.items()}
            there = {name: one for name, one in asked.items() if name in self.ids and name not in found}
            replies, refused = self._replies(there)
            found |= _unpacked(replies, refused, unpack_body)
            if self._settled(first.step, found, refused, wait=first.phase == "keys"):
                return found

    def _settled(self, step: str, found: Mapping[str, object], refused: Mapping[str, str], wait: bool = True) -> bool:
        """Whether the answers ``found`` are all that can be had; if they are too few, ``wait`` for a node to return."""
        for name, why in refused.items():
            self.watch("refused", node=name, why=f"step {step!r}: {why}")
        if refused and len(found) < self.enough:
            told = "; ".join(f"{name}, step {step!r}: {why}" for name, why in refused.items())
            raise FlowerError(f"{told} ({len(found)} nodes answered; expected at least {self.enough})")
        back = self._welcome()
        if not wait or len(found) >= self.enough:
            return True  # whoever came back takes part in the next step
        until = time.monotonic() + self.patience.nodes
        while not back:
            if time.monotonic() > until:
                raise FlowerError(
                    f"step {step!r}: lost {', '.join(self._absent())} and waited {self.patience.nodes:.0f} s; "
                    f"{len(found)} nodes answered, expected at least {self.enough}; to go on later, add --resume"
                )
            time.sleep(LOOK / 4)
            back = self._welcome()
        return False

    def _replies(self, questions: Mapping[str, Question]) -> tuple[dict[str, Message], dict[str, str]]:
        """Ask nodes, each its question, and wait for all that are there: answers, and why others refused."""
        if not questions:
            return {}, {}
        started, step = time.monotonic(), next(iter(questions.values())).step
        limit = min(self.patience.step, HELLO_LIMIT) if step == HELLO else self.patience.step
        messages = self._packed(questions)
        received = {name: size_of(message) for name, message in messages.items() if name != NEW}
        waiting = self._push(messages)
        answers: dict[str, Message] = {}
        refused: dict[str, str] = {}
        looked, waits = started, pauses()
        while waiting:
            for reply in self.grid.pull_messages(list(waiting)):
                name = waiting.pop(reply.metadata.reply_to_message_id)
                if reply.has_error() and reply.error.code in OF_FLOWER:
                    self._lose(name, "it is no longer connected")
                elif reply.has_error():
                    refused[name] = reply.error.reason or "it gave no reason"
                else:
                    answers[name] = reply
            now = time.monotonic()
            if waiting and now > looked + LOOK:
                looked, gone = now, self._lose_the_absent()
                waiting = {key: name for key, name in waiting.items() if name not in gone}
            if waiting and now > started + limit:
                for name in waiting.values():
                    self._lose(name, f"gave no answer to step {step!r} within {limit:.0f} s")
                break
            time.sleep(next(waits) if waiting else 0.0)
        sizes, seconds = {name: size_of(reply) for name, reply in answers.items()}, time.monotonic() - started
        facts = {"step": step, "nodes": list(answers), "seconds": round(seconds, 3), "bytes": sum(sizes.values())}
        self.watch("step", **facts, received=received, sent={name: sizes[name] for name in sizes if name != NEW})
        return answers, refused

    def _packed(self, questions: Mapping[str, Question]) -> dict[str, Message]:
        ttl = max(self.patience.step, 10.0)
        return {
            name: Message(pack_question(one), self.ids[name], "query", ttl=ttl, group_id=one.step)
            for name, one in questions.items()
        }

    def _push(self, messages: Mapping[str, Message]) -> dict[str, str]:
        """Send each node its message; give the nodes' names by the messages' ids."""
        return dict(zip(self.grid.push_messages(list(messages.values())), messages, strict=True))

    def _welcome(self, strict: bool = False) -> list[str]:
        """Let in whoever is new; give the names. ``strict``: who cannot be let in ends the run, else is refused."""
        found = []
        for node_id in sorted(set(self.grid.get_node_ids()) - set(self.ids.values())):
            if node_id in self._turned_away:
                continue
            try:
                found += self._introduce(node_id)
            except NotYet:
                continue  # its earlier connection is not given up yet
            except FlowerError as error:
                if strict:
                    raise
                self._turned_away.add(node_id)
                self.watch("refused", node="a node that came", why=str(error))
        self.ids = {node.name: self.ids[node.name] for node in self.study.nodes if node.name in self.ids}
        return found

    def _introduce(self, node_id: int) -> list[str]:
        """Ask a node who it is, and let it in; give its name, or nothing if it is gone already."""
        self.ids[NEW] = node_id
        replies, refused = self._replies({NEW: Question(HELLO, self.study.hash, self.seed, {}, self.run)})
        self.ids.pop(NEW, None)
        if NEW in refused:
            raise FlowerError(refused[NEW])
        if not replies:
            return []
        try:
            one = unpack_introduction(replies[NEW])
        except ValueError as error:
            raise FlowerError(f"a node came whose introduction {error}") from None
        try:
            self.check(node_id, one)
        except FlowerError as error:
            return self._turn_away(node_id, one.node, str(error))
        self._check_introduction(one)
        self.ids[one.node] = node_id
        self.watch("back" if one.node in self.introductions else "joined", node=one.node, version=one.version)
        self.introductions[one.node] = one
        return [one.node]

    def _turn_away(self, node_id: int, name: str, why: str) -> list[str]:
        """Tell a node that is not who it says to leave; others may come under its name."""
        self._turned_away.add(node_id)
        self.watch("refused", node=name, why=why)
        self.ids[NEW] = node_id
        goodbye = Question(GOODBYE, self.study.hash, self.seed, {}, self.run, f"{REFUSED}{why}")
        self._push(self._packed({NEW: goodbye}))
        self.ids.pop(NEW)
        return []

    def _check_introduction(self, one: Introduction) -> None:
        expected = [node.name for node in self.study.nodes]
        if one.node not in expected:
            raise FlowerError(f"a node came as {one.node!r}; the study has {', '.join(expected)}")
        self._lose_the_absent()
        if one.node in self.ids:
            if one.public_key == self.introductions[one.node].public_key:
                raise NotYet
            raise FlowerError(f"two nodes came as {one.node!r}; stop one of them")
        if self.introductions.get(one.node, one).public_key != one.public_key:
            raise FlowerError(f"{one.node} came back with another key than it had in this run")

    def _lose_the_absent(self) -> list[str]:
        there = set(self.grid.get_node_ids())
        gone = [name for name, node_id in self.ids.items() if node_id not in there]
        for name in gone:
            self._lose(name, "it is no longer connected")
        return gone

    def _lose(self, name: str, why: str) -> None:
        if self.ids.pop(name, None) is not None and name != NEW:
            self.watch("lost", node=name, why=why)

    def _absent(self) -> list[str]:
        return [node.name for node in self.study.nodes if node.name not in self.ids]

    def dismiss(self, ending: str) -> None:
        """Tell every node still there how the run ended, and wait shortly for them to go."""
        self.ids = {str(node_id): node_id for node_id in self.grid.get_node_ids()}
        goodbye = Question(GOODBYE, self.study.hash, self.seed, {}, self.run, ending)
        waiting = set(self._push(self._packed(dict.fromkeys(self.ids, goodbye)))) if self.ids else set()
        until = time.monotonic() + 5.0
        while waiting and time.monotonic() < until:
            waiting -= {reply.metadata.reply_to_message_id for reply in self.grid.pull_messages(sorted(waiting))}
            time.sleep(SHORTEST)


def _unpacked(replies: Mapping[str, Message], refused: dict[str, str], unpack: Callable[[Message], T]) -> dict[str, T]:
    """What can be read of the replies; why the rest cannot be is added to ``refused``."""
    found = {}
    for name, reply in replies.items():
        try:
            found[name] = unpack(reply)
        except ValueError as error:
            refused[name] = f"its answer {error}"
    return found
