"""Serve the API with uvicorn."""

import errno
import os
import socket
from contextlib import suppress
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from fedhealth.serving.app import create_app
from fedhealth.serving.lane import QuickProtocol

HOST = "127.0.0.1"
PORT = "8000"


def serve(
    host: str | None = None, port: int | None = None, models: Path | None = None, app: FastAPI | None = None
) -> None:
    """Serve the API until Ctrl-C or SIGTERM.

    Args:
        host: address to listen on; default ``FEDHEALTH_HOST``, else 127.0.0.1 (this machine only).
        port: 0..65535, 0 for any free one; default ``FEDHEALTH_PORT``, else 8000.
        models: folder of the bundle; default as in :func:`create_app`.
        app: what to serve, made by :func:`create_app`; default the API over ``models``.

    Raises:
        SystemExit: the address cannot be listened on, or a setting is none; says why and what to do.
    """
    try:
        served = create_app(models) if app is None else app
    except ValueError as error:
        raise SystemExit(str(error)) from None
    host = host or os.environ.get("FEDHEALTH_HOST") or HOST
    listener = _listen(host, _port() if port is None else port)
    address, number = listener.getsockname()[:2]
    behind_proxy = bool(os.environ.get("FORWARDED_ALLOW_IPS"))  # else nobody may say what address they come from
    quiet = {"access_log": False, "server_header": False, "proxy_headers": behind_proxy}
    protocol = partial(QuickProtocol, lane=served.state.lane)
    config = uvicorn.Config(served, address, number, http=protocol, **quiet)  # type: ignore[arg-type]
    print(f"FedHealth API: http://{_shown(address)}:{number}, described at /docs; Ctrl-C stops it", flush=True)
    with listener, suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def _shown(address: str) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    return f"[{reachable}]" if ":" in reachable else reachable


def _port() -> int:
    text = os.environ.get("FEDHEALTH_PORT") or PORT
    if not (text.isascii() and text.isdigit() and int(text) < 2**16):
        raise SystemExit(f"FEDHEALTH_PORT: got {text!r}; expected a port number from 0 to 65535")
    return int(text)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise SystemExit(_refusal(host, port, error)) from None


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is taken; stop what uses it, or choose another: --port or FEDHEALTH_PORT={port + 1}"
        )
    if error.errno == errno.EACCES:
        return f"port {port} on {host} may not be used by this account; choose one from 1024 up: FEDHEALTH_PORT=8000"
    reason = str(error.strerror).split(" (")[0]
    return f"cannot listen on {host}, port {port}: {reason}; choose another address: FEDHEALTH_HOST={HOST}"
