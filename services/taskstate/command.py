"""What may be asked of the pipeline, as frozen values, and what comes back.

A command names one task. Commands about an attempt carry its fencing token, so that each can be judged by itself however
late it comes; `sequence` is the supervisor's own message number, by which a double is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.taskstate.model import Event, ExitCause, PhaseState, ProcessExit, Task, TaskError, WaitReason, Worker


class Priority(StrEnum):
    """Which of the pipeline's two queues a command waits in."""

    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Common to all: the task, and who asks."""

    task_id: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTask(Command):
    """Accept a task. None in a policy field means "as the type says"."""

    namespace: str = "default"
    type: str
    payload: str = "{}"
    request_id: str = ""
    request_hash: str = ""
    queue: str | None = None
    group: str = ""
    name: str = ""
    job_type: str = "manual"
    trigger_source: str = ""
    priority: int = 0
    timeout_s: float | None = None
    stall_timeout_s: float | None = None
    max_attempts: int | None = None
    retry_on_loss: bool | None = None
    not_before_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteWait(Command):
    """Record what a due task really waits for, as the dispatch plan saw it."""

    wait_reason: WaitReason


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOut(Command):
    """Take the task for putting it into its queue; holds its group's slot from here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmDispatch(Command):
    """The message with this number is in the queue."""

    dispatch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAttempt(Command):
    """A work-horse took the message and asks to start. `start_id` makes a repeated question get the same answer."""

    dispatch: int
    start_id: str
    worker: Worker
    replica_id: str
    stream_id: str
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCommand(Command):
    """Common to all that speak of a held attempt."""

    fencing_token: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportProgress(AttemptCommand):
    """How far the attempt is. None leaves a field as it is."""

    phase_id: str = ""
    done: float | None = None
    total: float | None = None
    message: str | None = None
    items_processed: int | None = None
    items_failed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPhase(AttemptCommand):
    """A phase begins or ends."""

    phase_id: str
    state: PhaseState
    name: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HearAttempt(AttemptCommand):
    """The supervisor vouches that the attempt's process gave a sign of life `age_s` ago."""

    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishAttempt(AttemptCommand):
    """The attempt's last word: a result (JSON text, None for nothing) or an error."""

    result: str | None = None
    error: TaskError | None = None
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptExited(AttemptCommand):
    """The attempt's process has gone. `cause` says why the supervisor ended it, if it did."""

    exit: ProcessExit | None = None
    cause: ExitCause = ExitCause.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTask(Command):
    """Stop a task; with `force` its state ends at once."""

    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceCancel(AttemptCommand):
    """An order to stop was handed to the task, or (`signalled`) its process was sent a signal."""

    signalled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectAttempt(Command):
    """The stream that carries the attempt broke; it has `grace_s` to come back, an exclusive one `lease_s`.

    Said again it extends the grace.
    """

    replica_id: str
    stream_id: str
    grace_s: float
    lease_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeAttempt(AttemptCommand):
    """The supervisor is back, on this stream of this replica."""

    replica_id: str
    stream_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireAttempt(Command):
    """End what is over: a vanished holder, an ended grace, a passed deadline. `replica_id` carries the sweep."""

    replica_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseDispatch(Command):
    """A queue message was taken and will not be started."""

    dispatch: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The command holds. `event` is None for progress, and for a double or a report that changes nothing (`no_op`)."""

    task: Task
    event: Event | None = None
    no_op: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The command changed nothing. `reason` is a name of the proto's ErrorReason without prefix."""

    reason: str
    message: str
    metadata: dict[str, str] = field(default_factory=dict)


Outcome = Accepted | Refused
