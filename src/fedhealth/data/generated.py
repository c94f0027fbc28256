"""Whether rows were generated."""

import json
from pathlib import Path

from fedhealth.data.files import sha256_of
from fedhealth.study import Node


def is_synthetic(node: Node, folder: Path) -> bool:
    """Whether a node's rows were generated: its table is, bit for bit, one that ``world.json`` in ``folder`` names."""
    try:
        world = json.loads((folder / "world.json").read_text(encoding="utf-8"))
        return bool(world["sha256"][node.file] == sha256_of(folder / node.file))
    except (OSError, ValueError, KeyError, TypeError):
        return False
