"""What a strategy is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fedhealth.federation.aggregation import Aggregate, Aggregation, mean
from fedhealth.federation.contribution import Floats, State


@dataclass(frozen=True)
class Strategy:
    """A record of pure functions over named arrays, where every weight ``w`` has shape ``(J, ...)``.

    Nodes keep nothing between rounds. What a strategy changes in local training travels in the state: ``mu``, the
    strength of a proximal term; ``control.<w>`` and ``before.<w>``, control variates.

    Attributes:
        name: how commands and reports call it.
        init: from the first weights to what the server keeps beside them and sends along.
        update: from the state that was sent and ``aggregated`` (a function from the kind of the nodes' sums,
            ``moved`` or ``gradient``, to one value per weight) to the next state. What nobody covered must stay.
        aggregate: how the nodes' answers become one value per weight.
        norm_bound: the longest move of the weights that one node may make in a round.
    """

    name: str
    init: Callable[[State], dict[str, Floats]]
    update: Callable[[State, Callable[[str], Aggregate]], dict[str, Floats]]
    aggregate: Aggregation = mean
    norm_bound: float = np.inf
