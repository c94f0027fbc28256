"""The only way out of a node."""

from dataclasses import dataclass
from pathlib import Path

from fedhealth.federation import Contribution
from fedhealth.privacy import audit
from fedhealth.privacy.exits import EXITS
from fedhealth.privacy.policy import Policy, PolicyRefusal


@dataclass(frozen=True)
class Door:
    """Lets contributions of one node out, or refuses: a declared exit, policy, audit, then out."""

    node: str
    policy: Policy
    audit_path: Path

    def release(self, study_hash: str, step: str, contribution: Contribution) -> Contribution:
        """Check, write down, and hand over.

        Raises:
            PolicyRefusal: no exit is declared for it, or the policy does not allow it; nothing left.
        """
        self._check_exit(step, contribution)
        self.policy.admit(self.node, study_hash, step)
        self.policy.check(self.node, step, contribution)
        audit.append(self.audit_path, self.node, study_hash, step, contribution)
        return contribution

    def _check_exit(self, step: str, contribution: Contribution) -> None:
        if step not in EXITS:
            raise PolicyRefusal(f"{self.node} refused step {step!r}: no such exit; there are {', '.join(EXITS)}")
        unknown = EXITS[step].unknown(contribution)
        if unknown:
            raise PolicyRefusal(
                f"{self.node} refused step {step!r}: {', '.join(map(repr, unknown))} may not leave in it; expected "
                f"{', '.join(EXITS[step].arrays)}"
            )
