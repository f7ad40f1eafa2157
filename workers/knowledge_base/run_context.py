"""What the pipeline needs from whoever runs it: a small part of the SDK's task context, as a protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import logging
    from contextlib import AbstractContextManager


class PhaseHandle(Protocol):
    """A phase that is running."""

    def skip(self, reason: str) -> None:
        """Mark the phase as skipped. The reason is shown to people; the body ends on its own."""


class RunContext(Protocol):
    """The running task, as the pipeline sees it."""

    @property
    def log(self) -> logging.Logger | logging.LoggerAdapter[logging.Logger]:
        """Lines written here belong to the task."""

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked this task to stop."""

    def phase(self, phase_id: str) -> AbstractContextManager[PhaseHandle]:
        """Enter a phase; one opened inside another gets a dotted id."""

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far the open phase is. Never blocks."""

    def items(self, *, processed: int | None = None, failed: int | None = None) -> None:
        """Set how many documents were processed, and how many failed, so far."""
