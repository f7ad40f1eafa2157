"""Logging of the worker's processes: one line per record on stderr, as JSON or for people.

The keys are those of the services (time, level, service, logger, event, message, then what the call added), so that one
search finds a task in all of them. The SDK cannot import the services' own set-up: users install it without them.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from typing import Final

_RECORD_FIELDS: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "event", "taskName"}


def configure_worker_logging(service: str, level: str, log_format: str) -> logging.Handler:
    """Send all logging of this process to stderr. Replaces any former set-up, and answers the handler."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(service, as_json=log_format == "json"))
    handler.setLevel(level)
    root = logging.getLogger()
    for former in root.handlers[:]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
    # RQ tells each message's coming and going at INFO; our own lines say it once, with the task's id.
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    return handler


class _Formatter(logging.Formatter):
    def __init__(self, service: str, *, as_json: bool) -> None:
        super().__init__()
        self._service = service
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        time = moment.replace("+00:00", "Z")
        extras = {key: value for key, value in record.__dict__.items() if key not in _RECORD_FIELDS}
        if not self._as_json:
            return self._text(record, time, extras)
        fields = {
            "time": time,
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "event": getattr(record, "event", "log"),
            "message": record.getMessage(),
            **extras,
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)

    def _text(self, record: logging.LogRecord, time: str, extras: dict[str, object]) -> str:
        words = record.getMessage() + "".join(f" {key}={value}" for key, value in extras.items())
        # What a task wrote may hold line ends and terminal controls; a log line must not pass them on.
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)
        line = f"{time[11:23]} {record.levelname:<7} {self._service}: {shown}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
