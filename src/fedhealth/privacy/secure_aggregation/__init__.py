"""Sums of which the server sees only the total (Bonawitz et al. 2017): state machines without input or output."""

from fedhealth.privacy.secure_aggregation.errors import SecureAggregationError, UnfitError
from fedhealth.privacy.secure_aggregation.node import FEWEST_NODES, Member, NodeRound, fewest
from fedhealth.privacy.secure_aggregation.server import ServerRound

__all__ = [
    "FEWEST_NODES",
    "Member",
    "NodeRound",
    "SecureAggregationError",
    "ServerRound",
    "UnfitError",
    "fewest",
]
