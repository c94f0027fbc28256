"""What a released model and its answers tell of single rows, measured by attacking them.

- Membership: the likelihood-ratio attack with shadow models (Carlini et al. 2022), the strongest known on scores.
- Canaries: a planted row is in a run or not, and whoever sees every answer guesses. By Gaussian differential privacy
  (Dong, Roth & Su 2022) the guesses bound mu, and with it epsilon, from below: more than was claimed is a bug
  (as Nasr et al. 2023 audit).
- Differencing: two answers over rows that differ in one person are subtracted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fedhealth.data.shard import Shard, stack
from fedhealth.federation import STEPS, Contribution, Exchange, State, fit_private
from fedhealth.model import RiskModel
from fedhealth.model.design import Floats
from fedhealth.privacy.accounting import epsilon_of
from fedhealth.study import Study

Members = NDArray[np.bool_]
Z = 1.96  # 95 % intervals
LEAST = 1e-3  # of a standard deviation, where scores do not vary


@dataclass(frozen=True)
class Membership:
    """How well the attack tells members from others: ``tpr_at`` share of members found per share of others accused.

    ``tpr_high`` is the upper end of a 95 % interval (Wilson 1927) of the share found at 1 % accused.
    """

    auc: float
    tpr_at: Mapping[float, float]
    tpr_high: float
    targets: int


def membership(target: Floats, member: Members, shadows: Floats, inside: Members) -> Membership:
    """Attack the scores of a model by those of shadow models.

    Args:
        target: shape ``(n,)``; the model's log-odds of each row's true label.
        member: shape ``(n,)``; whether the row was trained on.
        shadows: shape ``(m, n)``; the same log-odds by models trained on known rows.
        inside: shape ``(m, n)``; whether the shadow model was trained on the row.
    """
    means, spread = [], []
    for chosen in (inside, ~inside):
        count = np.maximum(chosen.sum(axis=0), 1)
        mean = np.where(chosen, shadows, 0.0).sum(axis=0) / count
        means.append(mean)
        spread.append(np.sqrt(np.where(chosen, (shadows - mean) ** 2, 0.0).sum() / chosen.sum()))
    deviation = np.maximum(np.hypot(*spread) / sqrt(2), LEAST)
    score = ((target - means[1]) ** 2 - (target - means[0]) ** 2) / deviation**2
    accused, found = _roc(score, member)
    tpr_at = {rate: float(np.interp(rate, accused, found)) for rate in (0.01, 0.001)}
    high = _wilson(tpr_at[0.01], int(member.sum()))[1]
    return Membership(float(np.trapezoid(found, accused)), tpr_at, high, len(target))


def label_odds(model: RiskModel, rows: Shard) -> Floats:
    """Log-odds that the model gives to each row's true label, shape ``(n,)``."""
    logit = model.logit(rows.x, rows.observed, rows.site)
    return np.where(rows.y == 1, logit, -logit)


def shadow_odds(
    rows: Shard, train: Callable[[Shard], RiskModel], count: int, share: float, seed: int
) -> "list[tuple[Floats, Members]]":
    """Log-odds of every row by ``count`` models, each trained on a random ``share`` of the rows; and on which."""
    generator, found = np.random.default_rng(seed), []
    for _ in range(count):
        chosen = generator.random(len(rows)) < share
        found.append((label_odds(train(rows.rows(chosen)), rows), chosen))
    return found


@dataclass(frozen=True)
class Canaries:
    """What guessing came to: shares of right guesses, and the bound below the epsilon that was really spent."""

    runs: int
    found: float
    accused: float
    epsilon_low: float


def canaries(
    study: Study,
    rows: Shard,
    mu: float,
    exchange: Callable[[Sequence[Shard]], Exchange],
    runs: int,
    seed: int,
    delta: float,
) -> Canaries:
    """Plant a row of extremes in about half of ``runs`` private trainings with all answers seen, and guess in which.

    ``exchange`` gives the noisy exchange that is audited, over nodes' rows. The guesser knows all other rows, and how
    much noise each answer says it has. The threshold is the median guess, so it knows nothing of the truth.
    """
    generator, planted = np.random.default_rng(seed), _canary(study, rows)
    there, scores = generator.random(runs) < 0.5, np.zeros(runs)
    for run in range(runs):
        nodes = [stack([rows, planted], rows.node) if there[run] else rows]
        scores[run] = _guess(study, exchange(nodes), rows, planted, mu)
    guessed = scores > np.median(scores)
    found, accused = float(guessed[there].mean()), float(guessed[~there].mean())
    low, high = _wilson(found, int(there.sum()))[0], _wilson(accused, int((~there).sum()))[1]
    normal = NormalDist().inv_cdf
    bound = max(0.0, normal(min(max(low, 1e-9), 1 - 1e-9)) - normal(min(max(high, 1e-9), 1 - 1e-9)))
    return Canaries(runs, found, accused, epsilon_of(bound, delta))


def _guess(study: Study, exchange: Exchange, rows: Shard, planted: Shard, mu: float) -> float:
    """The log-likelihood ratio of all answers of one run, but for a constant: with the canary against without."""
    score = 0.0

    def listening(step: str, state: State) -> Mapping[str, Contribution]:
        nonlocal score
        replies = exchange(step, state)
        without, alone = (STEPS[step](study, state, part) for part in (rows, planted))
        noise = sqrt(sum(reply.noise**2 for reply in replies.values()))
        for name, moved in alone.sums.items():
            told = sum(reply[name] for reply in replies.values()) - without[name]
            score += float(((told - moved / 2) * moved).sum()) / noise**2
        return replies

    fit_private(study, listening, mu, segments=1)
    return score


def _canary(study: Study, rows: Shard) -> Shard:
    """One training row with every feature at its highest and the label that this makes least likely."""
    highest = np.array([[f.high for f in study.features]])
    one = rows.training.rows(np.arange(len(rows.training)) == 0)
    return replace(one, x=highest, observed=np.ones_like(one.observed), y=np.ones(1))


def differencing(
    study: Study, rows: Shard, step: str, state: State, noise: Callable[[Contribution], Contribution]
) -> float:
    """Share of up to 100 people rebuilt by subtracting two answers to ``step``, with and without each of them.

    ``noise`` is what the door does with an answer. A person is rebuilt where the difference of all arrays is what the
    person alone adds, to within a hundredth of its norm.
    """
    training = rows.training
    rebuilt = []
    for person in range(min(100, len(training))):
        without = training.rows(np.arange(len(training)) != person)
        alone = STEPS[step](study, state, training.rows(np.arange(len(training)) == person))
        answers = [noise(STEPS[step](study, state, part)) for part in (training, without)]
        wrong = [np.ravel(answers[0][name] - answers[1][name] - alone[name]) for name in alone.sums]
        size = np.linalg.norm(np.concatenate([np.ravel(alone[name]) for name in alone.sums]))
        rebuilt.append(bool(np.linalg.norm(np.concatenate(wrong)) < 0.01 * size))
    return float(np.mean(rebuilt))


def _roc(score: Floats, member: Members) -> tuple[Floats, Floats]:
    """Shares of others accused and of members found, from the highest score down; equal scores together."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)
    found, accused = (np.cumsum(side[order])[last] / max(side.sum(), 1) for side in (member, ~member))
    return np.append(0.0, accused), np.append(0.0, found)


def _wilson(share: float, n: int) -> tuple[float, float]:
    centre, half = share + Z**2 / (2 * n), Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return (centre - half) / (1 + Z**2 / n), (centre + half) / (1 + Z**2 / n)
