"""Nodes that can be trained over, wherever they are."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedhealth.data.dataset import Dataset
from fedhealth.federation import Exchange


@dataclass(frozen=True)
class Federation:
    """An exchange with nodes, in the study's node order, and what is known of them.

    Attributes:
        exchange: asks all of them.
        synthetic: names of those whose rows were generated.
        policies: hashes of their policies, by name.
        dataset: all their rows, where they are in one place, for baselines that no federation could compute.
    """

    exchange: Exchange
    synthetic: tuple[str, ...]
    policies: Mapping[str, str]
    dataset: Dataset | None = None
