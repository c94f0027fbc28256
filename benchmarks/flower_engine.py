"""The network's local training as an ordinary Flower app in Flower's simulation engine (Ray); for simulation.py."""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from fedhealth.model.network import BATCH, HIDDEN, WEIGHT_DECAY
from fedhealth.runtime.flower.environment import private_environment

Floats = NDArray[np.float64]
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def network(columns: int) -> nn.Sequential:
    """The same layers as the package's network, in float64."""
    layers = nn.Linear(columns, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
    return nn.Sequential(*layers).double()


def train_client(
    model: nn.Module, inputs: torch.Tensor, y: torch.Tensor, epochs: int, rate: float, withhold: float
) -> float:
    """Adam on the log loss; the last batch's loss. ``withhold`` is the share of inputs hidden."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=WEIGHT_DECAY)
    loader = DataLoader(TensorDataset(inputs, y), batch_size=BATCH, shuffle=True)
    loss = torch.zeros(())
    for _ in range(epochs):
        for rows, labels in loader:
            optimizer.zero_grad()
            seen = rows * (torch.rand(rows.shape) >= withhold)
            loss = nn.functional.binary_cross_entropy_with_logits(model(seen)[:, 0], labels)
            loss.backward()
            optimizer.step()
    return loss.item()


def seconds_per_round(
    clients: Sequence[tuple[Floats, Floats]], rounds: int, epochs: int, rate: float, withhold: float
) -> list[float]:
    """Seconds of each round of FedAvg over ``clients`` (inputs and labels of each), one actor a core.

    The engine's start is not counted; the first round still warms the actors up.
    """
    home = private_environment()
    os.environ.update(QUIET)
    from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp
    from flwr.serverapp.strategy import FedAvg
    from flwr.simulation import run_simulation

    ends: list[float] = []
    client, server = ClientApp(), ServerApp()
    columns = clients[0][0].shape[1]
    with home, tempfile.TemporaryDirectory() as folder:
        for number, (inputs, y) in enumerate(clients):
            np.savez(Path(folder) / f"{number}.npz", inputs=inputs, y=y)

        @client.train()
        def train(message: Message, context: Context) -> Message:
            model = network(columns)
            model.load_state_dict(message.content["arrays"].to_torch_state_dict())
            with np.load(Path(folder) / f"{context.node_config['partition-id']}.npz") as rows:
                inputs, y = torch.from_numpy(rows["inputs"]), torch.from_numpy(rows["y"])
            loss = train_client(model, inputs, y, epochs, message.content["config"]["lr"], withhold)
            metrics = MetricRecord({"num-examples": len(y), "train_loss": loss})
            content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
            return Message(content=content, reply_to=message)

        def note(number: int, arrays: ArrayRecord) -> None:
            ends.append(time.perf_counter())

        @server.main()
        def main(grid: Grid, context: Context) -> None:
            strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=1, min_available_nodes=len(clients))
            first, config = ArrayRecord(network(columns).state_dict()), ConfigRecord({"lr": rate})
            strategy.start(grid, first, rounds, train_config=config, evaluate_fn=note)

        ray = {"num_cpus": os.cpu_count(), "include_dashboard": False}
        engine = {"client_resources": {"num_cpus": 1}, "init_args": ray}
        run_simulation(server, client, num_supernodes=len(clients), backend_config=engine)
    if len(ends) != rounds + 1:
        raise RuntimeError(f"Flower finished {max(len(ends) - 1, 0)} rounds; expected {rounds}")
    return np.diff(ends).tolist()
