import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATE_UNSPECIFIED: _ClassVar[TaskState]
    TASK_STATE_PENDING: _ClassVar[TaskState]
    TASK_STATE_QUEUED: _ClassVar[TaskState]
    TASK_STATE_RUNNING: _ClassVar[TaskState]
    TASK_STATE_RETRYING: _ClassVar[TaskState]
    TASK_STATE_SUCCEEDED: _ClassVar[TaskState]
    TASK_STATE_FAILED: _ClassVar[TaskState]
    TASK_STATE_CANCELLED: _ClassVar[TaskState]
    TASK_STATE_LOST: _ClassVar[TaskState]

class TaskReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_REASON_UNSPECIFIED: _ClassVar[TaskReason]
    TASK_REASON_ERROR: _ClassVar[TaskReason]
    TASK_REASON_TIMEOUT: _ClassVar[TaskReason]
    TASK_REASON_STALLED: _ClassVar[TaskReason]
    TASK_REASON_FORCE_CANCELLED: _ClassVar[TaskReason]
    TASK_REASON_WORKER_LOST: _ClassVar[TaskReason]
    TASK_REASON_WORKER_DRAINED: _ClassVar[TaskReason]
    TASK_REASON_ENQUEUE_FAILED: _ClassVar[TaskReason]
    TASK_REASON_DEPENDENCY_FAILED: _ClassVar[TaskReason]
    TASK_REASON_RESET: _ClassVar[TaskReason]
    TASK_REASON_ADOPTED: _ClassVar[TaskReason]

class WaitReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WAIT_REASON_UNSPECIFIED: _ClassVar[WaitReason]
    WAIT_REASON_DISPATCH: _ClassVar[WaitReason]
    WAIT_REASON_TIME: _ClassVar[WaitReason]
    WAIT_REASON_DEPENDENCY: _ClassVar[WaitReason]
    WAIT_REASON_SLOT: _ClassVar[WaitReason]
    WAIT_REASON_PREVIOUS_PROCESS: _ClassVar[WaitReason]
    WAIT_REASON_NO_WORKER: _ClassVar[WaitReason]
    WAIT_REASON_PAUSED: _ClassVar[WaitReason]

