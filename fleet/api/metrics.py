"""Prometheus metrics: requests as they happen, the fleet as it is when asked."""

from __future__ import annotations

import time
from collections import Counter as Count
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.service import FleetService
from missions.orders import OrderState


class FleetCollector(Collector):
    """Orders by state, vehicles by link, airspace version and readiness, read when Prometheus asks."""

    def __init__(self, service: FleetService) -> None:
        self._service = service

    def describe(self) -> Iterator[Metric]:
        return iter(())  # nothing is asked of the service while it is still starting

    def collect(self) -> Iterator[Metric]:
        orders = GaugeMetricFamily("coldwing_orders", "Orders by state", labels=["state"])
        states = Count(view.state for view in self._service.orders())
        for state in OrderState:
            orders.add_metric([state.value], states[state])
        vehicles = GaugeMetricFamily("coldwing_vehicles", "Vehicles by link state", labels=["link"])
        links = Count(view.link for view in self._service.vehicles())
        for link in ("up", "stale", "never"):
            vehicles.add_metric([link], links[link])
        version, zones = self._service.zones()
        yield orders
        yield vehicles
        yield GaugeMetricFamily("coldwing_airspace_version", "Version of the airspace", value=version)
        yield GaugeMetricFamily("coldwing_zones", "Zones known", value=len(zones))
        yield GaugeMetricFamily("coldwing_ready", "1 if ready", value=float(self._service.health().ready))


class RequestMetrics:
    """Counts requests and times those that are not streams, labelled by route, never by id."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        labels = ["method", "route", "status"]
        self._count = Counter("coldwing_http_requests", "HTTP requests answered", labels, registry=registry)
        self._seconds = Histogram("coldwing_http_request_seconds", "Time to answer", ["route"], registry=registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, stream, begin = 500, False, time.monotonic()

        async def sending(message: Message) -> None:
            nonlocal status, stream
            if message["type"] == "http.response.start":
                status = message["status"]
                stream = any(k == b"content-type" and v.startswith(b"text/event-stream") for k, v in message["headers"])
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._count.labels(method, route, str(status)).inc()
            if not stream:
                self._seconds.labels(route).observe(time.monotonic() - begin)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
