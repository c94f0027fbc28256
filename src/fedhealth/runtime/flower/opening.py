"""Open a server to its nodes: plain on loopback, as demos do, or to enrolled nodes alone, over TLS."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from flwr.proto.control_pb2 import ListNodesRequest, RegisterNodeRequest, UnregisterNodeRequest
from flwr.supercore.control.control_http_client import ControlHttpClient

from fedhealth.runtime.flower.book import Book, Listed, Refused
from fedhealth.runtime.flower.certificates import ServerFolder, check_in_force
from fedhealth.runtime.flower.environment import FlowerError
from fedhealth.runtime.flower.listening import is_loopback, listening
from fedhealth.runtime.flower.processes import Link, superlink
from fedhealth.runtime.flower.proxy import FleetProxy
from fedhealth.runtime.flower.wire import Introduction
from fedhealth.runtime.ports import free_port

Check = Callable[[int, Introduction], None]
"""Raise Refused where a node, by its number at the SuperLink, is not who it says."""


@dataclass(frozen=True)
class Opened:
    """A server that nodes can reach: the way to its SuperLink, and who is who."""

    link: Link
    check: Check


@contextmanager
def opened(host: str, port: int, folder: Path | None, home: Path, say: Callable[[str], None]) -> Iterator[Opened]:
    """A server on ``host``:``port`` within the block; what Flower logs is kept in ``home``.

    Args:
        host: address to listen on.
        port: its port.
        folder: of ``fedhealth server init``; if that was run, only enrolled nodes come in. None: a demo.
        home: a folder for Flower's log.
        say: told of who enrolled and who was refused, in lines.

    Raises:
        FlowerError: the port is taken, the certificate is not in force, or another machine could come in plain.
    """
    if folder and ServerFolder(folder).is_initialised:
        check_in_force(ServerFolder(folder))
        with _opened_to_enrolled(host, port, ServerFolder(folder), home, say) as server:
            yield server
    elif is_loopback(host):
        with superlink(port, home) as link:
            yield Opened(link, lambda node_id, introduction: None)
    else:
        raise FlowerError(
            f"--host {host} is reached from other machines, so nodes must be enrolled, over TLS; first: "
            f"fedhealth server init --host NAME"
        )


@contextmanager
def _opened_to_enrolled(
    host: str, port: int, folder: ServerFolder, home: Path, say: Callable[[str], None]
) -> Iterator[Opened]:
    tls = {"ca-certfile": folder.authority, "certfile": folder.certificate, "keyfile": folder.key}
    options = [word for name, path in tls.items() for word in (f"--ssl-{name}", str(path))]
    authority = folder.authority.read_bytes()
    with superlink(free_port(), home, [*options, "--enable-supernode-auth"], authority) as link:
        register = Register(link, Book(folder.book))
        register.bring_in_line()
        proxy = FleetProxy(Book(folder.book), link.address, authority.decode(), register.bring_in_line, say)
        with listening(proxy, folder, host, port):
            yield Opened(link, register.check)


@dataclass
class Register:
    """Flower's own register of nodes, kept in line with the book; who a node is follows from its key alone."""

    link: Link
    book: Book

    def __post_init__(self) -> None:
        self._nodes: dict[int, Listed] = {}
        self._one_at_a_time = Lock()

    def bring_in_line(self) -> None:
        """Register the enrolled nodes' keys, and remove all others."""
        with self._one_at_a_time:
            self._bring_in_line()

    def _bring_in_line(self) -> None:
        enrolled = {node.node_key: node for node in self.book.nodes() if node.node_key and not node.revoked}
        with closing(self.link.client(ControlHttpClient, "fedhealth")) as control:
            known = {
                node.public_key.decode(): node.node_id
                for node in control.ListNodes(ListNodesRequest()).nodes_info
                if node.status != "unregistered"
            }
            for key in known.keys() - enrolled.keys():
                control.UnregisterNode(UnregisterNodeRequest(node_id=known.pop(key)))
            for key in enrolled.keys() - known.keys():
                request = RegisterNodeRequest(public_key=key.encode(), name=enrolled[key].name)
                known[key] = control.RegisterNode(request).node_id
        self._nodes = {known[key]: node for key, node in enrolled.items()}

    def check(self, node_id: int, introduction: Introduction) -> None:
        """Check that a node says the name, and shows the signing key, that it enrolled with.

        Raises:
            Refused: it does not.
        """
        node = self._nodes.get(node_id)
        if node is None:
            raise Refused(f"a node came as {introduction.node!r} that is not enrolled")
        if node.name != introduction.node:
            raise Refused(f"{node.name} came as {introduction.node!r}; a node takes part under its own name alone")
        if node.signing_key != introduction.public_key.hex():
            raise Refused(
                f"{node.name} came with another signing key than it enrolled with; restore its key file, or "
                f"enrol it anew: fedhealth server revoke {node.name}"
            )
