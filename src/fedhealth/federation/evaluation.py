"""Federated evaluation: what a node tells of a model's scores is a histogram, so that no score and no row leaves it.

Of all its rows, and of every subgroup of the study (coarser histograms; small ones stay inside). Every metric follows
from their sums (:mod:`fedhealth.federation.metrics`).
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fedhealth.data.shard import Shard
from fedhealth.federation.contribution import Contribution, Floats, State, arrays
from fedhealth.federation.small_groups import fewest
from fedhealth.federation.subgroups import large_enough, members
from fedhealth.model import NetworkModel, RiskModel, log_odds, model_from_arrays
from fedhealth.model.missing import Mask
from fedhealth.study import Study

EDGES = np.linspace(-9.0, 9.0, 361)  # on the logit: 0.05 wide, 0.012 of risk at the steepest
CENTRES = 1 / (1 + np.exp(-np.linspace(-9.025, 9.025, 362)))  # the risk in the middle of each bin, and just outside
GROUP_EDGES = EDGES[::4]  # for subgroups: 0.2 wide
GROUP = "group."  # begins the name of sums by subgroup
LOSSES = ("squared_error", "log_loss")


def contribute(study: Study, state: State, shard: Shard) -> Contribution:
    """Score histograms of the model in ``state`` over this node's held-out rows, in all and by subgroup.

    ``state['withhold']`` (shape ``(d,)``) marks features to hide; rows that observe none of them are then left out
    (unless two such answers, subtracted, would tell of a few), and nothing is said of subgroups.
    Without, also the summed log loss over the ``training_rows``.
    """
    rows, training = shard.held_out, shard.training
    hidden = state["withhold"].astype(bool)
    if hidden.any():
        rows = rows.rows(_concerned(study, hidden, rows.observed, fewest(study, state, "minimum_cell")))
        training = training.rows(np.zeros(len(training), dtype=bool))
    model = model_from_arrays(study, state)
    risk = model.risk(rows.x, rows.observed & ~hidden, rows.site)
    found = _histograms(study, risk, rows.y, _told_apart(study, state, rows) & ~hidden.any())
    loss = losses(model.risk(training.x, training.observed, training.site), training.y)["log_loss"].sum()
    return Contribution({**found.sums, **arrays(training_loss=loss, training_rows=len(training))}, found.rows)


def _concerned(study: Study, hidden: Mask, observed: Mask, least: int) -> Mask:
    """Which rows observe something that is hidden, shape ``(n,)``; all, where that could tell of less than ``least``.

    It could unless one modality is hidden, and any two are observed by the same rows, or by sets ``least`` rows apart.
    """
    groups = [np.array([f.modality == modality for f in study.features]) for modality in study.modalities]
    sets = [np.ones(len(observed), dtype=np.bool_), *(observed[:, group].any(axis=1) for group in groups)]
    apart = [int((one != other).sum()) for one, other in combinations(sets, 2)]
    if not any((hidden == group).all() for group in groups) or any(0 < few < least for few in apart):
        return np.ones(len(observed), dtype=np.bool_)
    return np.asarray(observed[:, hidden].any(axis=1))


def compare(study: Study, state: State, alone: RiskModel | NetworkModel, shard: Shard) -> Contribution:
    """As :func:`contribute` for the model ``alone``, and how much more the model in ``state`` loses on the same rows.

    ``difference.<loss>`` and ``difference.<loss>_squares``, shape ``(1 + G,)``: sums over all rows, then over each
    subgroup, of a row's loss under the model in ``state`` minus that under ``alone``, and of its square.
    """
    rows = shard.held_out
    belongs = _told_apart(study, state, rows)
    risks = [model.risk(rows.x, rows.observed, rows.site) for model in (model_from_arrays(study, state), alone)]
    together, local = (losses(risk, rows.y) for risk in risks)
    sums = {}
    for name in LOSSES:
        more = together[name] - local[name]
        for key, values in ((name, more), (f"{name}_squares", more**2)):
            sums[f"difference.{key}"] = np.concatenate([[values.sum()], values @ belongs])
    own = _histograms(study, risks[1], rows.y, belongs)
    return Contribution({**own.sums, **sums}, own.rows)


def _told_apart(study: Study, state: State, rows: Shard) -> NDArray[np.bool_]:
    """Rows by subgroup, shape ``(n, G)``, empty where a subgroup is too small to leave the node."""
    belongs = members(study, rows)
    return belongs & large_enough(study, belongs, rows.y, fewest(study, state, "minimum_class"))


def _histograms(study: Study, risk: Floats, y: Floats, belongs: NDArray[np.bool_]) -> Contribution:
    threshold = study.outcome.threshold
    whole = score_histogram(risk, y, threshold)
    parts = [score_histogram(risk[chosen], y[chosen], threshold, GROUP_EDGES) for chosen in belongs.T]
    stacked = {GROUP + name: np.stack([p[name] for p in parts]) for name in whole.sums} if parts else {}
    return Contribution({**whole.sums, **stacked}, whole.rows)


def losses(risk: Floats, y: Floats) -> dict[str, Floats]:
    """Each row's squared error and log loss, by the names in ``LOSSES``, shape ``(n,)``."""
    risk = np.clip(risk, 1e-9, 1 - 1e-9)
    both = (risk - y) ** 2, -(y * np.log(risk) + (1 - y) * np.log(1 - risk))
    return dict(zip(LOSSES, both, strict=True))


def score_histogram(risk: Floats, y: Floats, threshold: float, edges: Floats = EDGES) -> Contribution:
    """Sums that all metrics follow from: counts by label and score bin, and sums of losses and their squares.

    ``risks`` sums each bin's scores, each taken as the middle of its narrow bin, so that a bin that holds one person
    does not tell that person's score.
    """
    lost = losses(risk, y)
    logit = log_odds(risk)
    place, bins = np.searchsorted(edges, logit), len(edges) + 1
    high = risk >= threshold
    return Contribution(
        arrays(
            positives=np.bincount(place, weights=y, minlength=bins),
            negatives=np.bincount(place, weights=1 - y, minlength=bins),
            risks=np.bincount(place, weights=CENTRES[np.searchsorted(EDGES, logit)], minlength=bins),
            **{name: each.sum() for name, each in lost.items()},
            **{f"{name}_squares": (each**2).sum() for name, each in lost.items()},
            correct=((risk >= 0.5) == (y == 1)).sum(),
            true_positives=(high & (y == 1)).sum(),
            true_negatives=(~high & (y == 0)).sum(),
        ),
        len(y),
    )


def subgroup(total: Contribution, group: int) -> Contribution:
    """The score histogram of one subgroup (its position in :func:`~fedhealth.federation.subgroups.group_names`)."""
    sums = {name.removeprefix(GROUP): a[group] for name, a in total.sums.items() if name.startswith(GROUP)}
    return Contribution(sums, int(sums["positives"].sum() + sums["negatives"].sum()))
