import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DispatchOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISPATCH_OUTCOME_UNSPECIFIED: _ClassVar[DispatchOutcome]
    DISPATCH_OUTCOME_QUEUED: _ClassVar[DispatchOutcome]
    DISPATCH_OUTCOME_ALREADY_STARTED: _ClassVar[DispatchOutcome]
    DISPATCH_OUTCOME_STALE: _ClassVar[DispatchOutcome]
    DISPATCH_OUTCOME_NOT_FOUND: _ClassVar[DispatchOutcome]
DISPATCH_OUTCOME_UNSPECIFIED: DispatchOutcome
DISPATCH_OUTCOME_QUEUED: DispatchOutcome
DISPATCH_OUTCOME_ALREADY_STARTED: DispatchOutcome
DISPATCH_OUTCOME_STALE: DispatchOutcome
DISPATCH_OUTCOME_NOT_FOUND: DispatchOutcome

class AcquireDispatchesRequest(_message.Message):
    __slots__ = ("max_dispatches", "wait_timeout")
    MAX_DISPATCHES_FIELD_NUMBER: _ClassVar[int]
    WAIT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    max_dispatches: int
    wait_timeout: _duration_pb2.Duration
    def __init__(self, max_dispatches: _Optional[int] = ..., wait_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class AcquireDispatchesResponse(_message.Message):
    __slots__ = ("dispatches",)
    DISPATCHES_FIELD_NUMBER: _ClassVar[int]
    dispatches: _containers.RepeatedCompositeFieldContainer[Dispatch]
    def __init__(self, dispatches: _Optional[_Iterable[_Union[Dispatch, _Mapping]]] = ...) -> None: ...

class Dispatch(_message.Message):
    __slots__ = ("task_id", "dispatch", "queue")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    dispatch: int
    queue: str
    def __init__(self, task_id: _Optional[str] = ..., dispatch: _Optional[int] = ..., queue: _Optional[str] = ...) -> None: ...

class ConfirmDispatchesRequest(_message.Message):
    __slots__ = ("dispatches",)
    DISPATCHES_FIELD_NUMBER: _ClassVar[int]
    dispatches: _containers.RepeatedCompositeFieldContainer[Dispatch]
    def __init__(self, dispatches: _Optional[_Iterable[_Union[Dispatch, _Mapping]]] = ...) -> None: ...

class ConfirmDispatchesResponse(_message.Message):
    __slots__ = ("confirmations",)
    CONFIRMATIONS_FIELD_NUMBER: _ClassVar[int]
    confirmations: _containers.RepeatedCompositeFieldContainer[DispatchConfirmation]
    def __init__(self, confirmations: _Optional[_Iterable[_Union[DispatchConfirmation, _Mapping]]] = ...) -> None: ...

class DispatchConfirmation(_message.Message):
    __slots__ = ("task_id", "dispatch", "outcome")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    dispatch: int
    outcome: DispatchOutcome
    def __init__(self, task_id: _Optional[str] = ..., dispatch: _Optional[int] = ..., outcome: _Optional[_Union[DispatchOutcome, str]] = ...) -> None: ...
