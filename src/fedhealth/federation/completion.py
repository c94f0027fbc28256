"""The covariance of columns, also of those that no node observes together.

Sums tell the covariance of every two columns that some rows observe both. Between two features it is shrunk by what
chance alone would show (James & Stein 1961), so that few linked people teach only what they can. The others follow by
covariance selection (Dempster 1972; algorithm 17.1 of Hastie, Tibshirani & Friedman 2009): the normal distribution of
greatest entropy that agrees with all that is known, in which two columns are independent given the columns that link
them. Columns that are known of every row, such as age, link best; so does a row's city and month, whose means tie one
node's air to another's.
"""

import numpy as np

from fedhealth.federation.contribution import Contribution, Floats
from fedhealth.model.missing import Mask

KNOWN = 50  # rows that must observe two columns before their covariance counts as known
CHANCE = 2.0  # times what chance would show is taken off the squared correlations of two features
FLOOR = 0.01  # least eigenvalue of the correlations
SWEEPS = 8


def covariance(total: Contribution, centre: Floats, readers: Mask) -> Floats:
    """Covariance of the value columns, shape ``(w, w)``, from the sums of ``contribute_columns``.

    ``centre (w,)`` is the columns' mean and ``readers (w, d)`` says which features each column reads.
    """
    seen, cross = np.maximum(total["seen"], 1.0), total["sums"] * centre
    within = (total["products"] - cross - cross.T) / seen + np.outer(centre, centre)
    known = total["seen"] >= KNOWN
    deviation = np.sqrt(np.maximum(np.diag(within), 0.0))
    varies = np.diag(known) & (deviation > 1e-6)
    deviation = np.where(varies, deviation, 1.0)
    scale = np.outer(deviation, deviation)
    chance = 1.0 / seen + (total.noise / (seen * scale)) ** 2
    within = _beyond_chance(within / scale, np.where(known, chance, 0.0), readers) * scale
    whole = np.flatnonzero(varies)
    if not known[np.ix_(varies, varies)].all():
        within, known, strata = _with_strata(total, centre, within, known)
        whole = np.concatenate([whole, len(centre) + np.flatnonzero(strata)])
    chosen = np.ix_(whole, whole)
    spread = np.sqrt(np.diag(within)[whole])
    completed = np.zeros_like(within)
    completed[chosen] = _proper(_complete(within[chosen] / np.outer(spread, spread), known[chosen]))
    completed[chosen] *= np.outer(spread, spread)
    return completed[: len(centre), : len(centre)]


def _beyond_chance(correlation: Floats, chance: Floats, readers: Mask) -> Floats:
    """Correlations shrunk by pairs of features: to nothing where they show no more than chance.

    ``chance`` is the mean square that unrelated columns show: over ``n`` rows ``1 / n``, and what noise adds; 0 where
    nothing is known.
    """
    groups, group = np.unique(readers, axis=0, return_inverse=True)
    member = np.eye(len(groups))[group.ravel()]
    expected = member.T @ chance @ member
    found = member.T @ np.where(chance > 0, correlation**2, 0.0) @ member
    share = np.clip(1.0 - CHANCE * expected / np.maximum(found, 1e-12), 0.0, 1.0)
    np.fill_diagonal(share, 1.0)
    return np.asarray(correlation * (member @ share @ member.T))


def _with_strata(total: Contribution, centre: Floats, within: Floats, known: Mask) -> tuple[Floats, Mask, Mask]:
    """The covariance of columns and, after them, of the strata that rows are in; what of it is known; which strata."""
    rows = total["stratum_rows"]
    share = rows / max(rows.sum(), 1.0)
    seen = np.maximum(total["stratum_seen"].sum(axis=0), 1.0)
    beside = (total["stratum_sums"] - total["stratum_seen"] * centre) / seen
    among = np.diag(share) - np.outer(share, share)
    sure = rows >= KNOWN
    linked = (total["stratum_seen"].sum(axis=0) >= KNOWN)[None, :] & sure[:, None]
    return (
        np.block([[within, beside.T], [beside, among]]),
        np.block([[known, linked.T], [linked, np.outer(sure, sure)]]),
        sure,
    )


def _complete(correlation: Floats, known: Mask) -> Floats:
    """Correlations with the unknown ones filled in, shape ``(w, w)``."""
    filled = np.where(known, correlation, 0.0)
    np.fill_diagonal(filled, 1.0)
    if known.all():
        return filled
    partly = np.flatnonzero(~known.all(axis=1))
    for _ in range(SWEEPS):
        before = filled.copy()
        for j in partly:
            links = np.flatnonzero(known[j] & (np.arange(len(known)) != j))
            among = filled[np.ix_(links, links)] + 1e-6 * np.eye(len(links))
            implied = filled[:, links] @ np.linalg.solve(among, correlation[links, j])
            implied[known[j]] = filled[known[j], j]
            filled[:, j] = filled[j] = implied
        if np.abs(filled - before).max() < 1e-5:
            break
    return filled


def _proper(correlation: Floats) -> Floats:
    """The correlations with eigenvalues of at least ``FLOOR``: what was counted over different rows may have less."""
    values, vectors = np.linalg.eigh(correlation)
    if len(values) == 0 or values[0] >= FLOOR:
        return correlation
    raised = (vectors * np.maximum(values, FLOOR)) @ vectors.T
    deviation = np.sqrt(np.diag(raised))
    return np.asarray(raised / np.outer(deviation, deviation))
