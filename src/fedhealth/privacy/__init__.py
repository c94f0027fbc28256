"""The node's one door: policy, then audit, then out."""

from fedhealth.privacy.door import Door
from fedhealth.privacy.policy import POLICIES, Policy, PolicyRefusal

__all__ = ["POLICIES", "Door", "Policy", "PolicyRefusal"]
