"""What is known of pairs of columns, and what follows for the others."""

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.federation.worlds import STUDY, draw_rows, hide, split

from fedhealth.federation import completion, exchange_within
from fedhealth.federation.training import describe

CITIES = dataclasses.replace(STUDY, cities=("Oneville", "Twoville"))


def linked_by(size: int, seed: int = 0) -> np.ndarray:
    """Correlations of three columns in which the outer two are alike only through the middle one."""
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=size)
    return np.corrcoef([middle + rng.normal(size=size), middle, middle + rng.normal(size=size)])


def test_an_unknown_correlation_follows_from_what_links_the_columns():
    true = linked_by(200_000)
    known = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=bool)
    completed = completion._complete(np.where(known, true, 0.0), known)
    assert abs(completed[0, 2] - true[0, 1] * true[1, 2]) < 1e-4
    np.testing.assert_allclose(completed[known], true[known], atol=1e-12)
    assert abs(np.linalg.inv(completed)[0, 2]) < 1e-3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 8))
def test_a_completed_matrix_is_a_proper_correlation(seed, width):
    rng = np.random.default_rng(seed)
    known = rng.random((width, width)) < 0.5
    known |= known.T | np.eye(width, dtype=bool)
    completed = completion._proper(completion._complete(np.corrcoef(rng.normal(size=(width, 12))), known))
    assert np.linalg.eigvalsh(completed)[0] > 0.5 * completion.FLOOR / width
    np.testing.assert_allclose(np.diag(completed), 1.0)
    np.testing.assert_allclose(completed, completed.T)


def test_columns_of_unrelated_features_have_no_covariance():
    rng = np.random.default_rng(4)
    rows = draw_rows(3000, seed=4)
    x = np.column_stack([rng.permutation(column) for column in rows.x.T])
    design, _ = describe(STUDY, exchange_within([dataclasses.replace(rows, x=x)], STUDY), 8)
    scale = np.sqrt(np.diag(design.column_covariance))
    one, other = design.blocks[0], design.blocks[1]
    assert np.abs(design.column_covariance[one, other] / np.outer(scale[one], scale[other])).max() < 0.05


def test_what_two_nodes_see_of_one_air_is_linked_by_city_and_month():
    """Pulse is seen at one node, lead at the other; both follow the month."""
    rng = np.random.default_rng(1)
    rows = draw_rows(6000, seed=1)
    stratum = rng.integers(0, 24, len(rows)).astype(np.int16)
    level = rng.normal(size=24)[stratum]
    x = rows.x.copy()
    x[:, 0], x[:, 1] = 80 + 8 * level + rng.normal(size=len(rows)), np.exp(0.5 * level)
    everybody = dataclasses.replace(rows, x=x, stratum=stratum)
    one, other = split(everybody, np.arange(len(rows)) % 2)[:2]
    nodes = [hide(one, [1]), hide(other, [0])]
    linked, _ = describe(CITIES, exchange_within(nodes, CITIES), 1)
    nowhere = [dataclasses.replace(node, stratum=np.full(len(node), -1, dtype=np.int16)) for node in nodes]
    apart, _ = describe(STUDY, exchange_within(nowhere, STUDY), 1)
    expected, _ = describe(CITIES, exchange_within([everybody], CITIES), 1)
    found = [d.column_covariance[1, 2] / np.sqrt(np.prod(np.diag(d.column_covariance)[1:3])) for d in (linked, apart)]
    true = expected.column_covariance[1, 2] / np.sqrt(np.prod(np.diag(expected.column_covariance)[1:3]))
    assert true > 0.9
    assert found[0] > true - 0.1
    assert abs(found[1]) < 0.1
