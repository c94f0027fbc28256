from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fedhealth.federation import averaging
from fedhealth.model import NetworkModel, RiskModel, model_from_arrays
from fedhealth.model.mlp import HealthRiskNet, gradient, network_of, train_locally
from fedhealth.model.network import WEIGHTS, LocalTask, forward
from fedhealth.runtime.network import save_network
from fedhealth.study import load_study

STUDY = load_study("nhanes")  # has a feature on a logarithmic scale
D = len(STUDY.features)


@pytest.fixture
def model() -> NetworkModel:
    rng = np.random.default_rng(1)
    weights = averaging.init(np.ones(D), 5, 0.1)
    return NetworkModel(STUDY, rng.normal(0, 1, D), rng.uniform(1, 2, D), weights, np.array([0.3, 0.9]))


def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    observed = rng.random((50, D)) < 0.6
    return np.where(observed, rng.uniform(0, 30, (50, D)), 0.0), observed


def test_numpy_and_torch_compute_the_same(model: NetworkModel) -> None:
    x, observed = rows()
    with torch.no_grad():
        logit = network_of(model)(torch.from_numpy(x), torch.from_numpy(observed)).numpy()
    np.testing.assert_allclose(logit, model.logit(x, observed), atol=1e-12)
    assert np.all((model.risk(x, observed) > 0) & (model.risk(x, observed) < 1))


def test_an_unobserved_value_is_not_read(model: NetworkModel) -> None:
    x, observed = rows()
    np.testing.assert_array_equal(model.logit(np.where(observed, x, 7.0), observed), model.logit(x, observed))


def test_the_file_is_read_without_unpickling_code(model: NetworkModel, tmp_path: Path) -> None:
    x, observed = rows()
    state = torch.load(save_network(model, tmp_path / "models"), weights_only=True)
    network = HealthRiskNet(D).double()
    network.load_state_dict(state)
    with torch.no_grad():
        logit = network(torch.from_numpy(x), torch.from_numpy(observed)).numpy()
    np.testing.assert_allclose(logit, model.logit(x, observed), atol=1e-12)


def test_arrays_tell_which_model_they_are(model: NetworkModel) -> None:
    again = model_from_arrays(STUDY, model.arrays())
    assert isinstance(again, NetworkModel)
    assert not isinstance(again, RiskModel)
    np.testing.assert_array_equal(again.calibration, model.calibration)


def task(model: NetworkModel, n: int = 600, **settings: object) -> LocalTask:
    """Training on rows whose label is the sign of their first input; three groups of inputs."""
    rng = np.random.default_rng(3)
    inputs = rng.normal(0, 1, (n, 2 * D))
    given = LocalTask(
        start=model.weights,
        inputs=inputs,
        y=(inputs[:, 0] > 0).astype(np.float64),
        rng=np.random.default_rng(4),
        rate=3e-3,
        epochs=1,
        groups=np.tile(np.arange(D) % 3, 2),
        withhold=0.0,
        mu=0.0,
        correction={},
    )
    return replace(given, **settings)  # type: ignore[arg-type]


def loss(weights: Mapping[str, np.ndarray], given: LocalTask) -> float:
    margin = forward(weights, given.inputs)
    return float((np.logaddexp(0, margin) - given.y * margin).mean())


def numeric_gradient(weights: Mapping[str, np.ndarray], given: LocalTask, name: str) -> float:
    """The loss's slope along a weight's first entry, by central differences."""
    ends = []
    for step in (1e-6, -1e-6):
        moved = weights[name].copy()
        moved.flat[0] += step
        ends.append(loss({**weights, name: moved}, given))
    return (ends[0] - ends[1]) / 2e-6


def test_local_training_lowers_the_loss_and_is_deterministic(model: NetworkModel) -> None:
    given = task(model, epochs=20)
    after = train_locally(given)
    assert loss(after, given) < loss(model.weights, given) / 2
    again = train_locally(task(model, epochs=20))
    assert all(np.array_equal(after[name], array) for name, array in again.items())


def test_the_gradient_is_that_of_the_mean_log_loss(model: NetworkModel) -> None:
    given = task(model)
    found = gradient(model.weights, given.inputs, given.y)
    for name in WEIGHTS:
        assert found[name].flat[0] == pytest.approx(numeric_gradient(model.weights, given, name), abs=1e-7)


def test_one_step_is_adams_on_the_gradient_with_its_two_additions(model: NetworkModel) -> None:
    # Adam's first step is rate * g / (|g| + 1e-8): below 1e-8, g shows in its length. Here every weight starts at its
    # start, so mu adds nothing; the correction decides the direction.
    towards = {name: np.full_like(w, -1e3) for name, w in model.weights.items()}
    after = train_locally(task(model, n=200, correction=towards))
    for name, weight in model.weights.items():
        np.testing.assert_allclose(after[name], weight + 3e-3, atol=1e-9)


def test_the_proximal_term_holds_the_weights_near_their_start(model: NetworkModel) -> None:
    def distance(mu: float) -> float:
        after = train_locally(task(model, epochs=5, mu=mu))
        return float(np.sqrt(sum(((after[n] - w) ** 2).sum() for n, w in model.weights.items())))

    assert distance(1.0) < 0.7 * distance(0.0)


def test_withholding_hides_whole_groups_by_the_share_asked(model: NetworkModel) -> None:
    given = task(model, n=4000, withhold=0.3, epochs=2)
    (order, seen), (other, _) = list(given.schedule())
    assert sorted(order) == sorted(other) == list(range(4000))
    assert not np.array_equal(order, other)
    hidden = seen == 0
    for group in range(3):
        columns = hidden[:, given.groups == group]
        assert np.all(columns == columns[:, :1])
        assert columns[:, 0].mean() == pytest.approx(0.3, abs=0.03)
    np.testing.assert_array_equal(seen[~hidden], given.inputs[~hidden])


def test_without_rows_or_rate_nothing_changes(model: NetworkModel) -> None:
    for given in (task(model, n=0), task(model, rate=0.0)):
        after = train_locally(given)
        assert all(np.array_equal(after[name], w) for name, w in model.weights.items())
    assert not any(part.any() for part in gradient(model.weights, np.zeros((0, 2 * D)), np.zeros(0)).values())
