"""Products of features join the model where they improve it, and only there."""

import dataclasses

import numpy as np
import pytest
from tests.federation.worlds import STUDY, draw_rows, split

from fedhealth.federation import exchange_within, fit, metrics, score_histogram
from fedhealth.model import sigmoid

PLACE = np.arange(4000) % 4


def world(product: float):
    """Rows whose labels follow pulse, smoking, and their product."""
    rows = draw_rows(4000, seed=17)
    z, smokes = (rows.x[:, 0] - 80) / 10, rows.x[:, 2] - 0.5
    risk = sigmoid(0.5 * z + 0.5 * smokes + product * z * smokes)
    return dataclasses.replace(rows, y=(np.random.default_rng(1).random(len(rows)) < risk).astype(float))


@pytest.fixture(scope="module")
def found():
    return fit(STUDY, exchange_within(split(world(2.0), PLACE), STUDY), interactions=True).model


def test_a_true_product_is_found(found):
    assert found.design.pairs.tolist() == [[0, 2]]
    plain = fit(STUDY, exchange_within(split(world(2.0), PLACE), STUDY)).model
    test = world(2.0)
    auroc = [metrics(score_histogram(m.risk(test.x, test.observed), test.y, 0.3)).auroc for m in (plain, found)]
    assert auroc[1] > auroc[0] + 0.02


def test_without_a_product_none_is_found():
    model = fit(STUDY, exchange_within(split(world(0.0), PLACE), STUDY), interactions=True).model
    assert len(model.design.pairs) == 0


def test_pairs_are_the_same_for_federated_and_pooled(found):
    pooled = fit(STUDY, exchange_within([world(2.0)], STUDY), interactions=True).model
    np.testing.assert_allclose(pooled.coefficients, found.coefficients, rtol=0, atol=1e-8)


def test_a_product_counts_only_where_both_features_are_seen(found):
    rows = draw_rows(10, seed=2)
    columns = found.design.matrix(rows.x, rows.observed)[:, found.design.products]
    z = np.clip((rows.x[:, 0] - found.design.mean[0]) / found.design.sd[0], -4, 4)
    np.testing.assert_allclose(columns[:, 0], z * (rows.x[:, 2] - 0.5) - found.design.centre[found.design.products])
    half = rows.observed.copy()
    half[:, 0] = False
    assert not found.design.matrix(rows.x, half)[:, found.design.products].any()
