"""Every question a server may ask a node, by name. Each answer is a contribution; there are no others."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fedhealth.data.shard import Shard
from fedhealth.federation import averaging, calibration, evaluation, newton, statistics
from fedhealth.federation.contribution import Contribution, State, arrays
from fedhealth.federation.training import Exchange, OneLabel, fit
from fedhealth.study import Study

Contribute = Callable[[Study, State, Shard], Contribution]


def contribute_local_baseline(study: Study, state: State, shard: Shard) -> Contribution:
    """Train on this node's rows alone, inside the node, and give the score histogram over its held-out rows.

    ``state['segments']`` is the number of segments of each curve; the local model itself never leaves. A node with one
    label only cannot train alone: its histogram is empty.
    """
    try:
        alone = fit(study, exchange_within([shard], study), int(state["segments"]))
    except OneLabel:
        return evaluation.score_histogram(np.zeros(0), np.zeros(0), study.outcome.threshold)
    hidden = arrays(withhold=[0.0] * len(study.features))
    return evaluation.contribute(study, {**alone.model.arrays(), **hidden}, shard)


def contribute_local_network(study: Study, state: State, shard: Shard) -> Contribution:
    """As :func:`contribute_local_baseline`, with a network; ``state['seed']`` keys its training."""
    try:
        alone = averaging.fit_network(study, exchange_within([shard], study), int(state["seed"]))
    except OneLabel:
        return evaluation.score_histogram(np.zeros(0), np.zeros(0), study.outcome.threshold)
    hidden = arrays(withhold=[0.0] * len(study.features))
    return evaluation.contribute(study, {**alone.model.arrays(), **hidden}, shard)


STEPS: Mapping[str, Contribute] = {
    "inventory": statistics.contribute_inventory,
    "moments": statistics.contribute_moments,
    "counts": statistics.contribute_counts,
    "reference": statistics.contribute_reference,
    "columns": statistics.contribute_columns,
    "newton": newton.contribute,
    "calibrate": calibration.contribute,
    "evaluate": evaluation.contribute,
    "local_baseline": contribute_local_baseline,
    "average": averaging.contribute,
    "calibrate_network": averaging.contribute_calibration,
    "local_network": contribute_local_network,
}


def exchange_within(shards: Sequence[Shard], study: Study) -> Exchange:
    """An exchange over rows that are all in one place: for baselines and tests. Nothing leaves, so no door."""
    return lambda step, state: {shard.node: STEPS[step](study, state, shard) for shard in shards}
