"""The task as the domain knows it: frozen values, no behaviour beyond plain questions about themselves.

A task is an immutable specification (`Spec`, with its `Policy`), the small changing status, the newest attempt, and what
came of it, all as one flat value. Flat, because a decision answers "these fields change" and the audit trail keeps just
that: the new task is the old one plus the changes of one event, so that the history folds back into the state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class TaskState(StrEnum):
    """Where a task stands; see DESIGN section 3. The names are those of the proto without prefix."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    LOST = "LOST"


ACTIVE_STATES = frozenset({TaskState.PENDING, TaskState.QUEUED, TaskState.RUNNING, TaskState.RETRYING})
WAITING_STATES = frozenset({TaskState.PENDING, TaskState.QUEUED, TaskState.RETRYING})
TERMINAL_STATES = frozenset(TaskState) - ACTIVE_STATES


class Reason(StrEnum):
    """Why a task stands where it stands; the empty string where the state says it all."""

    NONE = ""
    ERROR = "ERROR"
    TIMEOUT = "TIMEOUT"
    STALLED = "STALLED"
    FORCE_CANCELLED = "FORCE_CANCELLED"
    WORKER_LOST = "WORKER_LOST"
    WORKER_DRAINED = "WORKER_DRAINED"
    ENQUEUE_FAILED = "ENQUEUE_FAILED"
    DEPENDENCY_FAILED = "DEPENDENCY_FAILED"
    RESET = "RESET"
    ADOPTED = "ADOPTED"


class WaitReason(StrEnum):
    """What a pending or retrying task waits for; the empty string when it waits for nothing."""

    NONE = ""
    DISPATCH = "DISPATCH"
    TIME = "TIME"
    DEPENDENCY = "DEPENDENCY"
    SLOT = "SLOT"
    PREVIOUS_PROCESS = "PREVIOUS_PROCESS"
    NO_WORKER = "NO_WORKER"
    PAUSED = "PAUSED"


class PhaseState(StrEnum):
    """Where a phase stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


KILL_GRACE = timedelta(seconds=15)
"""From an attempt's end until its process is given up, if its holder is dead too."""

PHASE_ENDED = frozenset({PhaseState.DONE, PhaseState.FAILED, PhaseState.SKIPPED})


class EventKind(StrEnum):
    """What happened."""

    CREATED = "CREATED"
    WAITING = "WAITING"
    HANDED_OUT = "HANDED_OUT"
    QUEUED = "QUEUED"
    STARTED = "STARTED"
    PHASE = "PHASE"
    FINISHED = "FINISHED"
    EXITED = "EXITED"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    CANCEL_ADVANCED = "CANCEL_ADVANCED"
    SUSPECTED = "SUSPECTED"
    RESUMED = "RESUMED"
    LIVENESS = "LIVENESS"
    EXPIRED = "EXPIRED"
    GIVEN_UP = "GIVEN_UP"
    RELEASED = "RELEASED"


class Liveness(StrEnum):
    """How sure we are that a running attempt lives; the empty string when none runs."""

    NONE = ""
    LIVE = "LIVE"
    SUSPECT = "SUSPECT"
    UNRESPONSIVE = "UNRESPONSIVE"


class CancelOutcome(StrEnum):
    """How a request to stop came out; the empty string while it is under way."""

    NONE = ""
    CONFIRMED = "CONFIRMED"
    UNCONFIRMED = "UNCONFIRMED"
    TOO_LATE = "TOO_LATE"


