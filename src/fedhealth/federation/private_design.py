"""What a private fit knows before its first gradient: scaling, knots, covariance and curvature, from noisy sums."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fedhealth.federation import completion, statistics
from fedhealth.federation.contribution import Contribution, Floats, arrays
from fedhealth.federation.private_sums import ranges, seen_unit
from fedhealth.model.design import Design
from fedhealth.model.missing import Mask
from fedhealth.study import Feature, Study

LOOSE = 1.3  # times the usual norm: few rows are clipped in products
CLEAR = 2.5  # standard deviations of noise from which a count stands out
COARSE = (10, 20, 50, 100)  # bins that are looked at together: as few as let most values stand out


@dataclass(frozen=True)
class Marginals:
    """What the noisy counts say: ``rows``, the share of positives, and of each feature ``counts`` and ``seen``.

    ``counts (d, BINS)`` are without what noise alone could have made; ``seen (d,)`` is their sum.
    """

    rows: float
    prevalence: float
    counts: Floats
    seen: Floats


def counted(study: Study, answer: Contribution) -> Marginals:
    """What the total of ``private_counts`` says."""
    rows = max(float(answer["rows"]), 1.0)
    counts = np.stack([_clear(f, c, answer.noise) for f, c in zip(study.features, answer["counts"], strict=True)])
    return Marginals(rows, float(np.clip(answer["positives"] / rows, 0.001, 0.999)), counts, counts.sum(axis=1))


def _clear(feature: Feature, counts: Floats, noise: float) -> Floats:
    """Counts of one feature, none negative: of a number only where bins together stand out of the noise.

    Where none do, the values could be anywhere in the study's range, and count as if they were everywhere.
    """
    if feature.kind != "number":
        return np.where(np.arange(len(counts)) <= feature.high, np.maximum(counts, 0.0), 0.0)
    whole, kept = counts.sum(), np.zeros_like(counts)
    for width in COARSE:
        together = counts.reshape(-1, width).sum(axis=1)
        clear = np.repeat(together > CLEAR * noise * np.sqrt(width), width)
        kept = np.where(clear, counts, 0.0)
        if kept.sum() > 0.8 * whole:
            break
    if not kept.any():
        return np.full_like(counts, max(whole, 0.0) / len(counts))
    running = np.maximum.accumulate(np.cumsum(kept))
    return np.diff(running, prepend=0.0)


@dataclass(frozen=True)
class Shape:
    """A design, and what the counts alone say of it.

    ``within (w, w)`` is the covariance of the columns of each feature, 0 between features. ``lines (w, l)`` sums the
    columns of each number's curve to one straight line, and leaves all others.
    """

    design: Design
    within: Floats
    lines: Floats

    @property
    def line_readers(self) -> Floats:
        """Which features each line reads, shape ``(l, d)``."""
        return ((self.lines.T @ self.design.readers) > 0).astype(np.float64)

    def norm(self, columns: Floats) -> float:
        """Root mean square norm of ``columns`` (shape ``(w, m)``, of the design's) at the node that observes most."""
        reads = ((columns.T @ self.design.readers) > 0).astype(np.float64)
        energy = reads.T @ np.einsum("wm,wv,vm->m", columns, self.within, columns)
        return float(np.sqrt(1.0 + (_held(self.design.study) @ energy).max()))


def shape_of(study: Study, found: Marginals, segments: int) -> Shape:
    """Scaling, knots and centres from counts."""
    low, high = ranges(study)
    mean, sd = scaled(study, found)
    knots = (statistics.knots(study, found.counts, low, high, segments) - mean[:, None]) / sd[:, None]
    none = np.zeros_like(mean)  # no column says "missing": many of them in a row would take up its bound
    design = Design(study, mean, sd, knots, none, np.zeros((0, 2)), *np.zeros((2, 0)))
    centre, within = np.zeros(design.products.stop), np.zeros((design.products.stop,) * 2)
    for i, block in enumerate(design.blocks):
        if found.seen[i]:
            columns, weights = _binned(design, found, i)
            centre[block] = weights @ columns
            deviation = columns - centre[block]
            within[block, block] = deviation.T @ (deviation * weights[:, None])
    design = replace(design, centre=centre, column_covariance=np.zeros_like(within))
    return Shape(design, within, _lines(design))


def scaled(study: Study, found: Marginals) -> tuple[Floats, Floats]:
    """Median and spread of each number on its scale, shape ``(d,)`` each; 0 and 1 where there are none."""
    low, high = ranges(study)
    mean, sd = np.zeros(len(low)), np.ones(len(low))
    for i, feature in enumerate(study.features):
        if feature.kind == "number" and found.seen[i]:
            points = statistics.quantiles(found.counts[i], low[i], high[i], np.array([0.02, 0.16, 0.5, 0.84, 0.98]))
            spread = max((points[3] - points[1]) / 2, (points[4] - points[0]) / 5)
            mean[i], sd[i] = points[2], max(spread, (high[i] - low[i]) / statistics.BINS)
    return mean, sd


def _lines(design: Design) -> Floats:
    parts = [np.eye(design.products.stop)[:, :1]]
    for feature, block in zip(design.study.features, design.blocks, strict=True):
        columns = np.eye(design.products.stop)[:, block]
        parts.append(columns.sum(axis=1, keepdims=True) if feature.kind == "number" else columns)
    return np.concatenate(parts, axis=1)


def _binned(design: Design, found: Marginals, feature: int) -> tuple[Floats, Floats]:
    """The uncentred columns of each bin's middle, ``(bins, width)``, and the share of values in it, ``(bins,)``."""
    low, high = ranges(design.study)
    columns = design.feature_columns(feature, _middles(design.study.features[feature], low[feature], high[feature]))
    return columns, found.counts[feature, : len(columns)] / found.seen[feature]


def _middles(feature: Feature, low: float, high: float) -> Floats:
    """The value that stands for each bin, in the study's units."""
    if feature.kind != "number":
        return np.arange(feature.high + 1)
    values = low + (np.arange(statistics.BINS) + 0.5) / statistics.BINS * (high - low)
    return np.exp(values) if feature.scale == "log" else values


def _held(study: Study) -> Floats:
    """Which features each node says that it observes, shape ``(K, d)``: told by the study, not by rows."""
    return np.array([[float(f.anchor or f.name in node.features) for f in study.features] for node in study.nodes])


def second_moments(found: Marginals, shape: Shape, ask: Callable[..., Contribution]) -> tuple[Design, Floats]:
    """The design with its columns' covariance, and the summed products ``(p, p)`` of filled columns over all rows.

    The covariance, which says what is missing, follows from the products of lines, for every product more has noise.
    How a curve's columns follow its line, and one another, is known from the counts.
    """
    design, study = shape.design, shape.design.study
    clips = {"clip": LOOSE * shape.norm(np.eye(len(shape.within))), "line_clip": LOOSE * shape.norm(shape.lines)}
    answer = ask("private_products", **design.arrays(), **arrays(**clips, lines=shape.lines))
    curves, lines, seen = ((answer[name] + answer[name].T) / 2 for name in ("curves", "lines", "seen"))
    unit = seen_unit(study, clips["line_clip"])
    seen, least = seen / unit, max(completion.KNOWN, 4 * answer.noise / unit)
    between = _of_lines(lines, _both(seen, shape.line_readers, found.rows), least, answer.noise, shape.line_readers)
    covariance = _of_curves(shape, between)
    both = _both(seen, design.readers.astype(np.float64), found.rows)
    measured = np.where(both >= least, curves / np.maximum(both, 1.0), covariance)
    measured[0] = measured[:, 0] = 0.0
    design = replace(design, column_covariance=covariance)
    held = _held(study)
    rows = np.maximum(np.linalg.lstsq(held.T, np.diag(seen), rcond=None)[0], 0.0)
    filled = sum(n * _filled_products(design, measured, have > 0) for have, n in zip(held, rows, strict=True))
    filled = _raised(np.asarray(filled), answer.noise)
    return design, filled + answer.noise * np.sqrt(len(filled)) * np.eye(len(filled))  # what noise may have hidden


def _both(seen: Floats, readers: Floats, rows: float) -> Floats:
    """Rows that observe two columns, shape ``(w, w)``; the intercept is known of every row."""
    both = readers @ seen @ readers.T / np.maximum(np.outer(readers.sum(axis=1), readers.sum(axis=1)), 1.0)
    both[0] = both[:, 0] = readers @ np.diag(seen)
    both[0, 0] = rows
    return both


def _of_lines(lines: Floats, both: Floats, least: float, noise: float, readers: Floats) -> Floats:
    """Covariance of the lines, ``(l, l)``, completed where too few rows observe two of them."""
    known, nothing = both >= least, np.zeros((1, len(both)))
    sums = arrays(
        products=np.where(known, lines, 0.0),
        sums=np.zeros_like(both),
        seen=np.where(known, both, 0.0),
        stratum_rows=np.zeros(1),
        stratum_seen=nothing,
        stratum_sums=nothing,
    )
    between = completion.covariance(Contribution(sums, 0, noise=noise), np.zeros(len(both)), readers > 0)
    between[0] = between[:, 0] = 0.0
    return between


def _of_curves(shape: Shape, between: Floats) -> Floats:
    """Covariance of all columns ``(w, w)`` from that of the lines, ``between``.

    Each column is its regression on its feature's line plus a rest that has to do with no other feature.
    """
    spread = np.maximum(np.einsum("wl,wv,vl->l", shape.lines, shape.within, shape.lines), 0.0)
    loads = np.where(shape.lines > 0, shape.within @ shape.lines / np.maximum(spread, 1e-12), 0.0)
    correlation = between / np.sqrt(np.maximum(np.outer(np.diag(between), np.diag(between)), 1e-24))
    covariance = loads @ (correlation * np.sqrt(np.outer(spread, spread))) @ loads.T
    for block in shape.design.blocks:
        covariance[block, block] = shape.within[block, block]
    return np.asarray(covariance)


def _raised(curve: Floats, noise: float) -> Floats:
    """The products with correlations of eigenvalues of at least ``completion.FLOOR``, as without noise."""
    spread = np.sqrt(np.maximum(np.diag(curve), noise))
    values, vectors = np.linalg.eigh(curve / np.outer(spread, spread))
    return np.asarray((vectors * np.maximum(values, completion.FLOOR)) @ vectors.T * np.outer(spread, spread))


def _filled_products(design: Design, measured: Floats, have: Mask) -> Floats:
    """Expected products ``(p, p)`` of the filled columns of one row that observes the features ``have``.

    ``measured (w, w)`` is the covariance of observed columns.
    """
    fill = design.fill(have)
    lift = np.zeros((design.products.stop, design.width))
    lift[fill.seen, fill.seen] = 1.0
    lift[np.ix_(fill.seen, fill.missing)] = fill.weights
    always = np.zeros(design.width)
    always[0] = 1.0
    if design.study.node_intercepts:
        always[design.intercepts] = 1.0 / len(design.study.nodes)
    return np.asarray(lift.T @ measured @ lift + np.outer(always, always))
