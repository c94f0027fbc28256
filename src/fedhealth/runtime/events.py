"""What happens in a run, as it happens: who came, was lost, came back or was refused, and every step."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


class Watch:
    """Told of everything; this one keeps it to itself."""

    def joined(self, node: str) -> None:
        """A node came for the first time."""

    def back(self, node: str) -> None:
        """A node that was lost is there again."""

    def lost(self, node: str, why: str) -> None:
        """A node is no longer there, or too late."""

    def refused(self, node: str, why: str) -> None:
        """A node refused a question, or its answer cannot be used."""

    def step(self, step: str, nodes: Sequence[str], seconds: float, size: int) -> None:
        """These nodes answered a step, in so many seconds, with so many bytes together."""

    def round(self, number: int, loss: float, auroc: float) -> None:
        """A round is finished: its mean training loss, and the AUROC on held-out rows (NaN where undefined)."""


@dataclass(frozen=True)
class Several(Watch):
    """Passes everything on to others."""

    others: Sequence[Watch]

    def joined(self, node: str) -> None:  # noqa: D102 (told by Watch, as all that follow)
        for other in self.others:
            other.joined(node)

    def back(self, node: str) -> None:  # noqa: D102
        for other in self.others:
            other.back(node)

    def lost(self, node: str, why: str) -> None:  # noqa: D102
        for other in self.others:
            other.lost(node, why)

    def refused(self, node: str, why: str) -> None:  # noqa: D102
        for other in self.others:
            other.refused(node, why)

    def step(self, step: str, nodes: Sequence[str], seconds: float, size: int) -> None:  # noqa: D102
        for other in self.others:
            other.step(step, nodes, seconds, size)

    def round(self, number: int, loss: float, auroc: float) -> None:  # noqa: D102
        for other in self.others:
            other.round(number, loss, auroc)


@dataclass
class Log(Watch):
    """One JSON line an event in ``path``: time, run, event, and what belongs to it (round, step, node, seconds, …)."""

    path: Path
    run: str
    _round: int = -1

    def write(self, event: str, **facts: object) -> None:
        """Add a line; a log that cannot be written does not stop a run."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "run": self.run, "event": event, **facts}
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def joined(self, node: str) -> None:  # noqa: D102 (told by Watch, as all that follow)
        self.write("joined", node=node)

    def back(self, node: str) -> None:  # noqa: D102
        self.write("back", node=node)

    def lost(self, node: str, why: str) -> None:  # noqa: D102
        self.write("lost", node=node, why=why)

    def refused(self, node: str, why: str) -> None:  # noqa: D102
        self.write("refused", node=node, why=why)

    def step(self, step: str, nodes: Sequence[str], seconds: float, size: int) -> None:  # noqa: D102
        facts = {"step": step, "nodes": list(nodes), "seconds": round(seconds, 3), "bytes": size}
        self.write("step", round=self._round + 1, **facts)

    def round(self, number: int, loss: float, auroc: float) -> None:  # noqa: D102
        self._round = number
        self.write("round", round=number, loss=round(loss, 6), auroc=None if auroc != auroc else round(auroc, 4))