class ExitCause(StrEnum):
    """Why a supervisor ended a process; the empty string when it did not."""

    NONE = ""
    DRAINED = "DRAINED"
    TIMEOUT = "TIMEOUT"
    STALLED = "STALLED"
    LEASE_UNSURE = "LEASE_UNSURE"
    ORDERED = "ORDERED"


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of a task; sub-phases have dotted ids."""

    id: str
    name: str
    state: PhaseState = PhaseState.PENDING
    done: float = 0.0
    total: float | None = None
    message: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """The supervisor that holds an attempt, and the work-horse below it."""

    worker_id: str
    host: str
    pid: int
    boot_id: str
    queues: tuple[str, ...] = ()
    horse_pid: int = 0


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """What the operating system told about the end of a process."""

    exit_code: int = 0
    signal: int = 0
    peak_memory_bytes: int = 0
    cpu_s: float = 0.0
    exit_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """The receipt of a request to stop: what has happened to it so far."""

    force: bool
    request_time: datetime
    deadline_time: datetime
    deliver_time: datetime | None = None
    signal_time: datetime | None = None
    exit_time: datetime | None = None
    outcome: CancelOutcome = CancelOutcome.NONE


@dataclass(frozen=True, slots=True)
class TaskError:
    """The error an attempt ended with."""

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class TaskType:
    """What workers declare about a type; a create's own fields win over it."""

    name: str
    queue: str
    timeout_s: float | None = None
    stall_timeout_s: float | None = None
    max_attempts: int = 1
    retry_on_loss: bool = False
    phases: tuple[tuple[str, str], ...] = ()
    description: str = ""
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Spec:
    """What was asked for. Never changes."""

    task_id: str
    type: str
    create_time: datetime
    create_revision: int
    namespace: str = "default"
    group: str = ""
    name: str = ""
    job_type: str = "manual"
    trigger_source: str = ""
    payload: str = "{}"
    request_id: str = ""
    request_hash: str = ""
    priority: int = 0
    retry_of: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """One task: its spec, its policy, its status, its newest attempt and its outcome."""

    spec: Spec

    # The policy. While `policy_frozen` is false these are only what the creator said; None is "as the type says".
    policy_frozen: bool = False
    queue: str | None = None
    timeout_s: float | None = None
    stall_timeout_s: float | None = None
    max_attempts: int | None = None
    retry_on_loss: bool | None = None
    exclusive: bool = False

    # The status: what moves.
    state: TaskState = TaskState.PENDING
    reason: Reason = Reason.NONE
    wait_reason: WaitReason = WaitReason.NONE
    dispatch: int = 0
    handed_out_time: datetime | None = None
    due_time: datetime | None = None
    slot: str | None = None
    attempt: int = 0
    uncounted: int = 0
    liveness: Liveness = Liveness.NONE
    suspect_until: datetime | None = None
    cancel: Cancel | None = None
    end_time: datetime | None = None
    event_revision: int = 0

    # The hot part: what progress writes, many times a second.
    revision: int = 0
    sequence: int = 0
    done: float = 0.0
    total: float | None = None
    message: str = ""
    phase: str = ""
    phases: tuple[Phase, ...] = ()
    items_processed: int = 0
    items_failed: int = 0
    heard_time: datetime | None = None

    # The newest attempt.
    fencing_token: int = 0
    start_id: str = ""
    replica_id: str = ""
    stream_id: str = ""
    worker: Worker | None = None
    start_time: datetime | None = None
    attempt_end_time: datetime | None = None
    gone_time: datetime | None = None
    exit: ProcessExit | None = None
    error: TaskError | None = None

    # The outcome. `result` is None when there is none, or when it was too big to be loaded (`result_size` tells).
    result: str | None = None
    result_size: int = 0

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self.spec.task_id

    @property
    def slot_name(self) -> str | None:
        """The name of the slots it competes for: its group's, within its namespace. None without a group."""
        return f"{self.spec.namespace}/{self.spec.group}" if self.spec.group else None

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ACTIVE_STATES

    @property
    def previous_process_remains(self) -> bool:
        """Whether an attempt has ended whose process has not been seen to go: its successor must wait."""
        return self.attempt > 0 and self.attempt_end_time is not None and self.gone_time is None

    @property
    def kill_deadline(self) -> datetime | None:
        """Until when an ended attempt's process is waited for though nobody is left to see it go."""
        if self.attempt_end_time is None or self.gone_time is not None:
            return None
        return self.attempt_end_time + KILL_GRACE

    @property
    def attempts_remain(self) -> bool:
        """Whether another attempt is allowed after this one; drained ones do not count."""
        return self.attempt - self.uncounted < (self.max_attempts or 1)

    @property
    def is_unstarted(self) -> bool:
        """Whether a queue message of it is, or may be, waiting to be taken."""
        return self.state is TaskState.QUEUED or (
            self.state in (TaskState.PENDING, TaskState.RETRYING) and self.handed_out_time is not None
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One transition: a row of the audit trail. `changes` holds the fields that changed, JSON-ready."""

    revision: int
    namespace: str
    task_id: str
    kind: EventKind
    from_state: TaskState | None
    to_state: TaskState
    reason: Reason
    message: str
    attempt: int
    actor: str
    time: datetime
    operation_id: str = ""
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line a task logged. `sequence` is `attempt << 32 | n`."""

    sequence: int
    attempt: int
    level: int
    time: datetime
    text: str
    logger: str = ""
