"""Scorecards say what the model says, for any set of observed features."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.federation.test_pairs import PLACE, world
from tests.federation.worlds import OFFSET_STUDY, STUDY, draw_rows, split

from fedhealth.federation import exchange_within, fit
from fedhealth.model import RiskModel, Scorecard, sigmoid

ROWS = draw_rows(1500, seed=3, missing=[0.1, 0.2, 0.0, 0.3])
TEST = draw_rows(60, seed=4)


@pytest.fixture(scope="module", params=["additive", "with node intercepts", "with a product"])
def model(request: pytest.FixtureRequest) -> RiskModel:
    if request.param == "with a product":
        found = fit(STUDY, exchange_within(split(world(2.0), PLACE), STUDY), interactions=True).model
        assert len(found.design.pairs) == 1
        return found
    study = OFFSET_STUDY if "intercepts" in request.param else STUDY
    return fit(study, exchange_within(split(ROWS, np.arange(len(ROWS)) % 4), study)).model


@given(st.lists(st.booleans(), min_size=len(STUDY.names), max_size=len(STUDY.names)).filter(any))
@settings(max_examples=30, deadline=None)
def test_logit_contributions_and_interval_are_the_models(model: RiskModel, seen: list[bool]):
    known = np.array(seen)
    observed = np.tile(known, (len(TEST), 1))
    x = np.where(observed, TEST.x, 0.0)
    card = Scorecard.of(model, known)
    scores = [card.score(row[known].tolist()) for row in x]
    expected = model.logit(x, observed)
    np.testing.assert_allclose(card.logits(x[:, known]), expected, atol=1e-12)
    np.testing.assert_allclose([score.logit for score in scores], expected, atol=1e-12)
    added = np.array([score.contributions for score in scores])
    np.testing.assert_allclose(added, model.contributions(x, observed)[:, known], atol=1e-12)
    ends = sigmoid(np.array([(score.low, score.high) for score in scores]))
    np.testing.assert_allclose(ends, model.interval(x, observed), atol=1e-9)


def test_contributions_are_what_is_beyond_an_average_person(model: RiskModel):
    everything = np.ones(len(STUDY.names), dtype=bool)
    card = Scorecard.of(model, everything)
    for row in TEST.x:
        score = card.score(row.tolist())
        assert card.base + sum(score.contributions) == pytest.approx(score.logit, abs=1e-12)
