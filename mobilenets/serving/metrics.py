"""Figures for Prometheus at /metrics; with several workers, prometheus-client adds up those of all."""

import os
from collections.abc import Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

from .messages import Headers, Request, Response
from .served import Answer
from .server import SHARED

__all__ = ["Metrics"]

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters and histograms of one process."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self._requests = Counter(
            "mobilenets_requests", "Requests by route and status of the response.", ("route", "status"), registry=own
        )
        self._seconds = Histogram(
            "mobilenets_request_seconds",
            "Time from the headers of a request to its response.",
            ("route",),
            registry=own,
            buckets=SECONDS,
        )
        self._stage = Histogram(
            "mobilenets_stage_seconds",
            "Time in the queue, of decoding and of the network.",
            ("model", "stage"),
            registry=own,
            buckets=SECONDS,
        )
        self._images = Histogram(
            "mobilenets_request_images", "Images of a request.", ("model",), registry=own, buckets=IMAGES
        )
        self.reloads = Counter(
            "mobilenets_reloads", "Models that were loaded again, or could not be.", ("result",), registry=own
        )
        self.waiting = Gauge(
            "mobilenets_waiting_images", "Images in the queue.", registry=own, multiprocess_mode="livesum"
        )
        # finding a child by its labels costs as much as counting
        self._counted = cache(lambda route, status: self._requests.labels(route, status))
        self._timed = cache(lambda route: self._seconds.labels(route))
        self._staged = cache(lambda model, stage: self._stage.labels(model, stage))
        if SHARED not in os.environ:
            ProcessCollector(registry=own)

    def answered(self, request: Request, response: Response, seconds: float) -> None:
        """Count a request that was answered."""
        self._counted(request.route, response.status).inc()
        self._timed(request.route).observe(seconds)

    def predicted(self, model: str, answers: Sequence[Answer], waited: float) -> None:
        """Count the images of a request."""
        self._staged(model, "queue").observe(waited)
        for answer in answers:
            self._staged(model, "decode").observe(answer.decode)
            self._staged(model, "network").observe(answer.network)
        self._images.labels(model).observe(len(answers))

    def exposition(self) -> tuple[bytes, Headers]:
        """Return all figures in Prometheus' text format, with the headers of the response."""
        registry = self.registry
        if SHARED in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            ProcessCollector(registry=registry)  # of the worker that answers
        return generate_latest(registry), [(b"content-type", CONTENT_TYPE_PLAIN_0_0_4.encode())]
