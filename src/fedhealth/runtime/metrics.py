"""A server's figures for Prometheus: rounds, nodes, seconds, bytes, refusals."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from fedhealth.runtime.events import Watch


class Figures(Watch):
    """Counts what happens in a run, and shows it at ``http://127.0.0.1:PORT/metrics``."""

    def __init__(self, port: int) -> None:
        """Begin to listen.

        Raises:
            OSError: the port is taken.
        """
        own = CollectorRegistry()
        self._nodes = Gauge("fedhealth_nodes", "Nodes that are there", registry=own)
        self._rounds = Counter("fedhealth_rounds", "Rounds that are finished", registry=own)
        self._lost = Counter("fedhealth_nodes_lost", "Times a node was lost", ["node"], registry=own)
        self._refusals = Counter("fedhealth_refusals", "Refusals by or of a node", ["node"], registry=own)
        self._bytes = Counter("fedhealth_received_bytes", "Bytes that nodes answered with", ["step"], registry=own)
        self._seconds = Histogram("fedhealth_step_seconds", "Seconds that all nodes took", ["step"], registry=own)
        start_http_server(port, addr="127.0.0.1", registry=own)

    def joined(self, node: str) -> None:  # noqa: D102 (told by Watch, as all that follow)
        self._nodes.inc()

    def back(self, node: str) -> None:  # noqa: D102
        self._nodes.inc()

    def lost(self, node: str, why: str) -> None:  # noqa: D102
        self._nodes.dec()
        self._lost.labels(node).inc()

    def refused(self, node: str, why: str) -> None:  # noqa: D102
        self._refusals.labels(node).inc()

    def step(self, step: str, nodes: Sequence[str], seconds: float, size: int) -> None:  # noqa: D102
        self._bytes.labels(step).inc(size)
        self._seconds.labels(step).observe(seconds)

    def round(self, number: int, loss: float, auroc: float) -> None:  # noqa: D102
        self._rounds.inc()
