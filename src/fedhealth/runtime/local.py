"""The in-process runtime: every node in this process, each behind its own door."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedhealth.data.shard import Shard
from fedhealth.federation import STEPS, Contribution, Exchange, State
from fedhealth.privacy import POLICIES, Door
from fedhealth.study import Study


@dataclass(frozen=True)
class LocalNode:
    """A node's rows and its door."""

    study: Study
    shard: Shard
    door: Door

    def answer(self, step: str, state: State) -> Contribution:
        """What leaves this node for one step.

        Raises:
            PolicyRefusal: the node's policy does not allow it.
        """
        return self.door.release(self.study.hash, step, STEPS[step](self.study, state, self.shard))


def exchange_in_process(study: Study, shards: Sequence[Shard], audit_folder: Path) -> Exchange:
    """An exchange with nodes in this process, in the order of ``shards``; audit lines go to ``audit_folder``."""
    nodes = [
        LocalNode(study, s, Door(s.node, POLICIES[study.policy], audit_folder / f"{s.node}.jsonl")) for s in shards
    ]
    return lambda step, state: {node.shard.node: node.answer(step, state) for node in nodes}
