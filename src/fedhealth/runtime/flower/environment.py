"""What Flower may do on this machine: nothing but talk between the server and its nodes."""

import os
import tempfile

SETTINGS = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.05",
}


class FlowerError(ConnectionError):
    """Server and nodes could not work together; the message names who, and what to do."""


def printable(text: str) -> str:
    """What others sent, as it may go to the operator's terminal: no control characters, at most 300 signs."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:300])


def private_environment() -> "tempfile.TemporaryDirectory[str]":
    """Keep Flower quiet in this process and its children, with a home of its own; call before importing flwr.

    Returns:
        The folder that is Flower's home; it vanishes when closed.
    """
    home = tempfile.TemporaryDirectory(prefix="fedhealth-flower-")
    os.environ.update(SETTINGS, FLWR_HOME=home.name)
    return home
