from taskstate.v1 import task_pb2 as _task_pb2
from taskstate.v1 import worker_service_pb2 as _worker_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LocalRequest(_message.Message):
    __slots__ = ("ready", "taken", "gone", "start", "sign_of_life", "progress", "phase", "logs", "finish", "cancel_taken")
    READY_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    SIGN_OF_LIFE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    CANCEL_TAKEN_FIELD_NUMBER: _ClassVar[int]
    ready: RqWorkerReady
    taken: MessageTaken
    gone: HorseGone
    start: _worker_service_pb2.StartAttempt
    sign_of_life: SignOfLife
    progress: _worker_service_pb2.ReportProgress
    phase: _worker_service_pb2.ReportPhase
    logs: _worker_service_pb2.AppendLogs
    finish: _worker_service_pb2.FinishAttempt
    cancel_taken: CancelTaken
    def __init__(self, ready: _Optional[_Union[RqWorkerReady, _Mapping]] = ..., taken: _Optional[_Union[MessageTaken, _Mapping]] = ..., gone: _Optional[_Union[HorseGone, _Mapping]] = ..., start: _Optional[_Union[_worker_service_pb2.StartAttempt, _Mapping]] = ..., sign_of_life: _Optional[_Union[SignOfLife, _Mapping]] = ..., progress: _Optional[_Union[_worker_service_pb2.ReportProgress, _Mapping]] = ..., phase: _Optional[_Union[_worker_service_pb2.ReportPhase, _Mapping]] = ..., logs: _Optional[_Union[_worker_service_pb2.AppendLogs, _Mapping]] = ..., finish: _Optional[_Union[_worker_service_pb2.FinishAttempt, _Mapping]] = ..., cancel_taken: _Optional[_Union[CancelTaken, _Mapping]] = ...) -> None: ...

class LocalResponse(_message.Message):
    __slots__ = ("pop", "stop", "dispose", "started", "refused", "finish_taken", "cancel")
    POP_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    DISPOSE_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    FINISH_TAKEN_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    pop: PopOrder
    stop: StopOrder
    dispose: DisposeMessage
    started: _worker_service_pb2.AttemptStarted
    refused: _worker_service_pb2.Refused
    finish_taken: FinishTaken
    cancel: CancelAttempt
    def __init__(self, pop: _Optional[_Union[PopOrder, _Mapping]] = ..., stop: _Optional[_Union[StopOrder, _Mapping]] = ..., dispose: _Optional[_Union[DisposeMessage, _Mapping]] = ..., started: _Optional[_Union[_worker_service_pb2.AttemptStarted, _Mapping]] = ..., refused: _Optional[_Union[_worker_service_pb2.Refused, _Mapping]] = ..., finish_taken: _Optional[_Union[FinishTaken, _Mapping]] = ..., cancel: _Optional[_Union[CancelAttempt, _Mapping]] = ...) -> None: ...

class RqWorkerReady(_message.Message):
    __slots__ = ("types",)
    TYPES_FIELD_NUMBER: _ClassVar[int]
    types: _containers.RepeatedCompositeFieldContainer[_worker_service_pb2.TaskType]
    def __init__(self, types: _Optional[_Iterable[_Union[_worker_service_pb2.TaskType, _Mapping]]] = ...) -> None: ...

class MessageTaken(_message.Message):
    __slots__ = ("task_id", "dispatch")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    dispatch: int
    def __init__(self, task_id: _Optional[str] = ..., dispatch: _Optional[int] = ...) -> None: ...

class HorseGone(_message.Message):
    __slots__ = ("task_id", "dispatch", "horse_pid", "exit", "orphans_killed")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    HORSE_PID_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    ORPHANS_KILLED_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    dispatch: int
    horse_pid: int
    exit: _task_pb2.ProcessExit
    orphans_killed: int
    def __init__(self, task_id: _Optional[str] = ..., dispatch: _Optional[int] = ..., horse_pid: _Optional[int] = ..., exit: _Optional[_Union[_task_pb2.ProcessExit, _Mapping]] = ..., orphans_killed: _Optional[int] = ...) -> None: ...

class SignOfLife(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PopOrder(_message.Message):
    __slots__ = ("allowed",)
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    def __init__(self, allowed: _Optional[bool] = ...) -> None: ...

class StopOrder(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DisposeMessage(_message.Message):
    __slots__ = ("task_id", "dispatch", "put_back")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    PUT_BACK_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    dispatch: int
    put_back: bool
    def __init__(self, task_id: _Optional[str] = ..., dispatch: _Optional[int] = ..., put_back: _Optional[bool] = ...) -> None: ...

class FinishTaken(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CancelAttempt(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CancelTaken(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
