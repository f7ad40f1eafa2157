"""What the gateway counts about itself, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from services.gateway.fan_out import FanOut
    from services.gateway.shared_watch import SharedWatch

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The metrics of one process. A registry of its own, so that tests may run several gateways."""

    def __init__(self) -> None:
        # The time of each series' first count doubles the page and tells nothing that a scrape does not.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "taskstate_gateway_requests_total",
            "Answered requests by method, route and status; streams when they end.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "taskstate_gateway_request_seconds",
            "Time from a request's head to the end of its answer, streams left out.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.streams_open = Gauge("taskstate_gateway_streams_open", "Event streams open now.", registry=self.registry)
        self.streams_stalled = Counter(
            "taskstate_gateway_streams_stalled_total",
            "Streams cut off because their reader took nothing.",
            registry=self.registry,
        )

    def observe_watch(self, fan_out: FanOut, watch: SharedWatch) -> None:
        """Show how far the shared watch is."""
        self.registry.register(_WatchCollector(fan_out, watch))

    def page(self) -> bytes:
        """Write all metrics in Prometheus's text format."""
        return generate_latest(self.registry)


class _WatchCollector(Collector):
    """Reads the watch's own figures when asked, so that its hot path keeps plain integers."""

    def __init__(self, fan_out: FanOut, watch: SharedWatch) -> None:
        self._fan_out = fan_out
        self._watch = watch

    def collect(self) -> Iterator[Metric]:
        """Answer the figures of this moment."""
        yield GaugeMetricFamily(
            "taskstate_gateway_watch_revision", "Revision up to which changes were published.", self._fan_out.revision
        )
        yield GaugeMetricFamily(
            "taskstate_gateway_watch_connected",
            "1 while the shared watch hears of TaskState.",
            int(self._fan_out.connected),
        )
        if self._watch.age_s is not None:
            # Left out before the first answer: 0 would claim that it is fresh.
            yield GaugeMetricFamily(
                "taskstate_gateway_watch_age_seconds",
                "Seconds since the shared watch last heard of TaskState; checkpoints come every 2 s.",
                self._watch.age_s,
            )
        yield CounterMetricFamily(
            "taskstate_gateway_changes_published", "Changes the shared watch published.", self._fan_out.published_count
        )
        yield CounterMetricFamily(
            "taskstate_gateway_streams_behind",
            "Times a stream's queue overflowed and was dropped; the stream caught up from its cursor.",
            self._fan_out.behind_count,
        )
