"""A server's figures for Prometheus: rounds, nodes, seconds, bytes, refusals."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from fedhealth.runtime.ports import LOOPBACK


class Figures:
    """Counts the events of a run (:mod:`fedhealth.runtime.events`); shown at ``http://127.0.0.1:PORT/metrics``."""

    def __init__(self, port: int) -> None:
        """Begin to listen.

        Raises:
            OSError: the port cannot be had; names the option.
        """
        own = CollectorRegistry()
        self._nodes = Gauge("fedhealth_nodes", "Nodes that are there", registry=own)
        self._rounds = Counter("fedhealth_rounds", "Rounds that are finished", registry=own)
        self._lost = Counter("fedhealth_nodes_lost", "Times a node was lost", ["node"], registry=own)
        self._refusals = Counter("fedhealth_refusals", "Refusals by or of a node", ["node"], registry=own)
        self._bytes = Counter("fedhealth_received_bytes", "Bytes that nodes answered with", ["step"], registry=own)
        self._seconds = Histogram("fedhealth_step_seconds", "Seconds that all nodes took", ["step"], registry=own)
        try:
            start_http_server(port, addr=LOOPBACK, registry=own)
        except OSError as error:
            raise OSError(f"--metrics-port {port} cannot be had ({error.strerror}); choose another") from None

    def __call__(self, event: str, **facts: Any) -> None:
        """Count one event."""
        match event:
            case "joined" | "back":
                self._nodes.inc()
            case "lost":
                self._nodes.dec()
                self._lost.labels(facts["node"]).inc()
            case "refused":
                self._refusals.labels(facts["node"]).inc()
            case "step":
                self._bytes.labels(facts["step"]).inc(facts["bytes"])
                self._seconds.labels(facts["step"]).observe(facts["seconds"])
            case "round":
                self._rounds.inc()
