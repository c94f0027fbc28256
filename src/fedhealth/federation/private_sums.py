"""What nodes answer in training under differential privacy: sums in which every row is clipped to a known bound.

Each contribution says its sensitivity (Dwork et al. 2006): how far one row, added or removed, can move all its arrays
together (L2). It follows from the clip that was applied here, never from a setting beside it. The noise is added at
the node's door; here is none.
"""

import numpy as np

from fedhealth.data.shard import Shard
from fedhealth.federation.contribution import Contribution, Floats, State, arrays
from fedhealth.federation.statistics import BINS
from fedhealth.model import NetworkModel, model_from_arrays
from fedhealth.model.design import Design, rescale
from fedhealth.model.missing import SHRINK, patterns, shrinkage
from fedhealth.model.network import LAYERS
from fedhealth.model.risk_model import log_odds, sigmoid
from fedhealth.study import Feature, Study

LOGITS = 5.0  # beyond that far from the mean, calibration takes a logit as if it were there
SCORE_EDGES = np.linspace(-6.0, 4.0, 21)  # on the logit: few bins, for each has noise


def ranges(study: Study) -> tuple[Floats, Floats]:
    """Lower and upper end of each feature's plausible range on its scale, shape ``(d,)``: known to all, so free."""
    ends = [rescale(f, np.array([f.low, f.high])) for f in study.features]
    return np.array([low for low, _ in ends]), np.array([high for _, high in ends])


def bin_of(
    feature: Feature, low: float, high: float, values: Floats
) -> "np.ndarray[tuple[int, ...], np.dtype[np.intp]]":
    """The bin of each value: of ``BINS`` equal ones for a number, its own for a flag's or category's value."""
    if feature.kind != "number":
        return values.astype(np.intp)
    place = (rescale(feature, values) - low) / (high - low) * BINS
    return np.clip(place.astype(np.intp), 0, BINS - 1)


def contribute_counts(study: Study, state: State, shard: Shard) -> Contribution:
    """Counts of each feature's values in bins of the study's range, ``(d, BINS)``; ``rows`` and ``positives``.

    A row is in at most one bin of each feature, so it moves at most ``d + 2`` numbers by one each.
    """
    rows = shard.training
    counts, (low, high) = np.zeros((len(study.features), BINS)), ranges(study)
    for i, feature in enumerate(study.features):
        bins = bin_of(feature, low[i], high[i], rows.x[rows.observed[:, i], i])
        counts[i] = np.bincount(bins, minlength=BINS)
    sensitivity = float(np.sqrt(len(study.features) + 2))
    return Contribution(arrays(counts=counts, positives=rows.y.sum(), rows=len(rows)), len(rows), sensitivity)


def contribute_products(study: Study, state: State, shard: Shard) -> Contribution:
    """Sums of products: ``curves (w, w)`` of centred value columns, ``lines (w, w)`` of what they come to by feature.

    ``lines`` are the columns times ``state['lines']`` (shape ``(w, l)``); each row is clipped to the norms
    ``state['clip']`` and ``state['line_clip']``, so its products have at most their squares as norm. ``seen (d, d)``,
    rows that observe two features, is scaled by :func:`seen_unit` to stay within half of the latter.
    """
    rows, clip, line_clip = shard.training, float(state["clip"]), float(state["line_clip"])
    design = Design.from_arrays(study, state)
    with np.errstate(all="ignore"):  # of rows that are not finite
        columns = design.matrix(rows.x, rows.observed)[:, : design.products.stop]
        curves, lines = clipped(columns, clip), clipped(columns @ state["lines"], line_clip)
    seen = rows.observed.astype(np.float64)
    sums = {"curves": curves.T @ curves, "lines": lines.T @ lines}
    sums["seen"] = seen.T @ seen * seen_unit(study, line_clip)
    most = np.linalg.norm([clip**2, line_clip**2, line_clip**2 / 2])
    return Contribution(sums, len(rows), float(most))


def seen_unit(study: Study, clip: float) -> float:
    """What one row that observes two features adds to ``seen`` in :func:`contribute_products`."""
    return clip**2 / (2 * len(study.features))


def contribute_gradient(study: Study, state: State, shard: Shard) -> Contribution:
    """The gradient of the log loss ``(p,)`` at ``state['coefficients']``, each row's clipped to ``state['clip']``.

    The gradient is that of :mod:`fedhealth.federation.newton`.
    """
    rows, coefficients, clip = shard.training, state["coefficients"], float(state["clip"])
    design = Design.from_arrays(study, state)
    with np.errstate(all="ignore"):  # of rows that are not finite
        matrix, gradient = design.matrix(rows.x, rows.observed, rows.site), np.zeros(design.width)
        for seen, chosen in patterns(rows.observed):
            fill = design.fill(seen)
            columns = matrix[chosen]
            columns[:, fill.missing] = columns[:, fill.seen] @ fill.weights
            doubt = fill.doubt(coefficients)
            shrunk = float(shrinkage(np.array(doubt @ coefficients)))
            logit = shrunk * (columns @ coefficients)
            slope = shrunk * columns - np.outer(SHRINK * shrunk**2 * logit, doubt)
            gradient += clipped(slope * (sigmoid(logit) - rows.y[chosen])[:, None], clip).sum(axis=0)
    return Contribution(arrays(gradient=gradient), len(rows), clip)


