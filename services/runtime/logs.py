"""Logging of a service process: standard logging, one line per record on stderr.

A call looks like ``log.info("listening on port 50051", extra={"event": "listening", "port": 50051})``. The ``event`` is
what machines wait for and count; it is a fixed word for each place in the code, while the message is for people. Fields
with a common meaning have common names: ``task_id``, ``attempt``, ``revision``, ``trace_id``.
"""

import datetime as dt
import json
import logging
import sys
from typing import Final

from opentelemetry import trace

DEFAULT_EVENT: Final = "log"

_RECORD_FIELDS: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "event", "taskName"}


def configure_logging(service: str, level: str, log_format: str) -> None:
    """Sends all logging of this process to stderr, in one format.

    ``level`` is a name of standard logging; ``log_format`` is "json" (one object a line) or "text" (for people). May be
    called again, which replaces the former set-up. Warnings of Python's ``warnings`` module are logged as well.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service) if log_format == "json" else TextFormatter(service))
    root = logging.getLogger()
    for former in root.handlers[:]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)


class JsonFormatter(logging.Formatter):
    """A record as one JSON object: time, level, service, logger, event, message, then what the call added."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, whatever its message holds."""
        fields: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "event": getattr(record, "event", DEFAULT_EVENT),
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class TextFormatter(logging.Formatter):
    """A record for a person at a terminal: time, level, service, message, then ``key=value`` of what the call added."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, followed by its traceback if it has one."""
        extras = "".join(f" {key}={value}" for key, value in _extras(record).items())
        # A task's name or an error's text may hold line ends and terminal controls; a log line must not pass them on.
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in record.getMessage() + extras)
        line = f"{_time(record)[11:23]} {record.levelname:<7} {self._service}: {text}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _time(record: logging.LogRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extras(record: logging.LogRecord) -> dict[str, object]:
    extras = {key: value for key, value in record.__dict__.items() if key not in _RECORD_FIELDS}
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        extras.setdefault("trace_id", trace.format_trace_id(context.trace_id))
    return extras
