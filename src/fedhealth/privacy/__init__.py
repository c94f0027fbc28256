"""The node's one door: a declared exit, policy, audit, then out."""

from fedhealth.privacy.audit import AuditError
from fedhealth.privacy.door import Door
from fedhealth.privacy.exits import EXITS
from fedhealth.privacy.policy import POLICIES, Policy, PolicyError, PolicyRefusal, policy_file, policy_of, read_limits

__all__ = [
    "EXITS",
    "POLICIES",
    "AuditError",
    "Door",
    "Policy",
    "PolicyError",
    "PolicyRefusal",
    "policy_file",
    "policy_of",
    "read_limits",
]