class Liveness(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIVENESS_UNSPECIFIED: _ClassVar[Liveness]
    LIVENESS_LIVE: _ClassVar[Liveness]
    LIVENESS_SUSPECT: _ClassVar[Liveness]
    LIVENESS_UNRESPONSIVE: _ClassVar[Liveness]

class CancelOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CANCEL_OUTCOME_UNSPECIFIED: _ClassVar[CancelOutcome]
    CANCEL_OUTCOME_CONFIRMED: _ClassVar[CancelOutcome]
    CANCEL_OUTCOME_UNCONFIRMED: _ClassVar[CancelOutcome]
    CANCEL_OUTCOME_TOO_LATE: _ClassVar[CancelOutcome]

class PhaseState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_STATE_UNSPECIFIED: _ClassVar[PhaseState]
    PHASE_STATE_PENDING: _ClassVar[PhaseState]
    PHASE_STATE_RUNNING: _ClassVar[PhaseState]
    PHASE_STATE_DONE: _ClassVar[PhaseState]
    PHASE_STATE_FAILED: _ClassVar[PhaseState]
    PHASE_STATE_SKIPPED: _ClassVar[PhaseState]

class TaskEventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_EVENT_KIND_UNSPECIFIED: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_CREATED: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_WAITING: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_HANDED_OUT: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_QUEUED: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_STARTED: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_PHASE: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_FINISHED: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_EXITED: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_CANCEL_REQUESTED: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_CANCEL_ADVANCED: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_SUSPECTED: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_RESUMED: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_LIVENESS: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_EXPIRED: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_GIVEN_UP: _ClassVar[TaskEventKind]
    TASK_EVENT_KIND_RELEASED: _ClassVar[TaskEventKind]

class LogLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_LEVEL_UNSPECIFIED: _ClassVar[LogLevel]
    LOG_LEVEL_DEBUG: _ClassVar[LogLevel]
    LOG_LEVEL_INFO: _ClassVar[LogLevel]
    LOG_LEVEL_WARNING: _ClassVar[LogLevel]
    LOG_LEVEL_ERROR: _ClassVar[LogLevel]
    LOG_LEVEL_CRITICAL: _ClassVar[LogLevel]
TASK_STATE_UNSPECIFIED: TaskState
TASK_STATE_PENDING: TaskState
TASK_STATE_QUEUED: TaskState
TASK_STATE_RUNNING: TaskState
TASK_STATE_RETRYING: TaskState
TASK_STATE_SUCCEEDED: TaskState
TASK_STATE_FAILED: TaskState
TASK_STATE_CANCELLED: TaskState
TASK_STATE_LOST: TaskState
TASK_REASON_UNSPECIFIED: TaskReason
TASK_REASON_ERROR: TaskReason
TASK_REASON_TIMEOUT: TaskReason
TASK_REASON_STALLED: TaskReason
TASK_REASON_FORCE_CANCELLED: TaskReason
TASK_REASON_WORKER_LOST: TaskReason
TASK_REASON_WORKER_DRAINED: TaskReason
TASK_REASON_ENQUEUE_FAILED: TaskReason
TASK_REASON_DEPENDENCY_FAILED: TaskReason
TASK_REASON_RESET: TaskReason
TASK_REASON_ADOPTED: TaskReason
WAIT_REASON_UNSPECIFIED: WaitReason
WAIT_REASON_DISPATCH: WaitReason
WAIT_REASON_TIME: WaitReason
WAIT_REASON_DEPENDENCY: WaitReason
WAIT_REASON_SLOT: WaitReason
WAIT_REASON_PREVIOUS_PROCESS: WaitReason
WAIT_REASON_NO_WORKER: WaitReason
WAIT_REASON_PAUSED: WaitReason
LIVENESS_UNSPECIFIED: Liveness
LIVENESS_LIVE: Liveness
LIVENESS_SUSPECT: Liveness
LIVENESS_UNRESPONSIVE: Liveness
CANCEL_OUTCOME_UNSPECIFIED: CancelOutcome
CANCEL_OUTCOME_CONFIRMED: CancelOutcome
CANCEL_OUTCOME_UNCONFIRMED: CancelOutcome
CANCEL_OUTCOME_TOO_LATE: CancelOutcome
PHASE_STATE_UNSPECIFIED: PhaseState
PHASE_STATE_PENDING: PhaseState
PHASE_STATE_RUNNING: PhaseState
PHASE_STATE_DONE: PhaseState
PHASE_STATE_FAILED: PhaseState
PHASE_STATE_SKIPPED: PhaseState
TASK_EVENT_KIND_UNSPECIFIED: TaskEventKind
TASK_EVENT_KIND_CREATED: TaskEventKind
TASK_EVENT_KIND_WAITING: TaskEventKind
TASK_EVENT_KIND_HANDED_OUT: TaskEventKind
TASK_EVENT_KIND_QUEUED: TaskEventKind
TASK_EVENT_KIND_STARTED: TaskEventKind
TASK_EVENT_KIND_PHASE: TaskEventKind
TASK_EVENT_KIND_FINISHED: TaskEventKind
TASK_EVENT_KIND_EXITED: TaskEventKind
TASK_EVENT_KIND_CANCEL_REQUESTED: TaskEventKind
TASK_EVENT_KIND_CANCEL_ADVANCED: TaskEventKind
TASK_EVENT_KIND_SUSPECTED: TaskEventKind
TASK_EVENT_KIND_RESUMED: TaskEventKind
TASK_EVENT_KIND_LIVENESS: TaskEventKind
TASK_EVENT_KIND_EXPIRED: TaskEventKind
TASK_EVENT_KIND_GIVEN_UP: TaskEventKind
TASK_EVENT_KIND_RELEASED: TaskEventKind
LOG_LEVEL_UNSPECIFIED: LogLevel
LOG_LEVEL_DEBUG: LogLevel
LOG_LEVEL_INFO: LogLevel
LOG_LEVEL_WARNING: LogLevel
LOG_LEVEL_ERROR: LogLevel
LOG_LEVEL_CRITICAL: LogLevel

class Task(_message.Message):
    __slots__ = ("task_id", "type", "queue", "name", "group", "state", "reason", "message", "revision", "attempt", "max_attempts", "progress", "phase", "phases", "items_processed", "items_failed", "liveness", "heard_time", "worker", "wait_reason", "create_time", "start_time", "end_time", "error", "result", "result_omitted", "payload", "job_type", "trigger_source", "request_id", "retry_of", "priority", "timeout", "stall_timeout", "retry_on_loss", "due_time", "dispatch", "exit", "gone", "is_archived", "cancel", "suspect_until_time", "replica_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    ITEMS_PROCESSED_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FAILED_FIELD_NUMBER: _ClassVar[int]
    LIVENESS_FIELD_NUMBER: _ClassVar[int]
    HEARD_TIME_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    WAIT_REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    RESULT_OMITTED_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    JOB_TYPE_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_SOURCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RETRY_OF_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    STALL_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    RETRY_ON_LOSS_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    IS_ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    SUSPECT_UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    type: str
    queue: str
    name: str
    group: str
    state: TaskState
    reason: TaskReason
    message: str
    revision: int
    attempt: int
    max_attempts: int
    progress: Progress
    phase: str
    phases: _containers.RepeatedCompositeFieldContainer[Phase]
    items_processed: int
    items_failed: int
    liveness: Liveness
    heard_time: _timestamp_pb2.Timestamp
    worker: Worker
    wait_reason: WaitReason
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    error: TaskError
    result: str
    result_omitted: bool
    payload: str
    job_type: str
    trigger_source: str
    request_id: str
    retry_of: str
    priority: int
    timeout: _duration_pb2.Duration
    stall_timeout: _duration_pb2.Duration
    retry_on_loss: bool
    due_time: _timestamp_pb2.Timestamp
    dispatch: int
    exit: ProcessExit
    gone: bool
    is_archived: bool
    cancel: Cancel
    suspect_until_time: _timestamp_pb2.Timestamp
    replica_id: str
    def __init__(self, task_id: _Optional[str] = ..., type: _Optional[str] = ..., queue: _Optional[str] = ..., name: _Optional[str] = ..., group: _Optional[str] = ..., state: _Optional[_Union[TaskState, str]] = ..., reason: _Optional[_Union[TaskReason, str]] = ..., message: _Optional[str] = ..., revision: _Optional[int] = ..., attempt: _Optional[int] = ..., max_attempts: _Optional[int] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., phase: _Optional[str] = ..., phases: _Optional[_Iterable[_Union[Phase, _Mapping]]] = ..., items_processed: _Optional[int] = ..., items_failed: _Optional[int] = ..., liveness: _Optional[_Union[Liveness, str]] = ..., heard_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., worker: _Optional[_Union[Worker, _Mapping]] = ..., wait_reason: _Optional[_Union[WaitReason, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[_Union[TaskError, _Mapping]] = ..., result: _Optional[str] = ..., result_omitted: _Optional[bool] = ..., payload: _Optional[str] = ..., job_type: _Optional[str] = ..., trigger_source: _Optional[str] = ..., request_id: _Optional[str] = ..., retry_of: _Optional[str] = ..., priority: _Optional[int] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., stall_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., retry_on_loss: _Optional[bool] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., dispatch: _Optional[int] = ..., exit: _Optional[_Union[ProcessExit, _Mapping]] = ..., gone: _Optional[bool] = ..., is_archived: _Optional[bool] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., suspect_until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replica_id: _Optional[str] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("force", "request_time", "deliver_time", "signal_time", "exit_time", "deadline_time", "outcome")
    FORCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TIME_FIELD_NUMBER: _ClassVar[int]
    DELIVER_TIME_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_TIME_FIELD_NUMBER: _ClassVar[int]
    EXIT_TIME_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_TIME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    force: bool
    request_time: _timestamp_pb2.Timestamp
    deliver_time: _timestamp_pb2.Timestamp
    signal_time: _timestamp_pb2.Timestamp
    exit_time: _timestamp_pb2.Timestamp
    deadline_time: _timestamp_pb2.Timestamp
    outcome: CancelOutcome
    def __init__(self, force: _Optional[bool] = ..., request_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deliver_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., signal_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., exit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deadline_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., outcome: _Optional[_Union[CancelOutcome, str]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("done", "total", "percent")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    done: float
    total: float
    percent: float
    def __init__(self, done: _Optional[float] = ..., total: _Optional[float] = ..., percent: _Optional[float] = ...) -> None: ...

class Phase(_message.Message):
    __slots__ = ("id", "name", "state", "done", "total", "message", "start_time", "end_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    state: PhaseState
    done: float
    total: float
    message: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[PhaseState, str]] = ..., done: _Optional[float] = ..., total: _Optional[float] = ..., message: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Worker(_message.Message):
    __slots__ = ("worker_id", "host", "pid", "horse_pid", "boot_id", "queues")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    HORSE_PID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    host: str
    pid: int
    horse_pid: int
    boot_id: str
    queues: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, worker_id: _Optional[str] = ..., host: _Optional[str] = ..., pid: _Optional[int] = ..., horse_pid: _Optional[int] = ..., boot_id: _Optional[str] = ..., queues: _Optional[_Iterable[str]] = ...) -> None: ...

class TaskError(_message.Message):
    __slots__ = ("type", "message", "traceback")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    type: str
    message: str
    traceback: str
    def __init__(self, type: _Optional[str] = ..., message: _Optional[str] = ..., traceback: _Optional[str] = ...) -> None: ...

class ProcessExit(_message.Message):
    __slots__ = ("exit_code", "signal", "peak_memory_bytes", "cpu_time", "exit_time")
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_TIME_FIELD_NUMBER: _ClassVar[int]
    EXIT_TIME_FIELD_NUMBER: _ClassVar[int]
    exit_code: int
    signal: int
    peak_memory_bytes: int
    cpu_time: _duration_pb2.Duration
    exit_time: _timestamp_pb2.Timestamp
    def __init__(self, exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., peak_memory_bytes: _Optional[int] = ..., cpu_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., exit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TaskEvent(_message.Message):
    __slots__ = ("revision", "task_id", "kind", "to", "reason", "message", "attempt", "actor", "operation_id", "time")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    revision: int
    task_id: str
    kind: TaskEventKind
    to: TaskState
    reason: TaskReason
    message: str
    attempt: int
    actor: str
    operation_id: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, revision: _Optional[int] = ..., task_id: _Optional[str] = ..., kind: _Optional[_Union[TaskEventKind, str]] = ..., to: _Optional[_Union[TaskState, str]] = ..., reason: _Optional[_Union[TaskReason, str]] = ..., message: _Optional[str] = ..., attempt: _Optional[int] = ..., actor: _Optional[str] = ..., operation_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("sequence", "attempt", "level", "time", "text", "logger")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LOGGER_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    attempt: int
    level: LogLevel
    time: _timestamp_pb2.Timestamp
    text: str
    logger: str
    def __init__(self, sequence: _Optional[int] = ..., attempt: _Optional[int] = ..., level: _Optional[_Union[LogLevel, str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., text: _Optional[str] = ..., logger: _Optional[str] = ...) -> None: ...
