"""Two models on the same held-out rows: paired differences of AUROC and losses with intervals, from sums.

The paired variance of an AUROC (DeLong, DeLong & Clarke-Pearson 1988) needs to know of each positive row which share of
all negatives scores lower, and of each negative row which share of all positives scores higher. Both follow from the
row's score bin once the summed histograms are known. So the server sends them back as tables, and a node answers with
sums over its rows of the two models' difference, and of its square.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np

from fedhealth.data.shard import Shard
from fedhealth.federation import intervals
from fedhealth.federation.contribution import Contribution, Floats, Replies, State, arrays, total
from fedhealth.federation.evaluation import EDGES, LOSSES, losses
from fedhealth.federation.metrics import Difference, metrics
from fedhealth.model import RiskModel, log_odds, model_from_arrays
from fedhealth.study import Study

OTHER = "other."  # begins the names of the second model's arrays


@dataclass(frozen=True)
class Paired:
    """The first model's metrics minus the second's, in all and by node, every interval paired."""

    all: Difference
    nodes: Mapping[str, Difference]


def question(first: RiskModel, second: RiskModel, found: Replies, other: Replies) -> State:
    """What to ask nodes, from both models and their replies to ``evaluate``.

    ``above.<model>`` and ``below.<model>``, shape ``(1 + K, bins)``: by score bin, the share of positives that score
    higher and of negatives that score lower (ties count half), over all rows and then over each of ``K`` nodes' own.
    """
    tables = {}
    for name, replies in (("first", found), ("second", other)):
        shares = [_shares(reply) for reply in (total(replies.values()), *replies.values())]
        tables[f"above.{name}"], tables[f"below.{name}"] = (np.stack(part) for part in zip(*shares, strict=True))
    return {**first.arrays(), **{OTHER + name: array for name, array in second.arrays().items()}, **tables}


def _shares(reply: Contribution) -> tuple[Floats, Floats]:
    positives, negatives = reply["positives"], reply["negatives"]
    above = positives.sum() - np.cumsum(positives) + positives / 2
    below = np.cumsum(negatives) - negatives / 2
    return above / max(positives.sum(), 1.0), below / max(negatives.sum(), 1.0)


def contribute(study: Study, state: State, shard: Shard) -> Contribution:
    """Sums over held-out rows of what :func:`question` asks: differences of rank shares and of losses, and squares."""
    rows = shard.held_out
    second = {name.removeprefix(OTHER): array for name, array in state.items() if name.startswith(OTHER)}
    models = model_from_arrays(study, state), model_from_arrays(study, second)
    risks = [model.risk(rows.x, rows.observed, rows.site) for model in models]
    sums = {"positives": rows.y.sum(), "negatives": (1 - rows.y).sum()}
    for label, table in ((1, "below"), (0, "above")):
        chosen = rows.y == label
        first, other = (
            state[f"{table}.{name}"][:, np.searchsorted(EDGES, log_odds(risk[chosen]))]
            for name, risk in zip(("first", "second"), risks, strict=True)
        )
        sums |= {
            f"rank.{table}": (first - other).sum(axis=1),
            f"rank.{table}_squares": ((first - other) ** 2).sum(axis=1),
        }
    mine, theirs = (losses(risk, rows.y) for risk in risks)
    for name in LOSSES:
        more = mine[name] - theirs[name]
        sums |= {f"difference.{name}": more.sum(), f"difference.{name}_squares": (more**2).sum()}
    return Contribution(arrays(**sums), len(rows))


def paired(found: Replies, other: Replies, compared: Replies) -> Paired:
    """The paired differences, from both models' replies to ``evaluate`` and those to ``compare``."""
    everywhere = _difference(total(found.values()), total(other.values()), total(compared.values()), 0)
    nodes = {
        name: _difference(found[name], other[name], compared[name], place) for place, name in enumerate(compared, 1)
    }
    return Paired(everywhere, nodes)


def _difference(found: Contribution, other: Contribution, sums: Contribution, place: int) -> Difference:
    first, second = metrics(found), metrics(other)
    more = first.auroc - second.auroc
    counts = {"below": float(sums["positives"]), "above": float(sums["negatives"])}
    spread = sum(_variance(sums, table, n, place) for table, n in counts.items())
    n, ends = found.rows, []
    for name in LOSSES:
        of_rows = float(sums[f"difference.{name}"]), float(sums[f"difference.{name}_squares"])
        ends += [of_rows[0] / n if n else np.nan, *intervals.of_mean(*of_rows, n)]
    return Difference(more, *(more + sign * intervals.Z * sqrt(spread) for sign in (-1, 1)), *ends)


def _variance(sums: Contribution, table: str, n: float, place: int) -> float:
    """Of the mean of the rank differences of ``n`` rows with one label; NaN below two rows."""
    if n < 2:
        return float("nan")
    mean = float(sums[f"rank.{table}"][place]) / n
    return max(float(sums[f"rank.{table}_squares"][place]) / n - mean**2, 0.0) / (n - 1)
