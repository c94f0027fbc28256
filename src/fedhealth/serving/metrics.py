"""Figures for Prometheus, and the headers that every answer carries. All are noted by the server's one thread."""

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
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
        self.registry.register(_Requests(self))
        self.registry.register(_Inside(models, log))
        self.requests: Counter[tuple[str, int]] = Counter()
        self.within: Counter[tuple[str, int]] = Counter()  # by path and place in SECONDS
        self.seconds: dict[str, float] = defaultdict(float)

    def note(self, path: str, status: int, seconds: float) -> None:
        """Count one request."""
        self.requests[path, status] += 1
        self.within[path, bisect_left(SECONDS, seconds)] += 1
        self.seconds[path] += seconds

    def text(self) -> bytes:
        """All figures in Prometheus' format."""
        return generate_latest(self.registry)


class _Requests(Collector):
    def __init__(self, figures: Figures) -> None:
        self.figures = figures

    def collect(self) -> Iterable[Metric]:
        """Requests by path and status, and a histogram of seconds for each path."""
        figures = self.figures
        answered = CounterMetricFamily("fedhealth_requests", "Requests answered", labels=["path", "status"])
        for (path, status), count in sorted(figures.requests.items()):
            answered.add_metric([path, str(status)], count)
        yield answered
        took = HistogramMetricFamily("fedhealth_request_seconds", "Time to the answer", labels=["path"])
        ends = [*map(str, SECONDS), "+Inf"]
        for path, seconds in sorted(figures.seconds.items()):
            counts = accumulate(figures.within[path, place] for place in range(len(ends)))
            took.add_metric([path], list(zip(ends, map(float, counts), strict=True)), seconds)
        yield took


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
    """ASGI middleware: counts and times every request that the fast lane leaves."""

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
            self.figures.note(_path(scope), status, time.perf_counter() - started)


def _path(scope: Scope) -> str:
    """The route's path with its placeholders: there are only so many of them."""
    return getattr(scope.get("route"), "path", None) or "other"
