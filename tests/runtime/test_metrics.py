"""A server's figures, as Prometheus reads them."""

import urllib.request

import pytest

from fedhealth.runtime.metrics import Figures
from fedhealth.runtime.ports import free_port


def test_prometheus_reads_nodes_rounds_seconds_bytes_and_refusals():
    port = free_port()
    figures = Figures(port)
    for node in ("node_1", "node_2"):
        figures("joined", node=node)
    figures("lost", node="node_2", why="it is no longer connected")
    figures("refused", node="node_1", why="its policy")
    figures("step", step="newton", nodes=["node_1"], seconds=0.25, bytes=4000)
    figures("round", round=0, loss=0.3, auroc=0.7)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        told = answer.read().decode().splitlines()
    for line in (
        "fedhealth_nodes 1.0",
        "fedhealth_rounds_total 1.0",
        'fedhealth_nodes_lost_total{node="node_2"} 1.0',
        'fedhealth_refusals_total{node="node_1"} 1.0',
        'fedhealth_received_bytes_total{step="newton"} 4000.0',
        'fedhealth_step_seconds_sum{step="newton"} 0.25',
    ):
        assert line in told
    with pytest.raises(OSError, match="in use"):
        Figures(port)
