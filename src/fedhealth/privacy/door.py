"""The only way out of a node."""

from dataclasses import dataclass
from pathlib import Path

from fedhealth.federation import Contribution
from fedhealth.privacy import audit
from fedhealth.privacy.policy import Policy


@dataclass(frozen=True)
class Door:
    """Lets contributions of one node out, or refuses: policy, then audit, then out."""

    node: str
    policy: Policy
    audit_path: Path

    def release(self, study_hash: str, step: str, contribution: Contribution) -> Contribution:
        """Check, write down, and hand over.

        Raises:
            PolicyRefusal: the policy does not allow it; nothing left.
        """
        self.policy.check(self.node, step, contribution)
        audit.append(self.audit_path, self.node, study_hash, step, contribution)
        return contribution
