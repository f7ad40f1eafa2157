import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from taskstate.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExitCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXIT_CAUSE_UNSPECIFIED: _ClassVar[ExitCause]
    EXIT_CAUSE_DRAINED: _ClassVar[ExitCause]
    EXIT_CAUSE_TIMEOUT: _ClassVar[ExitCause]
    EXIT_CAUSE_STALLED: _ClassVar[ExitCause]
    EXIT_CAUSE_LEASE_UNSURE: _ClassVar[ExitCause]
    EXIT_CAUSE_ORDERED: _ClassVar[ExitCause]

class CancelStage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CANCEL_STAGE_UNSPECIFIED: _ClassVar[CancelStage]
    CANCEL_STAGE_DELIVERED: _ClassVar[CancelStage]
    CANCEL_STAGE_SIGNALLED: _ClassVar[CancelStage]
EXIT_CAUSE_UNSPECIFIED: ExitCause
EXIT_CAUSE_DRAINED: ExitCause
EXIT_CAUSE_TIMEOUT: ExitCause
EXIT_CAUSE_STALLED: ExitCause
EXIT_CAUSE_LEASE_UNSURE: ExitCause
EXIT_CAUSE_ORDERED: ExitCause
CANCEL_STAGE_UNSPECIFIED: CancelStage
CANCEL_STAGE_DELIVERED: CancelStage
CANCEL_STAGE_SIGNALLED: CancelStage

