import dataclasses

import numpy as np
import pytest
from tests.federation.worlds import OFFSET_STUDY, STUDY, draw_rows, hide, make_shard, split

from fedhealth.federation import SEGMENTS, STEPS, difference, exchange_within, fit, metrics, score_histogram
from fedhealth.federation.contribution import arrays

ROWS = draw_rows(800, seed=21, missing=[0.1, 0.2, 0.0, 0.1])
PLACE = np.random.default_rng(0).integers(4, size=len(ROWS))
SHARDS = split(ROWS, PLACE)


def assert_equal_models(a, b):
    for name, array in a.arrays().items():
        np.testing.assert_array_equal(array, b.arrays()[name], err_msg=name)


@pytest.mark.parametrize("model", SEGMENTS)
def test_the_same_rows_give_the_same_bits(model):
    first = fit(OFFSET_STUDY, exchange_within(SHARDS, OFFSET_STUDY), SEGMENTS[model])
    second = fit(OFFSET_STUDY, exchange_within(split(ROWS, PLACE), OFFSET_STUDY), SEGMENTS[model])
    assert_equal_models(first.model, second.model)
    assert first.penalty == second.penalty
    assert first.rounds == second.rounds
    for name in first.reference:
        np.testing.assert_array_equal(first.reference[name], second.reference[name])


def test_training_learns():
    found = fit(STUDY, exchange_within(SHARDS, STUDY))
    test = draw_rows(4000, seed=22)
    good = metrics(score_histogram(found.model.risk(test.x, test.observed), test.y, 0.3))
    straight = fit(STUDY, exchange_within(SHARDS, STUDY), SEGMENTS["logistic"]).model
    less = metrics(score_histogram(straight.risk(test.x, test.observed), test.y, 0.3))
    assert good.auroc > less.auroc + 0.01
    assert good.auroc > 0.73


def test_rounds_are_told_from_the_untrained_model_on():
    told = []
    found = fit(STUDY, exchange_within(SHARDS, STUDY), on_round=told.append)
    assert [r.number for r in told] == list(range(found.rounds + 1))
    assert not told[0].model.coefficients[1:].any()
    prevalence = ROWS.training.y.mean()
    untrained = told[0].model.risk(ROWS.x, ROWS.observed)
    np.testing.assert_allclose(untrained, prevalence, atol=1e-12)
    entropy = -prevalence * np.log(prevalence) - (1 - prevalence) * np.log(1 - prevalence)
    assert told[0].train_loss == pytest.approx(entropy)
    losses = [r.train_loss for r in told]
    assert losses[-1] < losses[0] - 0.02
    assert losses[1] < losses[0]
    np.testing.assert_array_equal(told[-1].model.coefficients.shape, found.model.coefficients.shape)


def test_a_given_penalty_is_kept_and_a_stronger_one_shrinks():
    def size(penalty):
        found = fit(STUDY, exchange_within(SHARDS, STUDY), penalty=penalty)
        assert found.penalty == penalty
        return np.abs(found.model.coefficients[1:]).sum()

    assert size((30.0, 300.0)) < size((30.0, 3.0)) < size((0.01, 0.01))


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("where", ["everywhere", "in training rows"])
def test_equal_labels_are_refused(label, where):
    y = np.full(len(ROWS), label) if where == "everywhere" else np.where(ROWS.fold < 0, 1 - label, label)
    shards = split(dataclasses.replace(ROWS, y=y.astype(np.float64)), PLACE)
    with pytest.raises(ValueError, match="640 training rows have the same label; expected both 0 and 1"):
        fit(STUDY, exchange_within(shards, STUDY))


def test_a_node_without_held_out_rows_still_teaches():
    fold = np.where((PLACE == 1) & (ROWS.fold < 0), 0, ROWS.fold).astype(np.int8)
    shards = split(dataclasses.replace(ROWS, fold=fold), PLACE)
    model = fit(STUDY, exchange_within(shards, STUDY)).model
    replies = exchange_within(shards, STUDY)("evaluate", {**model.arrays(), "withhold": np.zeros(4)})
    assert replies["north"].rows == 0
    assert metrics(replies["north"]).as_dict()["auroc"] is None
    assert metrics(replies["east"]).auroc > 0.5


def test_a_node_without_training_rows_only_evaluates():
    fold = np.where(PLACE == 1, -1, ROWS.fold).astype(np.int8)
    shards = split(dataclasses.replace(ROWS, fold=fold), PLACE)
    told = []
    model = fit(STUDY, exchange_within(shards, STUDY), on_round=told.append).model
    others = [s for s in shards if s.node != "north"]
    expected = fit(STUDY, exchange_within(others, STUDY)).model
    np.testing.assert_allclose(model.coefficients, expected.coefficients, atol=1e-10)
    assert all(np.isfinite(r.train_loss) for r in told)


def test_a_node_that_lacks_features_joins_with_what_it_has():
    shards = [SHARDS[0], hide(SHARDS[1], [0, 1]), hide(SHARDS[2], [2, 3]), SHARDS[3]]
    model = fit(STUDY, exchange_within(shards, STUDY)).model
    assert sorted(model.design.indicators) == [0, 1, 2, 3]
    test = draw_rows(2000, seed=23)
    found = metrics(score_histogram(model.risk(test.x, test.observed), test.y, 0.3))
    alone = fit(STUDY, exchange_within([shards[1]], STUDY)).model
    least = metrics(score_histogram(alone.risk(test.x, test.observed), test.y, 0.3))
    assert found.auroc > least.auroc + 0.05


