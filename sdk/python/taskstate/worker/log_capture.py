"""A logging handler that makes standard logging's lines the task's own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from taskstate.v1 import task_pb2

if TYPE_CHECKING:
    from taskstate.worker.outgoing import Outgoing

_NOT_CAPTURED: Final = "taskstate.worker"
"""The worker's own loggers: their lines are about the sending of lines."""


class LogCapture(logging.Handler):
    """Hands every record to the attempt; keeps nothing itself."""

    def __init__(self, outgoing: Outgoing) -> None:
        super().__init__()
        self._outgoing = outgoing
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Add the record's text, with its traceback if it has one, to what the attempt says."""
        if record.name == _NOT_CAPTURED or record.name.startswith(_NOT_CAPTURED + "."):
            return
        try:
            self._outgoing.log(log_level(record.levelno), record.created, self.format(record), record.name)
        except Exception:  # noqa: BLE001 - the task's arguments may fail to format; logging reports that in its own way.
            self.handleError(record)


class TaskFields(logging.Filter):
    """Adds the attempt's identity to each record, for the lines that go to stderr."""

    def __init__(self, task_id: str, attempt: int) -> None:
        super().__init__()
        self._task_id = task_id
        self._attempt = attempt

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass, with two more fields."""
        record.task_id = self._task_id
        record.attempt = self._attempt
        return True


def log_level(number: int) -> task_pb2.LogLevel:
    """The API's level for a level of Python's logging."""
    if number >= logging.CRITICAL:
        return task_pb2.LOG_LEVEL_CRITICAL
    if number >= logging.ERROR:
        return task_pb2.LOG_LEVEL_ERROR
    if number >= logging.WARNING:
        return task_pb2.LOG_LEVEL_WARNING
    if number >= logging.INFO:
        return task_pb2.LOG_LEVEL_INFO
    return task_pb2.LOG_LEVEL_DEBUG
