"""Figures for Prometheus, and the headers that every answer carries. Counters are looked up once and kept."""

import time
from collections.abc import Iterable
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedhealth.monitoring.prediction_log import PredictionLog
from fedhealth.serving.models import Models

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
HEADERS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class Figures:
    """Requests by path and status, seconds by path, and what model and prediction log say of themselves."""

    def __init__(self, models: Models, log: PredictionLog) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        requests = Counter("fedhealth_requests", "Requests answered", ["path", "status"], registry=own)
        seconds = Histogram("fedhealth_request_seconds", "Time to the answer", ["path"], buckets=SECONDS, registry=own)
        self.requests = lru_cache(1024)(lambda path, status: requests.labels(path, str(status)).inc)
        self.seconds = lru_cache(1024)(lambda path: seconds.labels(path).observe)
        self.registry.register(_Inside(models, log))

    def text(self) -> bytes:
        """All figures in Prometheus' format."""
        return generate_latest(self.registry)


class _Inside(Collector):
    def __init__(self, models: Models, log: PredictionLog) -> None:
        self.models = models
        self.log = log

    def collect(self) -> Iterable[Metric]:
        """The figures that are looked up when asked for."""
        predictor = self.models.state().predictor
        model = GaugeMetricFamily("fedhealth_model", "1 for the model in force", labels=["version"])
        if predictor:
            model.add_metric([predictor.bundle.version], 1)
        yield model
        yield GaugeMetricFamily("fedhealth_predictions_waiting", "Predictions to be noted", value=self.log.waiting)
        yield CounterMetricFamily("fedhealth_predictions_shed", "Predictions never noted", value=self.log.dropped)


class Measured:
    """ASGI middleware, the outermost: counts and times every request."""

    def __init__(self, app: ASGIApp, figures: Figures) -> None:
        self.app = app
        self.figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, and note what came of it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status = time.perf_counter(), 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        try:
            await self.app(scope, receive, note)
        finally:
            path = _path(scope)
            self.figures.requests(path, status)()
            self.figures.seconds(path)(time.perf_counter() - started)


def _path(scope: Scope) -> str:
    """The route's path with its placeholders: there are only so many of them. The fast lane names its own."""
    route = scope.get("route")
    return getattr(route, "path", None) or scope.get("lane") or "other"
