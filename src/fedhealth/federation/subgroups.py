"""Subgroups of people, from the study file, and which of them are large enough for their sums to leave a node."""

import numpy as np
from numpy.typing import NDArray

from fedhealth.data.shard import Floats, Shard
from fedhealth.study import Study


def group_names(study: Study) -> tuple[str, ...]:
    """Names of all ``G`` subgroups, in the order of every array over them."""
    return tuple(name for _, names in study.groups for name in names)


def members(study: Study, rows: Shard) -> NDArray[np.bool_]:
    """Which rows belong to which subgroup, shape ``(n, G)``; rows that do not tell belong to none."""
    parts = [np.zeros((len(rows), 0), dtype=bool)]
    for subgroup, (_, names) in zip(study.subgroups, study.groups, strict=False):
        column = study.index(subgroup.feature)
        values = rows.x[:, [column]]
        level = np.searchsorted(subgroup.edges, values, side="right") if subgroup.edges else values
        parts.append((level == np.arange(len(names))) & rows.observed[:, [column]])
    if study.cities:
        city = np.where(rows.stratum >= 0, rows.stratum // 12, -1)
        parts.append(city[:, None] == np.arange(len(study.cities)))
    return np.concatenate(parts, axis=1)


def large_enough(study: Study, members: NDArray[np.bool_], y: Floats, fewest: int) -> NDArray[np.bool_]:
    """Which subgroups may leave a node, shape ``(G,)``: those with at least ``fewest`` rows of each label.

    What is left of all rows once the subgroups of one kind are subtracted must be as large (or nothing), else the
    smallest of them stays inside too: complementary suppression (Hundepool et al. 2012, Statistical Disclosure Control,
    ch. 4).
    """
    sizes = np.stack([y @ members, (1 - y) @ members])
    whole = np.array([y.sum(), len(y) - y.sum()])
    allowed = np.asarray((sizes >= fewest).all(axis=0))
    first = 0
    for _, names in study.groups:
        block = slice(first, first := first + len(names))
        while allowed[block].any():
            rest = whole - (sizes[:, block] * allowed[block]).sum(axis=1)
            if rest.sum() == 0 or (rest >= fewest).all():
                break
            smallest = np.where(allowed[block], sizes[:, block].min(axis=0), np.inf).argmin()
            allowed[block.start + smallest] = False
    return allowed
