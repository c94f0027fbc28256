from pathlib import Path

import numpy as np
import pytest
import torch

from fedhealth.federation import averaging
from fedhealth.model import NetworkModel, RiskModel, model_from_arrays
from fedhealth.model.mlp import HealthRiskNet, network_of, train_locally
from fedhealth.model.network import forward
from fedhealth.runtime.network import save_network
from fedhealth.study import load_study

STUDY = load_study("nhanes")  # has a feature on a logarithmic scale
D = len(STUDY.features)


@pytest.fixture
def model() -> NetworkModel:
    rng = np.random.default_rng(1)
    weights = averaging.init(D, 5, 0.1)
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


def test_local_training_lowers_the_loss_and_is_deterministic(model: NetworkModel) -> None:
    rng = np.random.default_rng(3)
    inputs = rng.normal(0, 1, (600, 2 * D))
    y = (inputs[:, 0] > 0).astype(np.float64)

    def train() -> dict[str, np.ndarray]:
        return train_locally(model.weights, inputs, y, np.random.default_rng(4), 3e-3, 20)

    def loss(weights: dict[str, np.ndarray]) -> float:
        margin = forward(weights, inputs)
        return float((np.logaddexp(0, margin) - y * margin).mean())

    after = train()
    assert loss(after) < loss(model.weights) / 2
    assert all(np.array_equal(after[name], array) for name, array in train().items())
