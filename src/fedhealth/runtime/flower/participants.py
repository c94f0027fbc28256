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
from fedhealth.runtime.flower.environment import FlowerError, printable
from fedhealth.runtime.flower.polling import SHORTEST, pauses
from fedhealth.runtime.flower.wire import (
    GOODBYE,
    HELLO,
    TURNED_AWAY,
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

LOOK = 2.0  # seconds between looks at who is still there
OF_FLOWER = (ErrorCode.MESSAGE_UNAVAILABLE, ErrorCode.REPLY_MESSAGE_UNAVAILABLE, ErrorCode.NODE_UNAVAILABLE)
T = TypeVar("T")


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
class Participants:
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
    _begun: bool = False
    _greeted: dict[str, int] = field(default_factory=dict)  # nodes that were asked who they are, by the question
    _turned_away: dict[int, str] = field(default_factory=dict)  # and why

    @property
    def enough(self) -> int:
        """How many nodes a step needs."""
        least = fewest(len(self.study.nodes)) if is_summed_under_masks(self.study) else 1
        return max(self.patience.fewest or fewest(len(self.study.nodes)), least)

    def gather(self) -> None:
        """Wait until all of the study's nodes are there, or, once patience is over, enough of them.

        Raises:
            FlowerError: too few came in time; says who was turned away, and why.
        """
        if self.enough > len(self.study.nodes):
            raise FlowerError(f"--min-nodes asks for {self.enough} nodes; the study has {len(self.study.nodes)}")
        until = time.monotonic() + self.patience.nodes
        while len(self.ids) < len(self.study.nodes) and not (time.monotonic() > until and len(self.ids) >= self.enough):
            if time.monotonic() > until:
                why = "".join(f"; turned away: {one}" for one in self._turned_away.values())
                raise FlowerError(f"waited {self.patience.nodes:.0f} s; did not come: {', '.join(self._absent())}{why}")
            self._welcome()
            time.sleep(SHORTEST)
        for name in self._absent():
            self.watch("absent", node=name, why=f"did not come within {self.patience.nodes:.0f} s")
        self._begun = True

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
        started, step, limit = time.monotonic(), next(iter(questions.values())).step, self.patience.step
        messages = self._packed({self.ids[name]: question for name, question in questions.items()})
        names = {self.ids[name]: name for name in questions}
        received = {names[node_id]: size_of(message) for node_id, message in messages.items()}
        waiting = {message: names[node_id] for message, node_id in self._push(messages).items()}
        answers: dict[str, Message] = {}
        refused: dict[str, str] = {}
        looked, waits = started, pauses()
        while waiting:
            for reply in self.grid.pull_messages(list(waiting)):
                name = waiting.pop(reply.metadata.reply_to_message_id)
                if reply.has_error() and reply.error.code in OF_FLOWER:
                    self._lose(name, "it is no longer connected")
                elif reply.has_error():
                    refused[name] = _reason(reply)
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
        self.watch("step", **facts, received=received, sent=sizes)
        return answers, refused

    def _packed(self, questions: Mapping[int, Question]) -> dict[int, Message]:
        """The questions as messages, by the nodes' numbers."""
        ttl = max(self.patience.step, 10.0)
        return {
            node_id: Message(pack_question(one), node_id, "query", ttl=ttl, group_id=one.step)
            for node_id, one in questions.items()
        }

    def _push(self, messages: Mapping[int, Message]) -> dict[str, int]:
        """Send the messages; give the nodes' numbers by the messages' ids."""
        return dict(zip(self.grid.push_messages(list(messages.values())), messages, strict=True))

    def _welcome(self) -> list[str]:
        """Ask who is new for a name, let in who gave one since the last look, and turn away whom the run cannot use.

        It waits for nobody. Gives the names of those that were let in.
        """
        there = set(self.grid.get_node_ids())
        self._greeted = {message: node_id for message, node_id in self._greeted.items() if node_id in there}
        known = {*self.ids.values(), *self._greeted.values(), *self._turned_away}
        hello = Question(HELLO, self.study.hash, self.seed, {}, self.run)
        self._greeted |= self._push(self._packed(dict.fromkeys(sorted(there - known), hello)))
        found = []
        for reply in self.grid.pull_messages(list(self._greeted)) if self._greeted else ():
            node_id = self._greeted.pop(reply.metadata.reply_to_message_id)
            try:
                found += self._let_in(node_id, reply)
            except NotYet:
                continue  # its earlier connection is not given up yet
            except FlowerError as error:
                self._turn_away(node_id, str(error))
        self.ids = {node.name: self.ids[node.name] for node in self.study.nodes if node.name in self.ids}
        return found

    def _let_in(self, node_id: int, reply: Message) -> list[str]:
        """The name of the node that sent its introduction, or nothing if it is gone already."""
        if reply.has_error():
            if reply.error.code in OF_FLOWER:
                return []
            raise FlowerError(_reason(reply))
        try:
            one = unpack_introduction(reply)
        except ValueError as error:
            raise FlowerError(f"a node came whose introduction {error}") from None
        self._check_introduction(node_id, one)
        self.ids[one.node] = node_id
        self.watch(
            "back" if one.node in self.introductions else "joined", node=one.node, version=printable(one.version)
        )
        self.introductions[one.node] = one
        return [one.node]

    def _turn_away(self, node_id: int, why: str) -> None:
        """Tell a node that cannot take part to leave; another may come under its name."""
        self._turned_away[node_id] = why
        self.watch("refused", node="a node that came", why=why)
        goodbye = Question(GOODBYE, self.study.hash, self.seed, {}, self.run, f"{TURNED_AWAY}{why}")
        self._push(self._packed({node_id: goodbye}))

    def _check_introduction(self, node_id: int, one: Introduction) -> None:
        expected = [node.name for node in self.study.nodes]
        if one.node not in expected:
            raise FlowerError(f"a node came as {one.node[:100]!r}; the study has {', '.join(expected)}")
        self.check(node_id, one)
        self._lose_the_absent()
        if one.node in self.ids:
            if one.public_key == self.introductions[one.node].public_key:
                raise NotYet
            raise FlowerError(f"two nodes came as {one.node!r}; stop one of them")
        if self._begun and one.node not in self.introductions:
            raise FlowerError(f"{one.node} came after the run had begun without it; the next run takes it in")
        if self.introductions.get(one.node, one).public_key != one.public_key:
            raise FlowerError(f"{one.node} came back with another key than it had in this run")

    def _lose_the_absent(self) -> list[str]:
        there = set(self.grid.get_node_ids())
        gone = [name for name, node_id in self.ids.items() if node_id not in there]
        for name in gone:
            self._lose(name, "it is no longer connected")
        return gone

    def _lose(self, name: str, why: str) -> None:
        if self.ids.pop(name, None) is not None:
            self.watch("lost", node=name, why=why)

    def _absent(self) -> list[str]:
        return [node.name for node in self.study.nodes if node.name not in self.ids]

    def dismiss(self, ending: str) -> None:
        """Tell every node still there how the run ended, and wait shortly for them to go."""
        goodbye = Question(GOODBYE, self.study.hash, self.seed, {}, self.run, ending)
        waiting = set(self._push(self._packed(dict.fromkeys(self.grid.get_node_ids(), goodbye))))
        until = time.monotonic() + 5.0
        while waiting and time.monotonic() < until:
            waiting -= {reply.metadata.reply_to_message_id for reply in self.grid.pull_messages(sorted(waiting))}
            time.sleep(SHORTEST)


def _reason(reply: Message) -> str:
    """Why a node gives no answer, as it may be shown on a terminal."""
    return printable(reply.error.reason or "") or "it gave no reason"


def _unpacked(replies: Mapping[str, Message], refused: dict[str, str], unpack: Callable[[Message], T]) -> dict[str, T]:
    """What can be read of the replies; why the rest cannot be is added to ``refused``."""
    found = {}
    for name, reply in replies.items():
        try:
            found[name] = unpack(reply)
        except ValueError as error:
            refused[name] = f"its answer {error}"
    return found
