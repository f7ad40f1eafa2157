"""What a supervisor has to say to TaskState: numbered, kept until answered, said again after a reconnect, and bounded.

A pure structure: no clock, no stream. The session takes from it what may be sent and tells it what was answered.

- Every message gets its number when it takes its place in the order, which is when it can change no more. Progress takes
  its place as late as possible: a newer word about the same phase replaces an older one until then.
- A finish and an exit are kept until answered, however long TaskState is away; finishes up to a stated number and size.
- Log lines are kept up to a stated size for each attempt and in all; what is over is dropped, and a line says how many.
- Phase changes beyond a number for each attempt are reduced to the newest of each phase.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from taskstate.v1 import task_pb2, worker_service_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

AttemptKey = tuple[str, int]
"""Task id and fencing token."""

REQUEST_MESSAGES_MAX: Final = 1000
REQUEST_BYTES_MAX: Final = 1024 * 1024
OPEN_REQUESTS_MAX: Final = 2
"""How many requests may be unanswered. TaskState carries out one at a time, in one commit; the second waits there, so that
it is never idle, and what gathers behind them meanwhile is conflated and goes together."""
FINISHES_MAX: Final = 100
FINISH_BYTES_MAX: Final = 64 * 1024 * 1024
ATTEMPT_LOG_BYTES_MAX: Final = 4 * 1024 * 1024
LOG_BYTES_MAX: Final = 32 * 1024 * 1024
ATTEMPT_PHASES_MAX: Final = 512


@dataclass(slots=True)
class _Kept:
    """A message that has its number and no answer yet."""

    message: worker_service_pb2.WorkerMessage
    attempt: AttemptKey | None
    size: int
    request: int = 0
    """The number of the request that carries it on this stream; zero while it is unsent."""
    was_sent: bool = False
    """On this stream or on one before: TaskState may have acted on it."""


@dataclass(slots=True)
class _Attempt:
    """What is kept of one attempt."""

    sequences: set[int] = field(default_factory=set)
    progress: dict[str, worker_service_pb2.ReportProgress] = field(default_factory=dict)
    phases: int = 0
    log_bytes: int = 0
    dropped_lines: int = 0
    last_dropped: task_pb2.LogLine | None = None


class Outbox:
    """One supervisor's messages, over its whole life."""

    def __init__(self) -> None:
        self._last_sequence = 0
        self._kept: dict[int, _Kept] = {}
        self._attempts: dict[AttemptKey, _Attempt] = {}
        self._requests = 0
        self._open_requests: dict[int, int] = {}
        """How many messages of each request are unanswered."""
        self._finishes = 0
        self._finish_bytes = 0
        self._log_bytes = 0
        self._heartbeat: worker_service_pb2.Heartbeat | None = None
        self._resumes: list[worker_service_pb2.ResumeAttempt] = []

    # --- What is to be said.

    def next_sequence(self) -> int:
        """A number for a message that is not kept: a hello, a heartbeat, a good-bye."""
        self._last_sequence += 1
        return self._last_sequence

    def start(self, start: worker_service_pb2.StartAttempt) -> int:
        """Ask to start; answers the number by which the answer will be known."""
        return self._keep(worker_service_pb2.WorkerMessage(start=start), None)

    def progress(self, report: worker_service_pb2.ReportProgress) -> None:
        """Say how far an attempt is, instead of what was to be said about the same phase."""
        attempt = self._attempt(report.task_id, report.fencing_token)
        former = attempt.progress.get(report.phase_id)
        if former is None:
            attempt.progress[report.phase_id] = report
        else:
            # Fields that the newer word leaves unset stay as they were.
            former.MergeFrom(report)

    def phase(self, report: worker_service_pb2.ReportPhase) -> None:
        """Say that a phase changed its state."""
        key = (report.task_id, report.fencing_token)
        attempt = self._attempt(*key)
        self._number_progress(key, attempt)
        self._keep(worker_service_pb2.WorkerMessage(phase=report), key)
        attempt.phases += 1
        if attempt.phases > ATTEMPT_PHASES_MAX:
            self._reduce_phases(attempt)

    def logs(self, logs: worker_service_pb2.AppendLogs) -> None:
        """Say what an attempt logged, as far as there is room."""
        key = (logs.task_id, logs.fencing_token)
        attempt = self._attempt(*key)
        size = logs.ByteSize()
        if attempt.log_bytes + size > ATTEMPT_LOG_BYTES_MAX or self._log_bytes + size > LOG_BYTES_MAX:
            attempt.dropped_lines += len(logs.lines)
            attempt.last_dropped = logs.lines[-1]
            return
        self._tell_dropped_lines(key, attempt)
        self._keep(worker_service_pb2.WorkerMessage(logs=logs), key)

    def finish(self, finish: worker_service_pb2.FinishAttempt) -> bool:
        """Say an attempt's last word. Answers False, and keeps nothing, when too many wait already."""
        size = finish.ByteSize()
        if self._finishes >= FINISHES_MAX or self._finish_bytes + size > FINISH_BYTES_MAX:
            return False
        key = (finish.task_id, finish.fencing_token)
        self._close(key)
        self._keep(worker_service_pb2.WorkerMessage(finish=finish), key)
        self._finishes += 1
        self._finish_bytes += size
        return True

    def exited(self, exited: worker_service_pb2.AttemptExited) -> None:
        """Say that an attempt's process has gone."""
        key = (exited.task_id, exited.fencing_token)
        self._close(key)
        self._keep(worker_service_pb2.WorkerMessage(exited=exited), key)

    def receipt(self, receipt: worker_service_pb2.CancelReceipt) -> None:
        """Say that an order to stop got one step further."""
        key = (receipt.task_id, receipt.fencing_token)
        self._keep(worker_service_pb2.WorkerMessage(cancel_receipt=receipt), key)

    def release(self, task_id: str, dispatch: int) -> None:
        """Hand a message back that was taken and will not be started."""
        release = worker_service_pb2.ReleaseDispatch(task_id=task_id, dispatch=dispatch)
        self._keep(worker_service_pb2.WorkerMessage(release=release), None)

    def heartbeat(self, heartbeat: worker_service_pb2.Heartbeat) -> None:
        """Say that the supervisor lives, instead of a heartbeat that still waits. Not kept once sent."""
        self._heartbeat = heartbeat

    # --- What the session does.

    @property
    def has_unsent(self) -> bool:
        """Whether ``take`` would answer something, the window apart."""
        return (
            self._heartbeat is not None
            or bool(self._resumes)
            or any(not kept.request for kept in self._kept.values())
            or any(attempt.progress for attempt in self._attempts.values())
        )

    @property
    def is_empty(self) -> bool:
        """Whether everything was said and answered."""
        return not self._kept and not self.has_unsent

    def take(self) -> list[worker_service_pb2.WorkerMessage]:
        """The next messages to send, in order, bounded in number and bytes; empty when there are none or no room."""
        if len(self._open_requests) >= OPEN_REQUESTS_MAX:
            return []
        for key, attempt in self._attempts.items():
            self._number_progress(key, attempt)
        # Not kept: a stream that breaks before their answer is followed by one on which they are said anew.
        messages = [
            worker_service_pb2.WorkerMessage(sequence=self.next_sequence(), resume=resume) for resume in self._resumes
        ]
        self._resumes = []
        resumes, size = len(messages), 0
        all_of_them = True
        for kept in self._kept.values():
            if kept.request:
                continue
            size += kept.size
            if messages and (len(messages) >= REQUEST_MESSAGES_MAX - 1 or size > REQUEST_BYTES_MAX):
                all_of_them = False
                break
            kept.request, kept.was_sent = self._requests + 1, True
            messages.append(kept.message)
        if len(messages) > resumes:
            self._requests += 1
            self._open_requests[self._requests] = len(messages) - resumes
        if self._heartbeat is not None and all_of_them:
            # Behind all that is kept, so that a resumed attempt's words come in their order.
            messages.append(worker_service_pb2.WorkerMessage(sequence=self.next_sequence(), heartbeat=self._heartbeat))
            self._heartbeat = None
        return messages

    def answered(self, sequence: int) -> bool:
        """A message was answered, in whatever way. Answers False when it was none that is kept: an answer come twice."""
        kept = self._kept.pop(sequence, None)
        if kept is None:
            return False
        if kept.request:
            self._open_requests[kept.request] -= 1
            if not self._open_requests[kept.request]:
                del self._open_requests[kept.request]
        self._forget(sequence, kept)
        return True

    def resend(self, held: Sequence[worker_service_pb2.ResumeAttempt] = ()) -> None:
        """A new stream begins: the attempts in ``held`` move to it, then everything unanswered is said again."""
        self._resumes = list(held)
        for kept in self._kept.values():
            kept.request = 0
        self._open_requests.clear()

    def withdraw(self, sequence: int) -> bool:
        """Take back a message that was never sent. Answers False when it was, or is not kept."""
        kept = self._kept.get(sequence)
        if kept is None or kept.was_sent:
            return False
        return self.answered(sequence)

    def drop_attempt(self, task_id: str, fencing_token: int) -> None:
        """Forget what was to be said about an attempt: it is over for this supervisor.

        Not so its exit and how it was signalled, which TaskState wants to know of an ended attempt too.
        """
        attempt = self._attempts.pop((task_id, fencing_token), None)
        for sequence in sorted(attempt.sequences) if attempt else ():
            if self._kept[sequence].message.WhichOneof("body") not in ("exited", "cancel_receipt"):
                self.answered(sequence)

    # --- How it is kept.

    def _attempt(self, task_id: str, fencing_token: int) -> _Attempt:
        return self._attempts.setdefault((task_id, fencing_token), _Attempt())

    def _keep(self, message: worker_service_pb2.WorkerMessage, key: AttemptKey | None) -> int:
        sequence = message.sequence = self.next_sequence()
        kept = _Kept(message, key, message.ByteSize())
        self._kept[sequence] = kept
        if key is not None:
            attempt = self._attempt(*key)
            attempt.sequences.add(sequence)
            if message.HasField("logs"):
                attempt.log_bytes += kept.size
                self._log_bytes += kept.size
        return sequence

    def _forget(self, sequence: int, kept: _Kept) -> None:
        if kept.message.HasField("finish"):
            self._finishes -= 1
            self._finish_bytes -= kept.message.finish.ByteSize()
        attempt = self._attempts.get(kept.attempt) if kept.attempt else None
        logs = kept.size if kept.message.HasField("logs") else 0
        self._log_bytes -= logs
        if attempt is None or kept.attempt is None:
            return
        attempt.sequences.discard(sequence)
        attempt.log_bytes -= logs
        attempt.phases -= kept.message.HasField("phase")
        if not attempt.sequences and not attempt.progress and not attempt.dropped_lines:
            del self._attempts[kept.attempt]

    def _number_progress(self, key: AttemptKey, attempt: _Attempt) -> None:
        reports, attempt.progress = attempt.progress, {}
        for report in reports.values():
            self._keep(worker_service_pb2.WorkerMessage(progress=report), key)

    def _close(self, key: AttemptKey) -> None:
        """Put everything that waits for a better place in front of an attempt's last words."""
        attempt = self._attempts.get(key)
        if attempt is not None:
            self._number_progress(key, attempt)
            self._tell_dropped_lines(key, attempt)

    def _tell_dropped_lines(self, key: AttemptKey, attempt: _Attempt) -> None:
        if attempt.last_dropped is None:
            return
        line = task_pb2.LogLine(
            # The number of a dropped line is free, and stands at the right place.
            sequence=attempt.last_dropped.sequence,
            attempt=attempt.last_dropped.attempt,
            level=task_pb2.LOG_LEVEL_WARNING,
            time=attempt.last_dropped.time,
            text=f"{attempt.dropped_lines} log lines were dropped by the worker, as too many waited for TaskState",
            logger="taskstate",
        )
        attempt.dropped_lines, attempt.last_dropped = 0, None
        logs = worker_service_pb2.AppendLogs(task_id=key[0], fencing_token=key[1], lines=[line])
        self._keep(worker_service_pb2.WorkerMessage(logs=logs), key)

    def _reduce_phases(self, attempt: _Attempt) -> None:
        seen: set[str] = set()
        for sequence in sorted(attempt.sequences, reverse=True):
            kept = self._kept[sequence]
            if not kept.message.HasField("phase"):
                continue
            phase_id = kept.message.phase.phase_id
            if phase_id in seen and not kept.was_sent:
                self.answered(sequence)
            seen.add(phase_id)
