"""The server's side: wait for the study's nodes, then train by asking them, step after step."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp

from fedhealth.federation import Contribution, Exchange, State
from fedhealth.privacy import is_summed_under_masks
from fedhealth.runtime.flower.environment import FlowerError
from fedhealth.runtime.flower.polling import SHORTEST, pauses
from fedhealth.runtime.flower.wire import (
    GOODBYE,
    HELLO,
    REFUSED,
    Introduction,
    Question,
    pack_question,
    unpack_body,
    unpack_contribution,
    unpack_introduction,
)
from fedhealth.runtime.secure import Call, SecureExchange
from fedhealth.study import Study


@dataclass(frozen=True)
class Patience:
    """How long the server waits, in seconds: for all nodes to come, and for every step's answers."""

    nodes: float = 600.0
    step: float = 600.0


@dataclass(frozen=True)
class Federation:
    """The nodes that came: an exchange with them, in the study's node order; whether all hold generated rows."""

    exchange: Exchange
    synthetic: bool


def server_app(
    study: Study,
    seed: int,
    train: Callable[[Federation], None],
    patience: Patience = Patience(),
    on_node: Callable[[str], None] = lambda _: None,
    check: Callable[[int, Introduction], None] = lambda node_id, introduction: None,
) -> ServerApp:
    """A ServerApp that gathers the nodes of ``study``, calls ``train``, and tells the nodes how it ended.

    Args:
        study: what is trained; a node with another one refuses, and the run ends.
        seed: of every node's split into training and held-out rows.
        train: does the training through the federation's exchange.
        patience: deadlines.
        on_node: told, in a line, of every node that comes or is refused.
        check: raises FlowerError where a node, by its number at the SuperLink, is not who it says.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        ask = _Asking(grid, study, seed, patience.step, check)
        ending = "the server stopped before the end"
        try:
            nodes = ask.gather(patience.nodes, on_node)
            ids = {name: node_id for name, (node_id, _) in nodes.items()}
            synthetic = all(introduction.synthetic for _, introduction in nodes.values())
            exchange: Exchange = partial(ask.contributions, ids)
            if is_summed_under_masks(study):
                roster = {name: introduction.public_key for name, (_, introduction) in nodes.items()}
                exchange = SecureExchange(study.hash, exchange, partial(ask.bodies, ids), roster)
            train(Federation(exchange, synthetic))
            ending = "the run is finished"
        except Exception as error:
            ending = f"the run ended early: {error}"
            raise
        finally:
            ask.dismiss(ending)

    return app


@dataclass(frozen=True)
class _Asking:
    grid: Grid
    study: Study
    seed: int
    timeout: float
    check: Callable[[int, Introduction], None]

    def gather(self, timeout: float, on_node: Callable[[str], None]) -> dict[str, tuple[int, Introduction]]:
        """The study's nodes by name, in the study's order, once all have come.

        Raises:
            FlowerError: some did not come in time, or one refuses, is unknown, or came twice.
        """
        expected = [node.name for node in self.study.nodes]
        found: dict[str, tuple[int, Introduction]] = {}
        refused: set[int] = set()
        until = time.monotonic() + timeout
        while set(found) != set(expected):
            if time.monotonic() > until:
                absent = ", ".join(name for name in expected if name not in found)
                raise FlowerError(f"waited {timeout:.0f} s; did not come: {absent}")
            known = {node_id for node_id, _ in found.values()} | refused
            for node_id in sorted(set(self.grid.get_node_ids()) - known):
                introduction = self.introduce(node_id)
                try:
                    self.check(node_id, introduction)
                except FlowerError as error:
                    self.push({"a node": node_id}, GOODBYE, {}, f"{REFUSED}{error}")
                    refused.add(node_id)
                    on_node(f"refused: {error}")
                    continue
                _check_name(introduction.node, expected, found)
                found[introduction.node] = (node_id, introduction)
                on_node(f"{introduction.node} is here")
            time.sleep(SHORTEST)
        return {name: found[name] for name in expected}

    def introduce(self, node_id: int) -> Introduction:
        """Ask a node who it is."""
        return unpack_introduction(self.replies({"a node": node_id}, HELLO, {})["a node"])

    def contributions(self, ids: Mapping[str, int], step: str, state: State) -> dict[str, Contribution]:
        """Every node's contribution to a step, in the order of ``ids``."""
        return {name: unpack_contribution(reply) for name, reply in self.replies(ids, step, state).items()}

    def bodies(self, ids: Mapping[str, int], calls: Mapping[str, Call], state: State) -> dict[str, bytes]:
        """The answers of the nodes that ``calls`` names, in one phase of a sum under masks."""
        step = next(iter(calls.values())).step
        replies = self.replies({name: ids[name] for name in calls}, step, state, calls)
        return {name: unpack_body(reply) for name, reply in replies.items()}

    def replies(
        self, ids: Mapping[str, int], step: str, state: State, calls: Mapping[str, Call] = MappingProxyType({})
    ) -> dict[str, Message]:
        """Ask all nodes at once, and wait for every answer.

        Raises:
            FlowerError: a node refused, failed or did not answer in time; its name and reason are in the message.
        """
        names = self.push(ids, step, state, calls=calls)
        answers: dict[str, Message] = {}
        until, waits = time.monotonic() + self.timeout, pauses()
        while len(answers) < len(ids):
            for reply in self.grid.pull_messages([key for key, name in names.items() if name not in answers]):
                answers[names[reply.metadata.reply_to_message_id]] = reply
            _check_failures(answers, step)
            absent = [name for name in ids if name not in answers]
            if absent and time.monotonic() > until:
                raise FlowerError(f"{', '.join(absent)} did not answer step {step!r} within {self.timeout:.0f} s")
            time.sleep(next(waits) if absent else 0.0)
        return {name: answers[name] for name in ids}

    def push(
        self,
        ids: Mapping[str, int],
        step: str,
        state: State,
        text: str = "",
        calls: Mapping[str, Call] = MappingProxyType({}),
    ) -> dict[str, str]:
        """Send every node its question; give the nodes' names by the messages' ids."""
        question = Question(step, self.study.hash, self.seed, state, text)
        messages = [
            Message(pack_question(replace(question, call=calls.get(name))), i, "query", ttl=self.timeout, group_id=step)
            for name, i in ids.items()
        ]
        return dict(zip(self.grid.push_messages(messages), ids, strict=True))

    def dismiss(self, ending: str) -> None:
        """Tell every node still there how the run ended, and wait shortly for them to go."""
        ids = {str(node_id): node_id for node_id in self.grid.get_node_ids()}
        waiting = set(self.push(ids, GOODBYE, {}, ending)) if ids else set()
        until = time.monotonic() + 5.0
        while waiting and time.monotonic() < until:
            waiting -= {reply.metadata.reply_to_message_id for reply in self.grid.pull_messages(sorted(waiting))}
            time.sleep(SHORTEST)


def _check_name(name: str, expected: Iterable[str], found: Mapping[str, object]) -> None:
    if name not in expected:
        raise FlowerError(f"a node came as {name!r}; the study has {', '.join(expected)}")
    if name in found:
        raise FlowerError(f"two nodes came as {name!r}; stop one of them")


def _check_failures(answers: Mapping[str, Message], step: str) -> None:
    failed = [f"{name}, step {step!r}: {reply.error.reason}" for name, reply in answers.items() if reply.has_error()]
    if failed:
        raise FlowerError("; ".join(failed))
