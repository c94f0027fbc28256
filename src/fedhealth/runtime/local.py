"""The in-process runtime: every node in this process, each behind its own door."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedhealth.data.shard import Shard
from fedhealth.federation import STEPS, Contribution, Exchange, State
from fedhealth.privacy import EXITS, Cohort, Door, Ledger, Policy, cohort_folder, ledger_file, policy_of
from fedhealth.study import Study


@dataclass(frozen=True)
class LocalNode:
    """A node's rows, and without what its policy keeps inside; and its door.

    Noisy answers read all rows: which features are rare is itself told by rows, and the noise covers them.
    """

    study: Study
    rows: Shard
    shard: Shard
    door: Door

    @classmethod
    def behind_door(
        cls, study: Study, shard: Shard, policy: Policy, audit_folder: Path, data: Path | None = None
    ) -> "LocalNode":
        """The node of ``shard``; its audit log is ``audit_folder/NODE.jsonl``, its ledger in ``data`` or there."""
        ledger = Ledger(shard.node, ledger_file(data or audit_folder, shard.node), policy.epsilon, policy.delta)
        cohort = Cohort.of(shard, cohort_folder(data, shard.node)) if data else None
        door = Door(shard.node, policy, audit_folder / f"{shard.node}.jsonl", ledger, cohort)
        return cls(study, shard, policy.visible(study, shard), door)

    def answer(self, step: str, state: State) -> Contribution:
        """What leaves this node for one step.

        Raises:
            PolicyRefusal: the node's policy does not allow it.
        """
        rows = self.rows if step in EXITS and EXITS[step].noisy else self.shard
        return self.door.release(
            self.study.hash, step, STEPS[step](self.study, state, rows), float(state.get("spend", 0.0))
        )


def exchange_in_process(
    study: Study, shards: Sequence[Shard], audit_folder: Path, data: Path | None = None
) -> Exchange:
    """An exchange with nodes in this process, in the order of ``shards``; audit lines go to ``audit_folder``.

    ``data`` is the folder where a node's owner may have written limits (:func:`~fedhealth.privacy.policy_of`).

    Raises:
        PolicyError: such a file cannot be used.
    """
    nodes = [LocalNode.behind_door(study, s, policy_of(study, s.node, data), audit_folder, data) for s in shards]
    return lambda step, state: {node.shard.node: node.answer(step, state) for node in nodes}
