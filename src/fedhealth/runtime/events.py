"""What happens in a run, as it happens: who came, was lost, came back or was refused, every step and every round.

Whoever wants to know is called with the event's name and its facts:

    joined, back    node, version (of its program; empty where it does not tell)
    lost, refused   node, why
    absent          node, why (it never came)
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

LOG = "log.jsonl"  # in the folder of a run


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
    """A JSON line an event in ``path``: time, run, event, its facts; a step also has the round that it is part of.

    A log that is there already is gone on with: rounds that it has are not told again.
    """

    path: Path
    run: str
    _round: int = 0

    def __post_init__(self) -> None:
        self._round = max((one["round"] + 1 for one in read_log(self.path) if one["event"] == "round"), default=0)

    def __call__(self, event: str, **facts: Any) -> None:
        """Add a line; a log that cannot be written does not stop a run."""
        if event == "step":
            facts = {"round": self._round, **facts}
        elif event == "round":
            if facts["round"] < self._round:
                return
            self._round = facts["round"] + 1
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "run": self.run, "event": event, **facts}
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                file.seek(max(file.tell() - 1, 0))
                ended = file.read(1) in (b"", b"\n")  # a full disk may have cut the last line off
                file.write(b"" if ended else b"\n")
                file.write(json.dumps(line).encode() + b"\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The events of a log, oldest first; lines that were cut off are left out."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


def node_facts(events: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each node that came, by name: its newest ``version``, and the bytes it ``received`` and ``sent`` in all steps.

    None is what was not told or not measured.
    """
    found: defaultdict[str, dict[str, Any]] = defaultdict(lambda: {"version": None, "received": None, "sent": None})
    for event in events:
        if event["event"] in ("joined", "back"):
            found[event["node"]]["version"] = event.get("version") or None
        for way in ("received", "sent"):
            for name, size in event.get(way, {}).items():
                found[name][way] = (found[name][way] or 0) + size
    return dict(sorted(found.items()))
