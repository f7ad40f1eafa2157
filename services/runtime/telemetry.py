"""Tracing of a service process, with the OpenTelemetry SDK.

Spans are always made, so that the log lines written inside one share a ``trace_id``; unless asked for, they are not
recorded and cost next to nothing. ``TASKSTATE_TRACES=log`` writes each finished span as a log line, which needs no
collector; a deployment that has one adds its exporter to ``opentelemetry.trace.get_tracer_provider()``.
"""

import logging
import os
import socket
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

log = logging.getLogger(__name__)


def configure_telemetry(service: str, traces: str = "off") -> None:
    """Installs the process's tracer provider. Call once, before the first span; ``traces`` is "off" or "log"."""
    trace.set_tracer_provider(new_tracer_provider(service, traces))


def new_tracer_provider(service: str, traces: str) -> TracerProvider:
    """A tracer provider that names this process in every span."""
    resource = Resource.create(
        {
            "service.namespace": "taskstate",
            "service.name": service,
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        }
    )
    if traces == "off":
        return TracerProvider(resource=resource, sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider = TracerProvider(resource=resource, sampler=ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(LogSpanExporter()))
    return provider


class LogSpanExporter(SpanExporter):
    """Writes finished spans to the log: no collector, nothing buffered, nothing to flush at the end."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Logs the spans, each with its ids and its duration in milliseconds."""
        for span in spans:
            context = span.context
            fields: dict[str, object] = {"event": "span", "span": span.name, **(span.attributes or {})}
            if span.start_time is not None and span.end_time is not None:
                fields["duration_ms"] = (span.end_time - span.start_time) / 1e6
            if context is not None:
                fields["trace_id"] = trace.format_trace_id(context.trace_id)
                fields["span_id"] = trace.format_span_id(context.span_id)
            log.info("span %s ended", span.name, extra=fields)
        return SpanExportResult.SUCCESS
