"""A Flower grid whose nodes answer in this process, and can be lost, late, or dishonest: for tests of the server."""

from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

from flwr.app import Context, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid

from fedhealth.runtime.flower import client
from fedhealth.runtime.flower.wire import unpack_question

Change = Callable[[str, Message, Message], Message | None]


class LocalGrid(Grid):
    """Nodes by name, each from a folder of tables. ``change`` sees name, question and answer; None: no answer comes."""

    def __init__(self, study: str, folders: Mapping[str, Path], runs: Path, change: Change = lambda n, q, a: a) -> None:
        self.study, self.folders, self.runs, self.change = study, dict(folders), runs, change
        self.ids = {10 + place: name for place, name in enumerate(self.folders)}
        self.answers: dict[str, Message] = {}
        self.asked: list[tuple[str, str]] = []
        self._numbers = count(1)

    def leave(self, name: str) -> None:
        """The node is gone."""
        self.ids = {node_id: other for node_id, other in self.ids.items() if other != name}

    def come(self, name: str) -> None:
        """The node is there again, under a new id."""
        self.ids[1000 + next(self._numbers)] = name

    def set_run(self, run: object) -> None:
        raise NotImplementedError

    @property
    def run(self) -> object:
        raise NotImplementedError

    def create_message(self, *_: object, **__: object) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> list[int]:
        return list(self.ids)

    def get_nodes(self) -> list[NodeInfo]:
        return [NodeInfo(node_id=node_id) for node_id in self.ids]

    def push_messages(self, messages: list[Message]) -> list[str]:
        keys = []
        for message in messages:
            keys.append(str(next(self._numbers)))
            message.metadata.__dict__["_message_id"] = keys[-1]
            name = self.ids.get(message.metadata.dst_node_id)
            if name is None:
                continue
            question = unpack_question(message)
            self.asked.append((name, question.call.phase if question.call else question.step))
            config = {"node": name, "study": self.study, "data": str(self.folders[name]), "runs": str(self.runs)}
            answer = client.app(message, Context(1, message.metadata.dst_node_id, config, RecordDict(), {}))
            changed = self.change(name, message, answer)
            if changed is not None:
                self.answers[keys[-1]] = changed
        return keys

    def pull_messages(self, message_ids: list[str]) -> list[Message]:
        found = [(key, self.answers.pop(key)) for key in message_ids if key in self.answers]
        for key, answer in found:
            answer.metadata.__dict__["_reply_to_message_id"] = key
        return [answer for _, answer in found]

    def send_and_receive(self, messages: object, *, timeout: float | None = None) -> list[Message]:
        raise NotImplementedError
