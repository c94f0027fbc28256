"""Federated statistics: moments for scaling, counts for knots, column sums for centring. All exact sums."""

import numpy as np
from numpy.typing import NDArray

from fedhealth.data.shard import Shard
from fedhealth.federation import small_groups
from fedhealth.federation.contribution import Contribution, Floats, State, arrays
from fedhealth.model.design import Design, rescale
from fedhealth.study import Study

BINS = 200
CONSTANT = 1e-9  # variance, in halves of the range, that rounding may leave of a constant
# Standard deviations that the counting grid reaches below and above the mean: irrational and unequal, so that no bin's
# edge falls on a value and the order in which nodes are summed moves none to another bin.
REACH = (1.6 * np.pi, np.sqrt(24.0))


def contribute_inventory(study: Study, state: State, shard: Shard) -> Contribution:
    """How many rows this node has, and in how many each feature is observed, shape ``(d,)``."""
    return Contribution(arrays(rows=len(shard), seen=shard.observed.sum(axis=0)), len(shard))


def contribute_moments(study: Study, state: State, shard: Shard) -> Contribution:
    """Per feature: rows that observe it, sum, sum of squares; and the number of rows and of positive labels.

    Numbers count from the middle of the study's range, in halves of its width: no value is beyond 1.
    """
    rows = shard.training
    seen = rows.observed.sum(axis=0)
    middle, half = _unit(study)
    values = np.column_stack([rescale(f, rows.x[:, i]) for i, f in enumerate(study.features)])
    values = np.where(rows.observed, (values - middle) / half, 0.0)
    return Contribution(
        arrays(
            seen=seen,
            sum=values.sum(axis=0),
            squares=(values**2).sum(axis=0),
            positives=rows.y.sum(),
            rows=len(rows),
        ),
        len(rows),
    )


def moments(study: Study, total: Contribution) -> tuple[Floats, Floats, Floats]:
    """Mean, standard deviation (1 where constant or not a number) and 1 where only a part of the rows observe it.

    Each has shape ``(d,)``.

    A feature that nobody observes gets mean 0: its coefficients then stay at 0.
    """
    seen = np.maximum(total["seen"], 1.0)
    number = np.array([f.kind == "number" for f in study.features])
    middle, half = _unit(study)
    mean = np.where(number & (total["seen"] > 0), middle + half * total["sum"] / seen, 0.0)
    variance = np.maximum(total["squares"] / seen - (total["sum"] / seen) ** 2, 0.0)
    varies = variance > CONSTANT
    sd = np.where(number & varies, half * np.sqrt(variance), 1.0)
    partial = (total["seen"] > 0) & (total["seen"] < total["rows"])
    return mean, sd, partial.astype(np.float64)


def _unit(study: Study) -> tuple[Floats, Floats]:
    """Middle and half width of each number's range on its scale, shape ``(d,)`` each; 0 and 1 for what is no number."""
    number = np.array([f.kind == "number" for f in study.features])
    ends = np.array([rescale(f, np.array([f.low, f.high])) for f in study.features])
    return np.where(number, ends.mean(axis=1), 0.0), np.where(number, (ends[:, 1] - ends[:, 0]) / 2, 1.0)