class SessionRequest(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[WorkerMessage]
    def __init__(self, messages: _Optional[_Iterable[_Union[WorkerMessage, _Mapping]]] = ...) -> None: ...

class WorkerMessage(_message.Message):
    __slots__ = ("sequence", "hello", "start", "progress", "phase", "logs", "heartbeat", "finish", "exited", "good_bye", "resume", "cancel_receipt", "release")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    EXITED_FIELD_NUMBER: _ClassVar[int]
    GOOD_BYE_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    CANCEL_RECEIPT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    hello: Hello
    start: StartAttempt
    progress: ReportProgress
    phase: ReportPhase
    logs: AppendLogs
    heartbeat: Heartbeat
    finish: FinishAttempt
    exited: AttemptExited
    good_bye: GoodBye
    resume: ResumeAttempt
    cancel_receipt: CancelReceipt
    release: ReleaseDispatch
    def __init__(self, sequence: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., start: _Optional[_Union[StartAttempt, _Mapping]] = ..., progress: _Optional[_Union[ReportProgress, _Mapping]] = ..., phase: _Optional[_Union[ReportPhase, _Mapping]] = ..., logs: _Optional[_Union[AppendLogs, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., finish: _Optional[_Union[FinishAttempt, _Mapping]] = ..., exited: _Optional[_Union[AttemptExited, _Mapping]] = ..., good_bye: _Optional[_Union[GoodBye, _Mapping]] = ..., resume: _Optional[_Union[ResumeAttempt, _Mapping]] = ..., cancel_receipt: _Optional[_Union[CancelReceipt, _Mapping]] = ..., release: _Optional[_Union[ReleaseDispatch, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("worker", "types", "sdk_version")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    SDK_VERSION_FIELD_NUMBER: _ClassVar[int]
    worker: _task_pb2.Worker
    types: _containers.RepeatedCompositeFieldContainer[TaskType]
    sdk_version: str
    def __init__(self, worker: _Optional[_Union[_task_pb2.Worker, _Mapping]] = ..., types: _Optional[_Iterable[_Union[TaskType, _Mapping]]] = ..., sdk_version: _Optional[str] = ...) -> None: ...

class TaskType(_message.Message):
    __slots__ = ("name", "queue", "timeout", "stall_timeout", "max_attempts", "retry_on_loss", "phases", "description", "exclusive")
    NAME_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    STALL_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    RETRY_ON_LOSS_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    name: str
    queue: str
    timeout: _duration_pb2.Duration
    stall_timeout: _duration_pb2.Duration
    max_attempts: int
    retry_on_loss: bool
    phases: _containers.RepeatedCompositeFieldContainer[PhaseDeclaration]
    description: str
    exclusive: bool
    def __init__(self, name: _Optional[str] = ..., queue: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., stall_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_attempts: _Optional[int] = ..., retry_on_loss: _Optional[bool] = ..., phases: _Optional[_Iterable[_Union[PhaseDeclaration, _Mapping]]] = ..., description: _Optional[str] = ..., exclusive: _Optional[bool] = ...) -> None: ...

class PhaseDeclaration(_message.Message):
    __slots__ = ("id", "name")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class StartAttempt(_message.Message):
    __slots__ = ("task_id", "dispatch", "start_id", "horse_pid")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    START_ID_FIELD_NUMBER: _ClassVar[int]
    HORSE_PID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    dispatch: int
    start_id: str
    horse_pid: int
    def __init__(self, task_id: _Optional[str] = ..., dispatch: _Optional[int] = ..., start_id: _Optional[str] = ..., horse_pid: _Optional[int] = ...) -> None: ...

class ReportProgress(_message.Message):
    __slots__ = ("task_id", "fencing_token", "phase_id", "done", "total", "message", "items_processed", "items_failed")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PHASE_ID_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_PROCESSED_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FAILED_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    fencing_token: int
    phase_id: str
    done: float
    total: float
    message: str
    items_processed: int
    items_failed: int
    def __init__(self, task_id: _Optional[str] = ..., fencing_token: _Optional[int] = ..., phase_id: _Optional[str] = ..., done: _Optional[float] = ..., total: _Optional[float] = ..., message: _Optional[str] = ..., items_processed: _Optional[int] = ..., items_failed: _Optional[int] = ...) -> None: ...

class ReportPhase(_message.Message):
    __slots__ = ("task_id", "fencing_token", "phase_id", "name", "state", "message")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PHASE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    fencing_token: int
    phase_id: str
    name: str
    state: _task_pb2.PhaseState
    message: str
    def __init__(self, task_id: _Optional[str] = ..., fencing_token: _Optional[int] = ..., phase_id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[_task_pb2.PhaseState, str]] = ..., message: _Optional[str] = ...) -> None: ...

class AppendLogs(_message.Message):
    __slots__ = ("task_id", "fencing_token", "lines")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    fencing_token: int
    lines: _containers.RepeatedCompositeFieldContainer[_task_pb2.LogLine]
    def __init__(self, task_id: _Optional[str] = ..., fencing_token: _Optional[int] = ..., lines: _Optional[_Iterable[_Union[_task_pb2.LogLine, _Mapping]]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("attempts", "claims")
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[AttemptHealth]
    claims: _containers.RepeatedCompositeFieldContainer[DispatchClaim]
    def __init__(self, attempts: _Optional[_Iterable[_Union[AttemptHealth, _Mapping]]] = ..., claims: _Optional[_Iterable[_Union[DispatchClaim, _Mapping]]] = ...) -> None: ...

class AttemptHealth(_message.Message):
    __slots__ = ("task_id", "fencing_token", "sign_of_life_age")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SIGN_OF_LIFE_AGE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    fencing_token: int
    sign_of_life_age: _duration_pb2.Duration
    def __init__(self, task_id: _Optional[str] = ..., fencing_token: _Optional[int] = ..., sign_of_life_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DispatchClaim(_message.Message):
    __slots__ = ("task_id", "dispatch")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    dispatch: int
    def __init__(self, task_id: _Optional[str] = ..., dispatch: _Optional[int] = ...) -> None: ...

class FinishAttempt(_message.Message):
    __slots__ = ("task_id", "fencing_token", "result", "error", "final")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    fencing_token: int
    result: str
    error: _task_pb2.TaskError
    final: bool
    def __init__(self, task_id: _Optional[str] = ..., fencing_token: _Optional[int] = ..., result: _Optional[str] = ..., error: _Optional[_Union[_task_pb2.TaskError, _Mapping]] = ..., final: _Optional[bool] = ...) -> None: ...

class AttemptExited(_message.Message):
    __slots__ = ("task_id", "fencing_token", "exit", "cause")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    fencing_token: int
    exit: _task_pb2.ProcessExit
    cause: ExitCause
    def __init__(self, task_id: _Optional[str] = ..., fencing_token: _Optional[int] = ..., exit: _Optional[_Union[_task_pb2.ProcessExit, _Mapping]] = ..., cause: _Optional[_Union[ExitCause, str]] = ...) -> None: ...

class ResumeAttempt(_message.Message):
    __slots__ = ("task_id", "fencing_token")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    fencing_token: int
    def __init__(self, task_id: _Optional[str] = ..., fencing_token: _Optional[int] = ...) -> None: ...

class CancelReceipt(_message.Message):
    __slots__ = ("task_id", "fencing_token", "stage")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    fencing_token: int
    stage: CancelStage
    def __init__(self, task_id: _Optional[str] = ..., fencing_token: _Optional[int] = ..., stage: _Optional[_Union[CancelStage, str]] = ...) -> None: ...

class ReleaseDispatch(_message.Message):
    __slots__ = ("task_id", "dispatch")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    dispatch: int
    def __init__(self, task_id: _Optional[str] = ..., dispatch: _Optional[int] = ...) -> None: ...

class GoodBye(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[ServerMessage]
    def __init__(self, messages: _Optional[_Iterable[_Union[ServerMessage, _Mapping]]] = ...) -> None: ...

class ServerMessage(_message.Message):
    __slots__ = ("welcome", "started", "ack", "refused", "fenced", "drain", "cancel", "kill")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    FENCED_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    KILL_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    started: AttemptStarted
    ack: Ack
    refused: Refused
    fenced: Fenced
    drain: Drain
    cancel: CancelOrder
    kill: KillOrder
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., started: _Optional[_Union[AttemptStarted, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., refused: _Optional[_Union[Refused, _Mapping]] = ..., fenced: _Optional[_Union[Fenced, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., cancel: _Optional[_Union[CancelOrder, _Mapping]] = ..., kill: _Optional[_Union[KillOrder, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("replica_id", "heartbeat_interval", "server_time", "lease_ttl")
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    LEASE_TTL_FIELD_NUMBER: _ClassVar[int]
    replica_id: str
    heartbeat_interval: _duration_pb2.Duration
    server_time: _timestamp_pb2.Timestamp
    lease_ttl: _duration_pb2.Duration
    def __init__(self, replica_id: _Optional[str] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lease_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class AttemptStarted(_message.Message):
    __slots__ = ("sequence", "task_id", "dispatch", "attempt", "fencing_token", "type", "payload", "start_time", "timeout", "max_attempts", "name", "stall_timeout")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STALL_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    task_id: str
    dispatch: int
    attempt: int
    fencing_token: int
    type: str
    payload: str
    start_time: _timestamp_pb2.Timestamp
    timeout: _duration_pb2.Duration
    max_attempts: int
    name: str
    stall_timeout: _duration_pb2.Duration
    def __init__(self, sequence: _Optional[int] = ..., task_id: _Optional[str] = ..., dispatch: _Optional[int] = ..., attempt: _Optional[int] = ..., fencing_token: _Optional[int] = ..., type: _Optional[str] = ..., payload: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_attempts: _Optional[int] = ..., name: _Optional[str] = ..., stall_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("sequences",)
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    sequences: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, sequences: _Optional[_Iterable[int]] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("sequence", "task_id", "reason", "message")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    task_id: str
    reason: str
    message: str
    def __init__(self, sequence: _Optional[int] = ..., task_id: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Fenced(_message.Message):
    __slots__ = ("sequence", "task_id", "fencing_token", "message")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    task_id: str
    fencing_token: int
    message: str
    def __init__(self, sequence: _Optional[int] = ..., task_id: _Optional[str] = ..., fencing_token: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class CancelOrder(_message.Message):
    __slots__ = ("task_id", "fencing_token", "message_grace", "term_grace")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_GRACE_FIELD_NUMBER: _ClassVar[int]
    TERM_GRACE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    fencing_token: int
    message_grace: _duration_pb2.Duration
    term_grace: _duration_pb2.Duration
    def __init__(self, task_id: _Optional[str] = ..., fencing_token: _Optional[int] = ..., message_grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., term_grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class KillOrder(_message.Message):
    __slots__ = ("task_id", "fencing_token", "term_grace", "message")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TERM_GRACE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    fencing_token: int
    term_grace: _duration_pb2.Duration
    message: str
    def __init__(self, task_id: _Optional[str] = ..., fencing_token: _Optional[int] = ..., term_grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...
