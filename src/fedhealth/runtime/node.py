"""A node: its rows behind its own door. Every runtime asks it the same way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fedhealth.data.generated import is_synthetic
from fedhealth.data.shard import Shard
from fedhealth.federation import STEPS, Contribution, State, packing
from fedhealth.federation.contribution import Floats, arrays
from fedhealth.privacy import (
    EXITS,
    Cohort,
    Door,
    Ledger,
    Policy,
    PolicyRefusal,
    audit_file,
    cohort_folder,
    ledger_file,
)
from fedhealth.study import Study

WITH_GAPS = ("knots", "floor")  # arrays of a state in which a feature may have none


@dataclass(frozen=True)
class Node:
    """A node's rows, and without what its policy keeps inside; and its door.

    ``digest`` is a hash of rows and split. Noisy answers read all rows: which features are rare is itself told by rows,
    and the noise covers them.
    """

    study: Study
    rows: Shard
    shard: Shard
    door: Door
    digest: bytes

    @classmethod
    def behind_door(
        cls, study: Study, shard: Shard, policy: Policy, audit_folder: Path, data: Path | None = None
    ) -> "Node":
        """The node of ``shard``; its audit log is in ``audit_folder`` unless the owner named another file in ``data``.

        Its ledger is in ``data``, or beside the audit log.
        """
        ledger = Ledger(shard.node, ledger_file(data or audit_folder, shard.node), policy.most_epsilon, policy.delta)
        guarded = data and policy.minimum_cell > 1 and not is_synthetic(study.node(shard.node), data)
        cohort = Cohort.of(shard, cohort_folder(data, shard.node)) if data and guarded else None
        positives = int(shard.y.sum())
        labels = len(shard) - positives, positives
        door = Door(shard.node, policy, audit_file(shard.node, audit_folder, data), ledger, labels, cohort)
        rows = packing.digest(arrays(x=shard.x, observed=shard.observed, y=shard.y, fold=shard.fold))
        return cls(study, shard, policy.visible(study, shard), door, rows)

    @property
    def name(self) -> str:
        """The node's name in the study."""
        return self.door.node

    def answer(self, step: str, state: State, together: Sequence[str] = (), run: str = "") -> Contribution:
        """What leaves this node for one step; ``together`` names the nodes whose answers are summed under masks.

        When one ``run`` asks the same again, over the same nodes, an answer with noise is the same as before.

        Raises:
            PolicyRefusal: the node's policy does not allow it, or the state is none that training can have.
        """
        self._check_state(step, state)
        rows = self.rows if step in EXITS and EXITS[step].noisy else self.shard
        asked = packing.encode((run, self.study.hash, step, together)) + packing.digest(state) if run else b""
        state, policy = _laid_out(state), self.door.policy
        for limit in ("minimum_cell", "minimum_class"):
            state[limit] = np.array(float(getattr(policy, limit)))
        if "norm_bound" in state:
            asked_for, own = float(state["norm_bound"]), policy.norm_bound
            state["norm_bound"] = np.array(min(asked_for, own) if asked_for >= 0 else own)
        answer = STEPS[step](self.study, state, rows)
        answer = replace(answer, sums=_laid_out(answer.sums))
        spend = float(state.get("spend", 0.0))
        return self.door.release(self.study.hash, step, answer, spend, max(len(together), 1), asked, self.digest)

    def _check_state(self, step: str, state: State) -> None:
        """Refuse numbers that only one who wants a row to show itself would send: what they give differs row by row."""
        for name, array in state.items():
            wrong = np.isinf(array) if name.rpartition(".")[2] in WITH_GAPS else ~np.isfinite(array)
            if name != "norm_bound" and wrong.any():
                raise PolicyRefusal(f"{self.name} refused step {step!r}: {name!r} of its state is not finite")


def _laid_out(arrays: Mapping[str, Floats]) -> dict[str, Floats]:
    """Copies in one memory layout: where the last bit of a product depends on it, all runtimes agree."""
    return {name: np.array(array, dtype=np.float64, order="C") for name, array in arrays.items()}
