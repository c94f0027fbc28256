"""Every question a server may ask a node, by name. Each answer is a contribution; there are no others."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fedhealth.data.shard import Shard
from fedhealth.federation import averaging, calibration, evaluation, newton, pairing, private_sums, statistics
from fedhealth.federation.contribution import Contribution, State
from fedhealth.federation.training import Exchange, OneLabel, fit
from fedhealth.model import NetworkModel, RiskModel, model_from_arrays
from fedhealth.study import Study

Contribute = Callable[[Study, State, Shard], Contribution]


def contribute_local_baseline(study: Study, state: State, shard: Shard) -> Contribution:
    """Train on this node's rows alone, inside the node, and compare with the model in ``state`` on its held-out rows.

    Gives the local model's score histograms (see :func:`evaluation.compare`). ``state['segments']`` is the number of
    segments of each curve; the local model itself never leaves. A node with one label only cannot train alone: its
    histograms are empty.
    """
    exchange = exchange_within([shard], study)
    return _beside(study, state, shard, lambda: fit(study, exchange, int(state["segments"])).model)


def contribute_local_network(study: Study, state: State, shard: Shard) -> Contribution:
    """As :func:`contribute_local_baseline`, with a network; ``state['seed']`` keys its training."""
    exchange = exchange_within([shard], study)
    return _beside(study, state, shard, lambda: averaging.fit_network(study, exchange, int(state["seed"])).model)


def _beside(study: Study, state: State, shard: Shard, train: Callable[[], RiskModel | NetworkModel]) -> Contribution:
    try:
        return evaluation.compare(study, state, train(), shard)
    except OneLabel:
        none = shard.rows(np.zeros(len(shard), dtype=bool))
        return evaluation.compare(study, state, model_from_arrays(study, state), none)


STEPS: Mapping[str, Contribute] = {
    "inventory": statistics.contribute_inventory,
    "moments": statistics.contribute_moments,
    "counts": statistics.contribute_counts,
    "reference": statistics.contribute_reference,
    "columns": statistics.contribute_columns,
    "newton": newton.contribute,
    "calibrate": calibration.contribute,
    "evaluate": evaluation.contribute,
    "compare": pairing.contribute,
    "local_baseline": contribute_local_baseline,
    "average": averaging.contribute,
    "calibrate_network": averaging.contribute_calibration,
    "local_network": contribute_local_network,
    "private_counts": private_sums.contribute_counts,
    "private_products": private_sums.contribute_products,
    "private_gradient": private_sums.contribute_gradient,
    "private_network_gradient": private_sums.contribute_network_gradient,
    "private_calibrate": private_sums.contribute_line,
    "private_scores": private_sums.contribute_scores,
}


def exchange_within(shards: Sequence[Shard], study: Study) -> Exchange:
    """An exchange over rows that are all in one place: for baselines and tests. Nothing leaves, so no door."""
    return lambda step, state: {shard.node: STEPS[step](study, state, shard) for shard in shards}
