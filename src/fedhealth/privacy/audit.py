"""A node's record of everything that left it: one JSON line per contribution, appended and flushed first."""

import json
from datetime import UTC, datetime
from pathlib import Path

from fedhealth.federation import Contribution


def append(path: Path, node: str, study_hash: str, step: str, contribution: Contribution) -> None:
    """Append one line: when, which study, which step, over how many rows, the arrays' shapes and the bytes."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "node": node,
        "study": study_hash,
        "step": step,
        "rows": contribution.rows,
        "arrays": {name: list(array.shape) for name, array in contribution.sums.items()},
        "bytes": sum(array.nbytes for array in contribution.sums.values()),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
