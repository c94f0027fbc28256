"""What happens in a run, as it happens: who came, was lost, came back or was refused, every step and every round.

Whoever wants to know is called with the event's name and its facts:

    joined, back    node, version (of its program; empty where it does not tell)
    lost, refused   node, why
    step            step, nodes, seconds (all nodes together), bytes (of their answers), and by node the bytes
                    received (of the question) and sent (of the answer)
    round           round, loss (mean training loss), auroc (on held-out rows; None where undefined)
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol


class Watch(Protocol):
    """Is told of every event."""

    def __call__(self, event: str, **facts: Any) -> None:
        """Be told of one."""


def unwatched(event: str, **facts: Any) -> None:
    """Tell nobody."""


def together(*watches: Watch) -> Watch:
    """Tell all of them."""

    def tell(event: str, **facts: Any) -> None:
        for watch in watches:
            watch(event, **facts)

    return tell


@dataclass
class Log:
    """A JSON line an event in ``path``: time, run, event, its facts; a step also has the round that it is part of."""

    path: Path
    run: str
    _round: int = 0

    def __call__(self, event: str, **facts: Any) -> None:
        """Add a line; a log that cannot be written does not stop a run."""
        if event == "step":
            facts = {"round": self._round, **facts}
        elif event == "round":
            self._round = facts["round"] + 1
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "run": self.run, "event": event, **facts}
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def events(self) -> list[dict[str, Any]]:
        """All events so far, also those before the run was resumed; none where the log could not be written whole."""
        try:
            return read_log(self.path)
        except (OSError, ValueError):
            return []


def read_log(path: Path) -> list[dict[str, Any]]:
    """The events in a log; a last line that is being written is left out."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def node_facts(events: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each node that came: its program's newest ``version``, and the bytes it ``received`` and ``sent`` in all steps.

    None is what was not told or not measured.
    """
    found: defaultdict[str, dict[str, Any]] = defaultdict(lambda: {"version": None, "received": None, "sent": None})
    for event in events:
        if event["event"] in ("joined", "back"):
            found[event["node"]]["version"] = event.get("version") or None
        for way in ("received", "sent"):
            for name, size in event.get(way, {}).items():
                found[name][way] = (found[name][way] or 0) + size
    return dict(found)
