"""Counters and times for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Metrics:
    """One server's metrics, separate from any other server's in the process."""

    def __init__(self, images: Callable[[], float], taken: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter(
            "bovw_requests", "Requests answered.", labels, registry=self.registry
        )
        self.seconds = Histogram(
            "bovw_request_seconds", "Time to an answer.", labels[:2], registry=self.registry
        )
        self.silent = Counter(
            "bovw_silent_shards", "Answers that lack a shard.", ("shard",), registry=self.registry
        )
        gauges = {
            "bovw_images": ("Images in the index; NaN if it cannot be read.", images),
            "bovw_searches": ("Searches that work or wait.", taken),
        }
        for name, (text, function) in gauges.items():
            Gauge(name, text, registry=self.registry).set_function(function)


class Measured:
    """Counts an application's answers by route, because URLs would make too many labels."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.metrics.requests.labels(method, route, status).inc()
            self.metrics.seconds.labels(method, route).observe(time.perf_counter() - start)


METHODS = ("GET", "HEAD", "POST", "DELETE")
