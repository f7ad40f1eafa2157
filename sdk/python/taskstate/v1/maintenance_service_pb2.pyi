import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from taskstate.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SweepVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SWEEP_VERDICT_UNSPECIFIED: _ClassVar[SweepVerdict]
    SWEEP_VERDICT_EXPIRED: _ClassVar[SweepVerdict]
    SWEEP_VERDICT_CANCEL_OVER: _ClassVar[SweepVerdict]
    SWEEP_VERDICT_GIVE_UP: _ClassVar[SweepVerdict]
    SWEEP_VERDICT_OVERDUE: _ClassVar[SweepVerdict]
    SWEEP_VERDICT_SUSPECT: _ClassVar[SweepVerdict]

class DispatchOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISPATCH_OUTCOME_UNSPECIFIED: _ClassVar[DispatchOutcome]
    DISPATCH_OUTCOME_QUEUED: _ClassVar[DispatchOutcome]
    DISPATCH_OUTCOME_ALREADY_STARTED: _ClassVar[DispatchOutcome]
    DISPATCH_OUTCOME_STALE: _ClassVar[DispatchOutcome]
    DISPATCH_OUTCOME_NOT_FOUND: _ClassVar[DispatchOutcome]
SWEEP_VERDICT_UNSPECIFIED: SweepVerdict
SWEEP_VERDICT_EXPIRED: SweepVerdict
SWEEP_VERDICT_CANCEL_OVER: SweepVerdict
SWEEP_VERDICT_GIVE_UP: SweepVerdict
SWEEP_VERDICT_OVERDUE: SweepVerdict
SWEEP_VERDICT_SUSPECT: SweepVerdict
DISPATCH_OUTCOME_UNSPECIFIED: DispatchOutcome
DISPATCH_OUTCOME_QUEUED: DispatchOutcome
DISPATCH_OUTCOME_ALREADY_STARTED: DispatchOutcome
DISPATCH_OUTCOME_STALE: DispatchOutcome
DISPATCH_OUTCOME_NOT_FOUND: DispatchOutcome

class PlanSweepRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "max_age")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    max_age: _duration_pb2.Duration
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class PlanSweepResponse(_message.Message):
    __slots__ = ("items", "next_page_token", "revision")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[SweepItem]
    next_page_token: str
    revision: int
    def __init__(self, items: _Optional[_Iterable[_Union[SweepItem, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class SweepItem(_message.Message):
    __slots__ = ("task_id", "revision", "verdict", "why", "task")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    revision: int
    verdict: SweepVerdict
    why: str
    task: _task_pb2.Task
    def __init__(self, task_id: _Optional[str] = ..., revision: _Optional[int] = ..., verdict: _Optional[_Union[SweepVerdict, str]] = ..., why: _Optional[str] = ..., task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class ApplySweepRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ApplySweepResponse(_message.Message):
    __slots__ = ("lost_count", "retrying_count", "cancelled_count", "given_up_count", "spared_count")
    LOST_COUNT_FIELD_NUMBER: _ClassVar[int]
    RETRYING_COUNT_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_COUNT_FIELD_NUMBER: _ClassVar[int]
    GIVEN_UP_COUNT_FIELD_NUMBER: _ClassVar[int]
    SPARED_COUNT_FIELD_NUMBER: _ClassVar[int]
    lost_count: int
    retrying_count: int
    cancelled_count: int
    given_up_count: int
    spared_count: int
    def __init__(self, lost_count: _Optional[int] = ..., retrying_count: _Optional[int] = ..., cancelled_count: _Optional[int] = ..., given_up_count: _Optional[int] = ..., spared_count: _Optional[int] = ...) -> None: ...

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
