"""A node's door with everything behind it, for tests."""

from dataclasses import replace
from pathlib import Path

from tests.federation.worlds import STUDY

from fedhealth.privacy import POLICIES, Door, Ledger, Policy

OPEN = replace(POLICIES["default"], secure_aggregation=False)


TWO = replace(STUDY, policy="default", nodes=STUDY.nodes[:2])  # a study whose nodes answer one by one


def open_door(folder: Path, node: str = "north", policy: Policy = OPEN, labels: tuple[int, int] = (900, 100)) -> Door:
    """A door whose audit log and ledger are files in ``folder``."""
    ledger = Ledger(node, folder / f"{node}.ledger.sqlite", policy.epsilon, policy.delta)
    return Door(node, policy, folder / f"{node}.jsonl", ledger, labels)
