"""Start a SuperLink on loopback, open a run on it, and end both cleanly."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from flwr.app import Context, Error, Message, Metadata
from flwr.app.message import make_message
from flwr.cli.build import build_fab_from_files
from flwr.common.constant import ErrorCode, SubStatus
from flwr.common.serde import context_from_proto, fab_to_proto, run_from_proto
from flwr.proto.control_pb2 import StartRunRequest
from flwr.proto.message_pb2 import ObjectTree
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullAppMessagesRequest,
    PullTaskInputRequest,
    PushTaskOutputRequest,
)
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.constant import SYSTEM_MESSAGE_TYPE, TaskType
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.date import now
from flwr.supercore.fab import Fab
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_confirm_message_received_fn_protobuf,
    make_pull_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import ObjectPullError, pull_and_inflate_object_from_tree
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.protobuf.client import ProtobufClient
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid.http_grid import HttpGrid

from fedhealth.runtime.flower.environment import FlowerError
from fedhealth.runtime.ports import LOOPBACK

START = 60.0  # seconds that a SuperLink may take to listen
UPLOAD = 30.0  # seconds between an answer's announcement and its end

# It ends with this process, however that ends: else its port would stay taken.
SUPERLINK = """
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
from flwr.superlink.cli.flower_superlink import flower_superlink
flower_superlink()
"""

# What a SuperNode would be told to load: the installed package. No code travels.
APP = b"""
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "fedhealth-training"
version = "1.0.0"
[tool.flwr.app]
publisher = "fedhealth"
[tool.flwr.app.components]
serverapp = "fedhealth.runtime.flower.server:server_app"
clientapp = "fedhealth.runtime.flower.client:app"
[tool.flwr.app.config]
"""


def listens(port: int, host: str = LOOPBACK) -> bool:
    """Whether something listens on this port."""
    try:
        socket.create_connection((host, port), timeout=2.0).close()
    except OSError:
        return False
    return True


def wait_for_server(address: str, seconds: float) -> None:
    """Wait until the server's port is open.

    Raises:
        FlowerError: it is still closed after ``seconds``.
    """
    host, _, port = address.rpartition(":")
    until = time.monotonic() + seconds
    while not listens(int(port), host.strip("[]")):
        if time.monotonic() > until:
            raise FlowerError(f"no server on {address} after {seconds:.0f} s; start one: python fl/server.py")
        time.sleep(0.2)


Client = TypeVar("Client", bound=ProtobufClient)


@dataclass(frozen=True)
class Link:
    """A SuperLink: its address on loopback, the authority of its certificate (None: no TLS), whether it still runs."""

    address: str
    authority: bytes | None = None
    lives: Callable[[], bool] = lambda: True

    def client(self, kind: type[Client], component: str) -> Client:
        """A client of one of its APIs, which presents itself as ``component``."""
        interceptors = [RuntimeVersionHttpInterceptor(component)]
        return kind.from_server_address(self.address, self.authority is None, self.authority, interceptors)


def run_server_app(app: ServerApp, link: Link) -> None:
    """Run ``app`` as the server's work on a SuperLink."""
    with _opened_run(link) as (grid, context):
        app(grid, context)