def test_a_feature_that_nobody_observes_keeps_no_weight():
    shards = [hide(s, [1]) for s in SHARDS]
    model = fit(STUDY, exchange_within(shards, STUDY)).model
    assert not model.coefficients[model.design.blocks[1]].any()
    assert not model.design.column_covariance[model.design.blocks[1]].any()
    test = draw_rows(50, seed=24)
    hidden = hide(test, [1])
    np.testing.assert_array_equal(model.risk(test.x, test.observed), model.risk(hidden.x, hidden.observed))


def test_a_constant_feature_does_no_harm():
    x = ROWS.x.copy()
    x[:, 0] = 71.3
    model = fit(STUDY, exchange_within(split(dataclasses.replace(ROWS, x=x), PLACE), STUDY)).model
    assert np.isfinite(model.coefficients).all()
    test = draw_rows(200, seed=25)
    elsewhere = np.column_stack([np.full(200, 71.3), test.x[:, 1:]])
    seen = np.ones(test.x.shape, dtype=bool)
    np.testing.assert_allclose(model.risk(test.x, seen), model.risk(elsewhere, seen), atol=1e-6)


def test_rows_without_anything_observed_are_harmless():
    observed = ROWS.observed & (np.arange(len(ROWS)) % 3 > 0)[:, None]
    rows = dataclasses.replace(ROWS, observed=observed, x=np.where(observed, ROWS.x, 0.0))
    model = fit(STUDY, exchange_within(split(rows, PLACE), STUDY)).model
    assert np.isfinite(model.coefficients).all()
    nothing = model.risk(np.zeros((1, 4)), np.zeros((1, 4), dtype=bool))
    assert nothing[0] == pytest.approx(ROWS.y.mean(), abs=0.08)


@pytest.mark.parametrize("model", SEGMENTS)
def test_the_local_baseline_is_the_nodes_own_fit_on_its_own_held_out_rows(model):
    shard = SHARDS[2]
    together = fit(STUDY, exchange_within(SHARDS, STUDY), SEGMENTS[model]).model.arrays()
    reply = STEPS["local_baseline"](STUDY, {**together, **arrays(segments=SEGMENTS[model])}, shard)
    alone = fit(STUDY, exchange_within([shard], STUDY), SEGMENTS[model]).model
    rows = shard.held_out
    assert metrics(reply) == metrics(score_histogram(alone.risk(rows.x, rows.observed, rows.site), rows.y, 0.3))


def test_a_node_with_one_label_has_no_local_baseline_but_stops_nobody():
    shard = dataclasses.replace(SHARDS[2], y=np.zeros(len(SHARDS[2])))
    together = fit(STUDY, exchange_within(SHARDS, STUDY)).model.arrays()
    reply = STEPS["local_baseline"](STUDY, {**together, **arrays(segments=8)}, shard)
    assert metrics(reply).as_dict()["auroc"] is None
    assert difference(reply, reply, reply).as_dict()["log_loss"] is None


def test_no_contribution_holds_anything_of_a_rows_size():
    """Shapes depend on the study, never on the number of rows."""
    shapes = {}
    for n in (200, 410):
        rows = draw_rows(n, seed=1)

        def exchange(step, state, rows=rows, n=n):
            reply = STEPS[step](STUDY, state, rows)
            shapes.setdefault(n, {})[step] = {name: a.shape for name, a in reply.sums.items()}
            return {"east": reply}

        model = fit(STUDY, exchange).model
        exchange("evaluate", {**model.arrays(), "withhold": np.zeros(4)})
        exchange("local_baseline", {**model.arrays(), **arrays(segments=8)})
        exchange("inventory", {})
    assert shapes[200] == shapes[410]


def test_two_rows_of_either_label_are_enough():
    x = np.array([[60, 1, 0, 0], [70, 1, 1, 1], [80, 2, 0, 2], [90, 3, 1, 0], [100, 1, 1, 1], [65, 2, 0, 2]])
    seen = np.ones(x.shape, dtype=bool)
    rows = make_shard(x, seen, [0, 1, 0, 1, 1, 0], fold=[0, 1, 2, 0, 1, 2])
    risk = fit(STUDY, exchange_within([rows], STUDY)).model.risk(x, seen)
    assert ((risk > 0) & (risk < 1)).all()


@pytest.mark.slow
@pytest.mark.parametrize("base", [1_000.0, 101_300.0])
def test_a_number_that_varies_little_beside_its_size_is_learnt_from_all_the_same(base):
    """Such as air pressure in pascal: only differences matter."""
    study = dataclasses.replace(
        STUDY, features=(dataclasses.replace(STUDY.features[0], low=0.0, high=200_000.0), *STUDY.features[1:])
    )
    x = ROWS.x.copy()
    x[:, 0] = np.where(ROWS.observed[:, 0], base + x[:, 0] / 5, 0.0)
    found = fit(study, exchange_within(split(dataclasses.replace(ROWS, x=x), PLACE), study))
    plain = fit(STUDY, exchange_within(SHARDS, STUDY))
    test = draw_rows(3000, seed=26)
    moved = np.column_stack([base + test.x[:, 0] / 5, test.x[:, 1:]])
    first = metrics(score_histogram(plain.model.risk(test.x, test.observed), test.y, 0.3))
    second = metrics(score_histogram(found.model.risk(moved, test.observed), test.y, 0.3))
    assert second.auroc == pytest.approx(first.auroc, abs=0.02)
