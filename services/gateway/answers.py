"""What clients get, for the interface's own description (OpenAPI).

The answers are made by `taskstate.json_view` and sent as they are; these models tell their shape to readers and to
generators of clients. That both agree is a test: real answers are validated against these models, which allow no key more
and no key less.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["pending", "queued", "running", "retrying", "succeeded", "failed", "cancelled", "lost"]
Status = Literal["PENDING", "PROGRESS", "RETRY", "SUCCESS", "FAILURE", "REVOKED"]
Revision = Annotated[str, Field(pattern=r"^[0-9]+$", description="A 64-bit number as text.")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, UTC.")]
Number = int | float


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Progress(_Answer):
    """How far an attempt is."""

    done: Number
    total: Number | None
    percent: Annotated[Number | None, Field(description="From 0 to 100, or null when not known.")]


class Phase(_Answer):
    """One phase of a task."""

    id: Annotated[str, Field(description="Sub-phases have dots: `content_processing.media`.")]
    name: str
    state: Literal["pending", "running", "done", "failed", "skipped"]
    done: Number
    total: Number | None
    message: str
    start_time: Time | None
    end_time: Time | None


class PhaseResult(Phase):
    """One phase in the job history."""

    duration: Annotated[Number | None, Field(description="Seconds, or null before its end.")]


class Worker(_Answer):
    """Who holds, or held, the newest attempt."""

    worker_id: str
    host: str
    pid: int
    horse_pid: int
    boot_id: str
    queues: list[str]


class TaskFailure(_Answer):
    """The error an attempt ended with."""

    type: str
    message: str
    traceback: str


class Cancel(_Answer):
    """The receipt of a cancel."""

    force: bool
    request_time: Time | None
    deliver_time: Time | None
    signal_time: Time | None
    exit_time: Time | None
    deadline_time: Time | None
    outcome: Annotated[
        Literal["confirmed", "unconfirmed", "too_late"] | None, Field(description="Null while it is under way.")
    ]


class Task(_Answer):
    """One task: the same flat object in every answer and on the stream."""

    task_id: str
    type: str
    queue: str
    name: str
    human_readable_name: str
    state: State
    status: Status
    reason: str | None
    message: str
    is_running: bool
    is_active: bool
    is_archived: bool
    revision: Revision
    attempt: Annotated[int, Field(description="0 before the first.")]
    max_attempts: int
    progress: Progress
    phase: str | None
    phases: list[Phase]
    items_processed: int
    items_failed: int
    liveness: Literal["none", "live", "suspect", "unresponsive"]
    heard_time: Time | None
    worker: Worker | None
    wait_reason: str | None
    create_time: Time
    start_time: Time | None
    end_time: Time | None
    execution_duration: Annotated[Number | None, Field(description="Seconds, or null before the end.")]
    error: TaskFailure | None
    result: Any
    result_omitted: Annotated[
        bool, Field(description="True where a result over 16 KiB was left out; read the task alone to get it.")
    ]
    preferences: Annotated[Any, Field(description="The task's payload.")]
    job_type: str
    trigger_source: str
    group: str
    retry_of: str | None
    cancel: Cancel | None


class TaskPage(_Answer):
    """One page of tasks."""

    tasks: list[Task]
    next_page_token: Annotated[str | None, Field(description="Null at the end.")]
    revision: Annotated[Revision, Field(description="A stream from here misses nothing.")]


class ActiveTask(_Answer):
    """The agent's active task: the oldest that runs, else the oldest that waits."""

    task: Task | None
    queue_size: Annotated[int, Field(description="How many of the group wait.")]


class Stopped(_Answer):
    """A request to stop a task was accepted; the task may go on until its `cancel` says otherwise."""

    success: Literal[True]
    message: Annotated[str, Field(description="What happens next, in words.")]
    task: Annotated[Task, Field(description="The task as it is then; its `cancel` is the receipt.")]


class TaskEvent(_Answer):
    """One transition of a task."""

    revision: Revision
    task_id: str
    kind: str
    from_: Annotated[State | None, Field(alias="from")]
    to: State
    reason: str | None
    message: str
    attempt: int
    actor: Annotated[str, Field(description="Who did it.")]
    operation_id: str | None
    time: Time


class TaskEventPage(_Answer):
    """One page of a task's audit trail, oldest first."""

    events: list[TaskEvent]
    next_page_token: str | None
    revision: Revision


class LogLine(_Answer):
    """One line of a task's log."""

    sequence: Annotated[str, Field(pattern=r"^[0-9]+$", description="The key to resume and to drop doubles by.")]
    attempt: int
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    time: Time | None
    text: str
    logger: str


class LogPage(_Answer):
    """One page of a task's log, oldest first."""

    logs: list[LogLine]
    next_page_token: str | None


class ExecutionSummary(_Answer):
    """How a job went, in short."""

    status: Status
    state: State
    reason: str | None
    message: str
    attempts: int
    max_attempts: int
    items_processed: int
    items_failed: int
    execution_duration: Number | None
    error: TaskFailure | None


class PerformanceMetrics(_Answer):
    """What a job cost; null where it was not measured."""

    wait_seconds: Number | None
    run_seconds: Number | None
    cpu_seconds: Number | None
    peak_memory_bytes: int | None
    items_per_second: Number | None


class SystemInfo(_Answer):
    """Where a job ran and how its process ended."""

    worker: Worker | None
    queue: str
    exit_code: int | None
    signal: int | None
    exit_time: Time | None


class Job(_Answer):
    """One element of the job history; everything beside the task is derived from it."""

    task: Task
    job_type: str
    trigger_source: str
    execution_summary: ExecutionSummary
    phase_results: list[PhaseResult]
    performance_metrics: PerformanceMetrics
    user_preferences: Any
    system_info: SystemInfo


class JobPage(_Answer):
    """One page of the job history."""

    jobs: list[Job]
    total_count: int
    next_page_token: str | None
    revision: Revision


class ErrorField(_Answer):
    """One field of a request that is wrong."""

    field: str
    description: str


class ErrorDetail(_Answer):
    """What went wrong; branch on `reason`, never on `message`."""

    code: Annotated[str, Field(description="The canonical gRPC code.")]
    reason: str
    message: str
    fields: list[ErrorField]


class Error(_Answer):
    """The one shape of every error."""

    success: Literal[False]
    error: ErrorDetail


class Health(_Answer):
    """The process answers."""

    status: Literal["ok"]


class Readiness(_Answer):
    """Whether this gateway can serve: TaskState answers it, and its watch follows."""

    ready: bool
    taskstate: Annotated[bool, Field(description="TaskState answered a call just now.")]
    watch: Annotated[bool, Field(description="The shared watch has caught up and was heard of in the last 10 s.")]
    revision: Annotated[
        Revision | None, Field(description="How far the shared watch is; null before its first answer.")
    ]
