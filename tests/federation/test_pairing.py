"""Two models on the same rows: what sums say is what the rows say."""

import numpy as np
import pytest
from tests.federation.worlds import STUDY, draw_rows, split

from fedhealth.federation import exchange_within, fit, metrics, paired, question, score_histogram

SHARDS = split(draw_rows(3000, seed=1, missing=0.1), np.arange(3000) % 4)
EXCHANGE = exchange_within(SHARDS, STUDY)


def ask(first, second):
    whole = {"withhold": np.zeros(4)}
    found, other = (EXCHANGE("evaluate", {**model.arrays(), **whole}) for model in (first, second))
    return paired(found, other, EXCHANGE("compare", question(first, second, found, other)))


@pytest.fixture(scope="module")
def models():
    return fit(STUDY, EXCHANGE, 6).model, fit(STUDY, EXCHANGE, 1).model


def delong(risk, other, y):
    """Difference of AUROC and its paired variance, from the rows (DeLong et al. 1988), scores as coarse as bins."""
    parts = []
    for scores in (risk, other):
        scores = np.searchsorted(np.linspace(-9, 9, 361), np.log(scores / (1 - scores)))
        wins = (scores[y == 1][:, None] > scores[y == 0]) + 0.5 * (scores[y == 1][:, None] == scores[y == 0])
        parts.append((wins.mean(axis=1), wins.mean(axis=0)))
    by_positive, by_negative = (parts[0][k] - parts[1][k] for k in (0, 1))
    variance = by_positive.var(ddof=1) / len(by_positive) + by_negative.var(ddof=1) / len(by_negative)
    return by_positive.mean(), variance


def of_rows(first, second, shards):
    rows = [s.held_out for s in shards]
    risks = [np.concatenate([m.risk(r.x, r.observed, r.site) for r in rows]) for m in (first, second)]
    return *risks, np.concatenate([r.y for r in rows])


@pytest.mark.parametrize("node", [None, 0, 3])
def test_differences_and_intervals_are_those_of_the_rows(models, node):
    found = ask(*models)
    shown = found.all if node is None else list(found.nodes.values())[node]
    risk, other, y = of_rows(*models, SHARDS if node is None else [SHARDS[node]])
    auroc, variance = delong(risk, other, y)
    assert shown.auroc == pytest.approx(auroc, abs=1e-12)
    assert shown.auroc_high - shown.auroc == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-9)
    more = (risk - y) ** 2 - (other - y) ** 2
    assert shown.brier == pytest.approx(more.mean(), abs=1e-12)
    assert shown.brier_high - shown.brier == pytest.approx(1.959964 * more.std(ddof=1) / np.sqrt(len(y)), rel=1e-6)


def test_a_model_does_not_differ_from_itself(models):
    shown = ask(models[0], models[0]).all
    assert (shown.auroc, shown.auroc_low, shown.auroc_high, shown.log_loss) == (0, 0, 0, 0)


def test_pairing_narrows_the_interval(models):
    shown = ask(*models).all
    risk, other, y = of_rows(*models, SHARDS)
    apart = [metrics(score_histogram(r, y, 0.3)) for r in (risk, other)]
    assert shown.auroc_high - shown.auroc_low < 0.5 * min(m.auroc_high - m.auroc_low for m in apart)
