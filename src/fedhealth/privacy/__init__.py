"""The node's one door: a declared exit, policy, noise paid from a ledger, audit, then out."""

from fedhealth.privacy.accounting import DELTA, Budget, epsilon_of
from fedhealth.privacy.approval import approve, is_approved
from fedhealth.privacy.audit import AuditError
from fedhealth.privacy.cohorts import Cohort, cohort_folder
from fedhealth.privacy.disclosure import would_leave
from fedhealth.privacy.door import Door
from fedhealth.privacy.exits import EXITS
from fedhealth.privacy.ledger import Ledger, ledger_file
from fedhealth.privacy.owner_limits import PolicyError, audit_file, policy_file, policy_of, read_limits
from fedhealth.privacy.policy import POLICIES, NotFinite, Policy, PolicyRefusal, is_summed_under_masks

__all__ = [
    "DELTA",
    "EXITS",
    "POLICIES",
    "AuditError",
    "Budget",
    "Cohort",
    "Door",
    "Ledger",
    "NotFinite",
    "Policy",
    "PolicyError",
    "PolicyRefusal",
    "approve",
    "audit_file",
    "cohort_folder",
    "epsilon_of",
    "is_approved",
    "is_summed_under_masks",
    "ledger_file",
    "policy_file",
    "policy_of",
    "read_limits",
    "would_leave",
]
