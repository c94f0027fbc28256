"""A node's door with everything behind it, for tests."""

from pathlib import Path

from fedhealth.privacy import POLICIES, Door, Ledger, Policy


def open_door(folder: Path, node: str = "north", policy: Policy = POLICIES["default"]) -> Door:
    """A door whose audit log and ledger are files in ``folder``."""
    ledger = Ledger(node, folder / f"{node}.ledger.sqlite", policy.epsilon, policy.delta)
    return Door(node, policy, folder / f"{node}.jsonl", ledger)
