"""What an attempt has to say and has not sent yet: conflated where it may be, bounded everywhere.

The task's threads write, one sending thread takes. Progress is a slot for each phase, in which a newer word replaces an
older one; a phase change first closes the slots, so that what was said before it stays before it. Log lines are a list.
No lock is held for longer than a few assignments, and nothing here waits for a socket.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from taskstate.v1 import task_pb2, work_horse_pb2, worker_service_pb2
from taskstate.worker.text import fit_label, fit_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    PhaseWord = Literal["running", "done", "failed", "skipped"]

MESSAGE_BYTES_MAX: Final = 1024
LOG_LINE_BYTES_MAX: Final = 8 * 1024
LABEL_CHARACTERS_MAX: Final = 200
LOG_LINES_MAX: Final = 10_000
"""Of one attempt, the line that counts the dropped ones included."""
UNSENT_LOG_BYTES_MAX: Final = 4 * 1024 * 1024
BATCH_LINES_MAX: Final = 1000
BATCH_BYTES_MAX: Final = 256 * 1024
ORDERED_MAX: Final = 1024
"""Phase changes, with the progress between them, that may wait; beyond that only the newest of each phase is kept."""

_PHASE_STATES: Final = {
    "running": task_pb2.PHASE_STATE_RUNNING,
    "done": task_pb2.PHASE_STATE_DONE,
    "failed": task_pb2.PHASE_STATE_FAILED,
    "skipped": task_pb2.PHASE_STATE_SKIPPED,
}


@dataclass(slots=True)
class _Progress:
    """The newest word about one phase; None leaves what was said before."""

    phase_id: str
    done: float | None = None
    total: float | None = None
    message: str | None = None
    items_processed: int | None = None
    items_failed: int | None = None

    def request(self) -> work_horse_pb2.LocalRequest:
        message = None if self.message is None else fit_text(self.message, MESSAGE_BYTES_MAX)
        return work_horse_pb2.LocalRequest(
            progress=worker_service_pb2.ReportProgress(
                phase_id=self.phase_id,
                done=self.done,
                total=self.total,
                message=message,
                items_processed=self.items_processed,
                items_failed=self.items_failed,
            )
        )


@dataclass(slots=True)
class _PhaseChange:
    phase_id: str
    name: str
    state: PhaseWord
    message: str

    def request(self) -> work_horse_pb2.LocalRequest:
        return work_horse_pb2.LocalRequest(
            phase=worker_service_pb2.ReportPhase(
                phase_id=self.phase_id,
                name=fit_label(self.name, LABEL_CHARACTERS_MAX),
                state=_PHASE_STATES[self.state],
                message=fit_text(self.message, MESSAGE_BYTES_MAX),
            )
        )


@dataclass(slots=True)
class _Line:
    number: int
    level: task_pb2.LogLevel
    time_s: float
    text: str
    logger: str


@dataclass(slots=True)
class _Waiting:
    """All that waits to be sent; swapped for an empty one when it is taken."""

    ordered: list[_Progress | _PhaseChange] = field(default_factory=list)
    slots: dict[str, _Progress] = field(default_factory=dict)
    lines: list[_Line] = field(default_factory=list)
    line_bytes: int = 0


class Outgoing:
    """What an attempt has to say. ``wake`` is called, in the writing thread, when there is something after nothing."""

    def __init__(self, *, attempt: int = 1, wake: Callable[[], None] | None = None) -> None:
        self._attempt = attempt
        self._wake = wake
        self._woken = False
        self._lock = threading.Lock()
        self._waiting = _Waiting()
        self._lines_accepted = 0
        self._lines_dropped = 0
        self._closed = False

    def progress(self, phase_id: str, done: float, total: float | None, message: str | None) -> None:
        """Replace what waits to be said about a phase ("" for the task as a whole)."""
        with self._lock:
            if self._closed:
                return
            slot = self._slot(phase_id)
            slot.done = done
            slot.total = total if total is not None else slot.total
            slot.message = message if message is not None else slot.message
        self._tell()

    def items(self, processed: int | None, failed: int | None) -> None:
        """Replace the waiting counts; None leaves a count."""
        with self._lock:
            if self._closed:
                return
            # The counts are of the whole attempt, so any slot carries them; an open one saves a message.
            slot = next(iter(self._waiting.slots.values()), None) or self._slot("")
            slot.items_processed = processed if processed is not None else slot.items_processed
            slot.items_failed = failed if failed is not None else slot.items_failed
        self._tell()

    def phase(self, phase_id: str, name: str, state: PhaseWord, message: str) -> None:
        """Append a phase change, after all progress that was said before it."""
        with self._lock:
            if self._closed:
                return
            waiting = self._waiting
            waiting.ordered += waiting.slots.values()
            waiting.slots = {}
            waiting.ordered.append(_PhaseChange(phase_id, name, state, message))
            if len(waiting.ordered) > ORDERED_MAX:
                waiting.ordered = _newest_of_each(waiting.ordered)
        self._tell()

    def log(self, level: task_pb2.LogLevel, time_s: float, text: str, logger: str) -> None:
        """Append a line. Beyond the limits a line is dropped, and the last line of the attempt tells how many were."""
        text = fit_text(text, LOG_LINE_BYTES_MAX)
        with self._lock:
            if self._closed:
                return
            waiting = self._waiting
            size = len(text)
            if self._lines_accepted >= LOG_LINES_MAX - 1 or waiting.line_bytes + size > UNSENT_LOG_BYTES_MAX:
                self._lines_dropped += 1
                return
            self._lines_accepted += 1
            waiting.line_bytes += size
            waiting.lines.append(_Line(self._lines_accepted, level, time_s, text, logger))
        self._tell()

    def take(self) -> list[work_horse_pb2.LocalRequest]:
        """All that waits, as messages in order; empty when nothing does."""
        with self._lock:
            waiting, self._waiting = self._waiting, _Waiting()
            self._woken = False
        requests = [entry.request() for entry in (*waiting.ordered, *waiting.slots.values())]
        requests += _log_batches(self._attempt, waiting.lines)
        return requests

    def take_last(self, time_s: float) -> list[work_horse_pb2.LocalRequest]:
        """All that waits, then the count of dropped lines if there were any; nothing is accepted afterwards."""
        with self._lock:
            dropped = self._lines_dropped
            if dropped:
                self._lines_accepted += 1
                self._waiting.lines.append(
                    _Line(
                        self._lines_accepted,
                        task_pb2.LOG_LEVEL_WARNING,
                        time_s,
                        f"{dropped} log lines were dropped: an attempt keeps {LOG_LINES_MAX}, and not too many at once",
                        "taskstate",
                    )
                )
            self._closed = True
        return self.take()

    def forget_after_fork(self) -> None:
        """In a forked child of the task: accept and hold nothing. The lock is new, as another thread may have held it."""
        self._lock = threading.Lock()
        self._waiting = _Waiting()
        self._closed = True
        self._wake = None

    def _slot(self, phase_id: str) -> _Progress:
        slot = self._waiting.slots.get(phase_id)
        if slot is None:
            slot = self._waiting.slots[phase_id] = _Progress(phase_id)
        return slot

    def _tell(self) -> None:
        # Read without the lock: a stale True costs at most one interval of delay, as the sender takes again after each
        # send; a stale False costs one more wake.
        if not self._woken and self._wake is not None:
            self._woken = True
            self._wake()


def _newest_of_each(entries: list[_Progress | _PhaseChange]) -> list[_Progress | _PhaseChange]:
    """Only the newest change and the newest progress of each phase, in their order."""
    newest: dict[tuple[type, str], _Progress | _PhaseChange] = {}
    for entry in reversed(entries):
        newest.setdefault((type(entry), entry.phase_id), entry)
    return list(reversed(newest.values()))


def _log_batches(attempt: int, lines: list[_Line]) -> Iterator[work_horse_pb2.LocalRequest]:
    """The lines in messages of bounded size."""
    batch, size = worker_service_pb2.AppendLogs(), 0
    for line in lines:
        if len(batch.lines) >= BATCH_LINES_MAX or (size and size + 4 * len(line.text) > BATCH_BYTES_MAX):
            yield work_horse_pb2.LocalRequest(logs=batch)
            batch, size = worker_service_pb2.AppendLogs(), 0
        row = batch.lines.add(
            sequence=attempt << 32 | line.number,
            attempt=attempt,
            level=line.level,
            text=line.text,
            logger=fit_label(line.logger, LABEL_CHARACTERS_MAX),
        )
        row.time.FromNanoseconds(round(line.time_s * 1e9))
        size += 4 * len(line.text)
    if batch.lines:
        yield work_horse_pb2.LocalRequest(logs=batch)
