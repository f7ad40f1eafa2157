"""A run context that remembers what it was told: drives a task's code without a worker."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class RecordedPhase:
    """One phase that was entered."""

    id: str
    state: str = "running"
    reason: str = ""

    def skip(self, reason: str) -> None:
        self.state, self.reason = "skipped", reason


@dataclass
class RecordedProgress:
    phase: str
    done: float
    total: float | None
    message: str


@dataclass
class RecordingContext:
    """Records phases, progress, items and log lines; `cancel_when` is asked at each look at `cancelled`."""

    cancel_when: Callable[[RecordingContext], bool] = field(default=lambda _: False)
    phases: list[RecordedPhase] = field(default_factory=list)
    reports: list[RecordedProgress] = field(default_factory=list)
    processed: int = 0
    failed: int = 0
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._open: list[str] = []
        self._log = logging.Logger("recording")  # noqa: LOG001 - not registered: one for each context
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(record.getMessage())  # type: ignore[method-assign]
        self._log.addHandler(handler)

    @property
    def log(self) -> logging.Logger:
        return self._log

    @property
    def cancelled(self) -> bool:
        return self.cancel_when(self)

    @contextmanager
    def phase(self, phase_id: str) -> Iterator[RecordedPhase]:
        phase = RecordedPhase(phase_id)
        self.phases.append(phase)
        self._open.append(phase_id)
        try:
            yield phase
        except BaseException:
            phase.state = "failed"
            raise
        finally:
            self._open.pop()
        if phase.state == "running":
            phase.state = "done"

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        self.reports.append(RecordedProgress(self._open[-1] if self._open else "", done, total, message or ""))

    def items(self, *, processed: int | None = None, failed: int | None = None) -> None:
        self.processed = self.processed if processed is None else processed
        self.failed = self.failed if failed is None else failed

    def states(self) -> dict[str, str]:
        """The state of each phase, in the order in which they were entered."""
        return {phase.id: phase.state for phase in self.phases}

    def reason(self, phase_id: str) -> str:
        return next(phase.reason for phase in self.phases if phase.id == phase_id)
