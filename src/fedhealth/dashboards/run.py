"""One script, two ways to run it: under Streamlit it draws the page, under Python it starts Streamlit on itself."""

import os
import socket
import tomllib
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = "127.0.0.1"
LEVEL = 4  # of compression: the highest takes twice as long for 4 % less
UNFRAMED = {"X-Frame-Options": "DENY", "Content-Security-Policy": "frame-ancestors 'none'"}
PORTS = {"citizen": 8501, "admin": 8502}
Page = Literal["citizen", "admin"]


def show_or_start(draw: Callable[[], None], script: str, page: Page) -> None:
    """Draw the page if Streamlit runs this script; otherwise serve the script with Streamlit until Ctrl-C.

    The address is ``FEDHEALTH_DASHBOARD_HOST`` (default 127.0.0.1), the port ``FEDHEALTH_CITIZEN_PORT`` or
    ``FEDHEALTH_ADMIN_PORT`` (default 8501 and 8502).

    Raises:
        SystemExit: the port is none or is taken; says which variable changes it.
    """
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    if get_script_run_ctx(suppress_warning=True) is None:
        _start(script, page)
    else:
        draw()


def _start(script: str, page: Page) -> None:
    import streamlit as st
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware

    host = os.environ.get("FEDHEALTH_DASHBOARD_HOST") or HOST
    port = port_of(page)
    refuse_taken(host, port, page)
    zipped = Middleware(GZipMiddleware, compresslevel=LEVEL)  # 7.4 MB of scripts become 2.6
    app = st.App(Path(script).resolve(), middleware=[Middleware(Unframed), zipped])
    app.run(config={**settings(), "server.address": host, "server.port": port})


class Unframed:
    """Tells browsers that no other page may show this one in a frame of its own, where clicks could be led astray."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the headers that say so."""

        async def say_so(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(UNFRAMED)
            await send(message)

        await self.app(scope, receive, say_so)


def settings() -> dict[str, Any]:
    """Streamlit's settings by name, from ``streamlit.toml``; ``streamlit run`` reads its copy beside the doors."""
    text = (resources.files("fedhealth.dashboards") / "streamlit.toml").read_text(encoding="utf-8")
    return dict(_flat(tomllib.loads(text)))


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def port_of(page: Page) -> int:
    """The port that the environment or the default gives a page.

    Raises:
        SystemExit: the variable holds no port number.
    """
    text = os.environ.get(_variable(page)) or str(PORTS[page])
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**16):
        raise SystemExit(f"{_variable(page)}: got {text!r}; expected a port number from 1 to 65535")
    return int(text)


def refuse_taken(host: str, port: int, page: Page) -> None:
    """Say in words that an address cannot be listened on, and how to choose another.

    Raises:
        SystemExit: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        change = f"stop what uses it, or choose another port: {_variable(page)}={min(port + 10, 65535)}"
        raise SystemExit(f"cannot listen on {host}, port {port} ({error.strerror}); {change}") from None


def _variable(page: Page) -> str:
    return f"FEDHEALTH_{page.upper()}_PORT"