def grid(study: Study, mean: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """Lower and upper end of each feature's counting grid, on its scale, shape ``(d,)`` each.

    Ends come from the study's ranges and the federated moments, never from a node's smallest or largest value.
    """
    low = np.array([rescale(f, np.array([f.low]))[0] for f in study.features])
    high = np.array([rescale(f, np.array([f.high]))[0] for f in study.features])
    return np.maximum(low, mean - REACH[0] * sd), np.minimum(high, mean + REACH[1] * sd)


def contribute_counts(study: Study, state: State, shard: Shard) -> Contribution:
    """Counts of each number's values in ``BINS`` equal bins between ``state['low']`` and ``state['high']``."""
    rows = shard.training
    counts = np.zeros((len(study.features), BINS))
    for i, feature in enumerate(study.features):
        if feature.kind == "number":
            values = rescale(feature, rows.x[rows.observed[:, i], i])
            place = (values - state["low"][i]) / (state["high"][i] - state["low"][i]) * BINS
            counts[i] = np.bincount(np.clip(place.astype(int), 0, BINS - 1), minlength=BINS)
    return Contribution(arrays(counts=counts), len(rows))


def knots(study: Study, counts: Floats, low: Floats, high: Floats, segments: int) -> Floats:
    """Knots of curves of up to ``segments`` segments, on each feature's scale, ``(d, segments + 1)``, NaN-padded.

    Inner knots are federated quantiles (linear within a bin); the ends are the study's plausible range, so that a
    curve is defined wherever a value is accepted.
    """
    placed = np.full((len(study.features), segments + 1), np.nan)
    for i, feature in enumerate(study.features):
        if feature.kind == "number":
            ends = rescale(feature, np.array([feature.low, feature.high]))
            inner = quantiles(counts[i], low[i], high[i], np.arange(1, segments) / segments)
            gap = (high[i] - low[i]) / BINS
            inner = inner[(inner > ends[0] + gap) & (inner < ends[1] - gap)]
            kept = [value for j, value in enumerate(inner) if j == 0 or value - inner[j - 1] >= gap]
            placed[i, : len(kept) + 2] = [ends[0], *kept, ends[1]]
    return placed


def quantiles(counts: Floats, low: float, high: float, probabilities: Floats) -> Floats:
    """Quantiles of values counted in equal bins between ``low`` and ``high``; exact to a bin, none without values."""
    edges = np.linspace(low, high, len(counts) + 1)
    if not counts.any():
        return np.zeros(0)
    cumulative = np.concatenate([[0.0], np.cumsum(counts)])
    return np.asarray(np.interp(probabilities * cumulative[-1], cumulative, edges))


def deciles(study: Study, counts: Floats, low: Floats, high: Floats) -> Floats:
    """Nine inner deciles of each number on its scale, shape ``(d, 9)``: the edges of the bins that drift is read in.

    A flag's or category's bins are its values; its edges lie half-way between them.
    """
    edges = np.tile(np.arange(9) + 0.5, (len(study.features), 1))
    for i, feature in enumerate(study.features):
        if feature.kind == "number" and counts[i].any():
            edges[i] = quantiles(counts[i], low[i], high[i], np.arange(1, 10) / 10)
    return edges


def drift_bins(study: Study, edges: Floats, x: Floats) -> NDArray[np.intp]:
    """The drift bin, 0..9, of every value of ``x`` (shape ``(n, d)``, the study's units)."""
    scaled = [rescale(f, x[:, i]) for i, f in enumerate(study.features)]
    places = [np.searchsorted(edges[i], values, side="right") for i, values in enumerate(scaled)]
    return np.column_stack(places)


def contribute_reference(study: Study, state: State, shard: Shard) -> Contribution:
    """Counts of values by city and month, feature and drift bin, shape ``(strata, d, 10)``; rows by city and month.

    All are rounded to multiples of the fewest rows that a cell may tell.
    """
    rows = shard.training
    rows = rows.rows(rows.stratum >= 0)
    bins = drift_bins(study, state["edges"], rows.x)
    counts = np.zeros((study.strata, len(study.features), 10))
    feature = np.broadcast_to(np.arange(len(study.features)), bins.shape)
    stratum = np.broadcast_to(rows.stratum[:, None].astype(np.intp), bins.shape)
    sizes = np.bincount(rows.stratum, minlength=study.strata).astype(np.float64)
    fewest = small_groups.fewest(study, state, "minimum_cell")
    np.add.at(counts, (stratum[rows.observed], feature[rows.observed], bins[rows.observed]), 1.0)
    return Contribution(
        arrays(
            by_stratum=small_groups.rounded(counts, fewest),
            stratum_rows=small_groups.rounded(sizes[:, None], fewest)[:, 0],
        ),
        len(rows),
    )


def contribute_columns(study: Study, state: State, shard: Shard) -> Contribution:
    """Sums of the uncentred value columns and of their products, over the rows that observe both columns.

    Sums, with ``w`` value columns: ``products (w, w)``; ``sums (w, w)``, of the first column over the second's rows;
    ``seen (w, w)``, rows that observe both; and by city and month ``stratum_sums (strata, w)``,
    ``stratum_seen (strata, w)`` and ``stratum_rows (strata,)``.
    """
    rows = shard.training
    design = Design.from_arrays(study, state)
    columns = design.value_columns(rows.x, rows.observed)
    seen = design.seen_columns(rows.observed).astype(np.float64)
    placed = rows.stratum >= 0
    member = np.zeros((placed.sum(), study.strata))
    member[np.arange(len(member)), rows.stratum[placed].astype(np.intp)] = 1.0
    return Contribution(
        arrays(
            products=columns.T @ columns,
            sums=columns.T @ seen,
            seen=seen.T @ seen,
            stratum_sums=member.T @ columns[placed],
            stratum_seen=member.T @ seen[placed],
            stratum_rows=member.sum(axis=0),
        ),
        len(rows),
    )
