"""Serve the proxy over TLS in a thread of the server's process, and say why connections fail before any request."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from fedhealth.runtime.flower.certificates import ServerFolder
from fedhealth.runtime.flower.environment import FlowerError
from fedhealth.runtime.flower.proxy import FleetProxy

_WHY = {
    "HTTP_REQUEST": "it came without TLS; a node has to enrol first: fedhealth node join FILE",
    "WRONG_VERSION_NUMBER": "it came without TLS; a node has to enrol first: fedhealth node join FILE",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know this server's authority; its invitation is of another server, or older",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it finds this server's certificate expired; run: fedhealth server init",
    "SSLV3_ALERT_BAD_CERTIFICATE": "this server's certificate is not for the name or address that it used",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def listening(proxy: FleetProxy, folder: ServerFolder, host: str, port: int) -> Iterator[None]:
    """Serve ``proxy`` on an outside address within the block.

    Raises:
        FlowerError: the address cannot be had.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise FlowerError(
            f"cannot listen on {host}, port {port} ({error.strerror}); choose another with --host, --port"
        ) from None
    server = uvicorn.Server(_config(proxy, folder))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        _wait_for_start(server, thread)
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


def _config(proxy: FleetProxy, folder: ServerFolder) -> uvicorn.Config:
    def context(_: uvicorn.Config, __: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.load_cert_chain(folder.certificate, folder.key)
        made.sslobject_class = _telling(proxy.tell)
        return made

    return uvicorn.Config(
        proxy,
        loop="asyncio",
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=3,
        ssl_context_factory=context,
    )


def _wait_for_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    until = time.monotonic() + 10.0
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise FlowerError("the server's outside port could not be served; see above")
        time.sleep(0.02)


def _telling(tell: Callable[[str], None]) -> type[ssl.SSLObject]:
    """A connection's TLS that says why its handshake failed."""

    class Telling(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                raise
            except ssl.SSLError as error:
                tell(f"refused a connection: {_WHY.get(error.reason, error.reason)}")
                raise

    return Telling