@contextmanager
def superlink(
    port: int, home: Path, security: Sequence[str] = ("--insecure",), authority: bytes | None = None
) -> Iterator[Link]:
    """A SuperLink on loopback that leaves the server's work to this process (isolation mode "process").

    It is ended with the block. Its log is kept in ``home``.

    Raises:
        FlowerError: the port is taken, or the SuperLink does not start, or ends before the block does.
    """
    if listens(port):
        raise FlowerError(f"port {port} is taken; choose another with --port, for the server and every node")
    log = home / "superlink.log"
    command = [sys.executable, "-c", SUPERLINK]
    options = [*security, "--host", LOOPBACK, "--port", str(port), "--isolation", "process"]
    with log.open("wb") as output:
        child = subprocess.Popen(
            [*command, *options], stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_for_start(child, port, log)
        yield Link(f"{LOOPBACK}:{port}", authority, lambda: child.poll() is None)
    except Exception:
        with suppress(subprocess.TimeoutExpired):
            code = child.wait(timeout=1.0)
            raise FlowerError(
                f"Flower's SuperLink ended (exit code {code}) and the run with it; to go on, add --resume"
            ) from None
        raise
    finally:
        _end(child)


def _wait_for_start(child: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + START
    while not listens(port):
        if child.poll() is not None or time.monotonic() > until:
            said = log.read_text(encoding="utf-8", errors="replace").strip()
            raise FlowerError(f"Flower's SuperLink did not start on port {port}: {said[-1000:]}")
        time.sleep(0.1)


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    assert child.stdin is not None
    child.stdin.close()


class PromptGrid(HttpGrid):
    """A grid that fetches an answer as soon as it is there; Flower's own waits a second or more when it is late.

    It gives a SuperLink up once that has ended; Flower's own would try for ever.
    """

    def __init__(self, link: Link, token: str) -> None:
        super().__init__(link.address, link.authority is None, link.authority, token=token)
        usual = self._retry_invoker.should_giveup or (lambda error: False)
        self._retry_invoker.should_giveup = lambda error: not link.lives() or usual(error)

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """The answers to these messages that have come so far."""
        client = self._runtime_client
        found = client.PullMessages(PullAppMessagesRequest(message_ids=message_ids))
        pairs = zip(found.messages_list, found.message_object_trees, strict=True)
        return [self._inflated(client, announced.metadata.reply_to_message_id, tree) for announced, tree in pairs]

    def _inflated(self, client: RuntimeHttpClient, question: str, tree: ObjectTree) -> Message:
        """The answer to ``question``, or an error where its sender announced it and was gone before it was here."""
        pull = make_pull_object_fn_protobuf(client.PullObject, self.node, self.run.run_id)
        confirm = make_confirm_message_received_fn_protobuf(client.ConfirmMessageReceived, self.node, self.run.run_id)
        try:
            message = pull_and_inflate_object_from_tree(
                tree,
                pull,
                confirm,
                return_type=Message,
                max_time=UPLOAD,
                max_tries_per_object=None,
                initial_backoff=0.01,
                backoff_cap=0.2,
            )
        except ObjectPullError as error:
            node, run = self.node.node_id, self.run.run_id
            lost = Metadata(run, "", node, node, question, "", 0.0, now().timestamp(), SYSTEM_MESSAGE_TYPE)
            return make_message(lost, error=Error(ErrorCode.REPLY_MESSAGE_UNAVAILABLE, str(error)))
        message.metadata.__dict__["_message_id"] = tree.object_id
        return message


@contextmanager
def _opened_run(link: Link) -> Iterator[tuple[Grid, Context]]:
    """A run on a SuperLink whose ServerApp is this process."""
    _start_run(link)
    grid = PromptGrid(link, _acquire_task(link))
    client = grid._runtime_client
    heartbeat = HeartbeatSender(make_task_heartbeat_fn_http(client))
    heartbeat.start()
    status, details = SubStatus.FAILED, "the server stopped"
    try:
        task = client.PullTaskInput(PullTaskInputRequest())
        grid.set_run(run_from_proto(task.run))
        TaskIdentity.task_id, TaskIdentity.run_id = task.task_id, task.run.run_id
        TaskIdentity.node_id = task.context.node_id
        yield grid, context_from_proto(task.context)
        status, details = SubStatus.COMPLETED, ""
    finally:
        client.PushTaskOutput(PushTaskOutputRequest(sub_status=status, details=details))
        heartbeat.stop()
        grid.close()


def _start_run(link: Link) -> None:
    content, _ = build_fab_from_files({"pyproject.toml": APP})
    fab = Fab("", content, {})
    with closing(link.client(ControlHttpClient, "fedhealth")) as control:
        control.StartRun(StartRunRequest(fab=fab_to_proto(fab)))


def _acquire_task(link: Link) -> str:
    request = AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP])
    with closing(link.client(RuntimeHttpClient, "SuperExec")) as client:
        for _ in range(200):
            if token := client.AcquireTask(request).token:
                return str(token)
            time.sleep(0.05)
    raise FlowerError(f"Flower's SuperLink at {link.address} did not hand out its run")