def contribute_network_gradient(study: Study, state: State, shard: Shard) -> Contribution:
    """The gradient of the log loss ``(q,)`` in all weights of the network in ``state``, each row's clipped.

    A layer's part of one row's gradient is an outer product, so its norm follows from two vectors (Goodfellow 2015),
    and no row's gradient is ever written out.
    """
    rows, clip = shard.training, float(state["clip"])
    model = NetworkModel.from_arrays(study, state)
    with np.errstate(all="ignore"):
        inputs = [model.inputs(rows.x, rows.observed)]
        for layer in LAYERS[:-1]:
            inputs.append(
                np.maximum(inputs[-1] @ model.weights[f"{layer}.weight"].T + model.weights[f"{layer}.bias"], 0.0)
            )
        last = inputs[-1] @ model.weights[f"{LAYERS[-1]}.weight"].T + model.weights[f"{LAYERS[-1]}.bias"]
        slopes = [sigmoid(last) - rows.y[:, None]]
        for layer, read in zip(reversed(LAYERS[1:]), reversed(inputs[1:]), strict=True):
            slopes.insert(0, (slopes[0] @ model.weights[f"{layer}.weight"]) * (read > 0))
        squares = sum(
            (slope**2).sum(axis=1) * ((read**2).sum(axis=1) + 1) for slope, read in zip(slopes, inputs, strict=True)
        )
        finite = np.isfinite(squares)[:, None]  # whether there is a row that is not must not show
        slopes, inputs = ([np.where(finite, one, 0.0) for one in many] for many in (slopes, inputs))
        kept = np.minimum(1.0, clip / np.maximum(np.sqrt(np.where(finite[:, 0], squares, 0.0)), 1e-300))[:, None]
    parts = [
        part
        for slope, read in zip(slopes, inputs, strict=True)
        for part in (((slope * kept).T @ read).ravel(), (slope * kept).sum(axis=0))
    ]
    return Contribution(arrays(gradient=np.concatenate(parts)), len(rows), clip)


def contribute_line(study: Study, state: State, shard: Shard) -> Contribution:
    """Gradient ``(2,)`` and Hessian ``(2, 2)`` of the log loss in the two numbers ``state['line']``.

    They are an intercept and a slope on how far the model's logit is from ``state['centre']``, in units of ``LOGITS``
    and at most 1. A row's columns then have at most the norm ``2^1/2``, its gradient too, its Hessian a half.
    """
    rows = shard.training
    with np.errstate(all="ignore"):
        logit = model_from_arrays(study, state).logit(rows.x, rows.observed, rows.site)
    logit = np.nan_to_num(logit)  # whether there is a row that is not finite must not show
    away = np.clip((logit - float(state["centre"])) / LOGITS, -1.0, 1.0)
    columns = np.column_stack([np.ones(len(rows)), away])
    with np.errstate(all="ignore"):
        risk = sigmoid(np.nan_to_num(columns @ state["line"]))
    hessian = (columns * (risk * (1 - risk))[:, None]).T @ columns
    return Contribution(arrays(gradient=columns.T @ (risk - rows.y), hessian=hessian), len(rows), 1.5)


def contribute_scores(study: Study, state: State, shard: Shard) -> Contribution:
    """Held-out rows of either label by bin of the score of the model in ``state``; a row is in one bin."""
    rows = shard.held_out
    with np.errstate(all="ignore"):
        risk = model_from_arrays(study, state).risk(rows.x, rows.observed, rows.site)
    place, bins = np.searchsorted(SCORE_EDGES, log_odds(np.nan_to_num(risk))), len(SCORE_EDGES) + 1
    positives = np.bincount(place, weights=rows.y, minlength=bins)
    return Contribution(
        arrays(positives=positives, negatives=np.bincount(place, minlength=bins) - positives), len(rows), 1.0
    )


def clipped(rows: Floats, bound: float) -> Floats:
    """Every row of ``rows`` (shape ``(n, p)``) scaled down to a norm of at most ``bound``.

    A row that is not finite, or has no finite norm, is 0: whether there is one must not show.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
    finite = np.isfinite(norms)
    if not finite.all():
        rows, norms = np.where(finite, rows, 0.0), np.where(finite, norms, 0.0)
    return np.asarray(rows * np.minimum(1.0, bound / np.maximum(norms, 1e-300)))
