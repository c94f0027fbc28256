"""A node: its rows behind its own door. Every runtime asks it the same way."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedhealth.data.shard import Shard
from fedhealth.federation import STEPS, Contribution, State
from fedhealth.privacy import EXITS, Cohort, Door, Ledger, Policy, audit_file, cohort_folder, ledger_file
from fedhealth.study import Study


@dataclass(frozen=True)
class Node:
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
    ) -> "Node":
        """The node of ``shard``; its audit log is in ``audit_folder`` unless the owner named another file in ``data``.

        Its ledger is in ``data``, or beside the audit log.
        """
        ledger = Ledger(shard.node, ledger_file(data or audit_folder, shard.node), policy.epsilon, policy.delta)
        cohort = Cohort.of(shard, cohort_folder(data, shard.node)) if data else None
        door = Door(shard.node, policy, audit_file(shard.node, audit_folder, data), ledger, cohort)
        return cls(study, shard, policy.visible(study, shard), door)

    @property
    def name(self) -> str:
        """The node's name in the study."""
        return self.door.node

    def answer(self, step: str, state: State, summed_over: int = 1) -> Contribution:
        """What leaves this node for one step; ``summed_over`` as in :meth:`~fedhealth.privacy.Door.release`.

        Raises:
            PolicyRefusal: the node's policy does not allow it.
        """
        rows = self.rows if step in EXITS and EXITS[step].noisy else self.shard
        if "norm_bound" in state:
            state = {**state, "norm_bound": np.minimum(state["norm_bound"], self.door.policy.norm_bound)}
        answer = STEPS[step](self.study, state, rows)
        return self.door.release(self.study.hash, step, answer, float(state.get("spend", 0.0)), summed_over)
