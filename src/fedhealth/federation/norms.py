"""A bound on how far one node may move the model in a round: kept by the node, checked by the server.

Norm bounding: Sun et al. 2019, "Can you really backdoor federated learning?". A node scales its whole move to the
bound; a server that sees the nodes' own answers, so without secure aggregation, refuses those that did not.
"""

from collections.abc import Mapping

import numpy as np

from fedhealth.federation.aggregation import mean
from fedhealth.federation.contribution import TOGETHER, Contribution, Floats
from fedhealth.model.network import WEIGHTS


class NormExceeded(ValueError):
    """A node's move is longer than was agreed."""


def norm(moved: Mapping[str, Floats]) -> float:
    """Euclidean length of one network's move over all weights together."""
    return float(np.sqrt(sum(float((move**2).sum()) for move in moved.values())))


def clip(moved: Mapping[str, Floats], bound: float) -> dict[str, Floats]:
    """The move, shortened to length ``bound`` if it is longer."""
    length = norm(moved)
    return {name: move * min(1.0, bound / length) if length else move for name, move in moved.items()}


def check(replies: Mapping[str, Contribution], bound: float) -> None:
    """Raise NormExceeded if a node's move of any network is longer than ``bound`` (up to rounding)."""
    for node, reply in replies.items():
        if node == TOGETHER:
            continue  # a total of bounded moves, of which only the nodes know the parts
        moves = mean({node: reply}, "moved").values
        for j in range(len(reply["rows"])):
            length = norm({name: moves[name][j] for name in WEIGHTS})
            if not length <= bound * (1 + 1e-9):
                raise NormExceeded(f"{node} moved the weights by {length:.6g}; expected at most the bound {bound:g}")
