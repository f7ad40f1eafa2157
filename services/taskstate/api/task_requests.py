"""From the requests of TaskService to commands and filters."""

from __future__ import annotations

import hashlib
import uuid

from taskstate.v1 import task_pb2 as pb
from taskstate.v1 import task_service_pb2 as service_pb

from services.taskstate.api.validation import NAME_CHARACTERS_MAX, Checker
from services.taskstate.command import CreateTask
from services.taskstate.filters import ListFilter, TaskFilter
from services.taskstate.model import TaskState

IDS_MAX = 1000
TYPES_MAX = 100
OFFSET_MAX = 10_000

_STATES = {pb.TaskState.Value(f"TASK_STATE_{state}"): state for state in TaskState}
_ORDERS = (
    service_pb.TASK_ORDER_UNSPECIFIED,
    service_pb.TASK_ORDER_NEWEST_FIRST,
    service_pb.TASK_ORDER_OLDEST_FIRST,
)


def create_command(request: service_pb.CreateTaskRequest, actor: str) -> CreateTask:
    """The command of a create, with a new task id."""
    check = Checker()
    command = CreateTask(
        task_id=str(uuid.uuid4()),
        actor=actor,
        type=check.type_name("type", request.type),
        payload=check.json_object("payload", request.payload),
        request_id=check.request_id("request_id", request.request_id),
        request_hash=request_hash(request) if request.request_id else "",
        queue=check.queue("queue", request.queue) or None,
        group=check.label("group", request.group, 128),
        name=check.label("name", request.name, NAME_CHARACTERS_MAX),
        job_type=check.label("job_type", request.job_type, 50) or "manual",
        trigger_source=check.label("trigger_source", request.trigger_source, 100),
        priority=check.integer("priority", request.priority, -10, 10),
        timeout_s=check.duration("timeout", request.timeout) if request.HasField("timeout") else None,
        stall_timeout_s=(
            check.duration("stall_timeout", request.stall_timeout) if request.HasField("stall_timeout") else None
        ),
        max_attempts=(
            check.integer("max_attempts", request.max_attempts, 1, 100) if request.HasField("max_attempts") else None
        ),
        retry_on_loss=request.retry_on_loss if request.HasField("retry_on_loss") else None,
        not_before_time=(
            check.timestamp("not_before_time", request.not_before_time) if request.HasField("not_before_time") else None
        ),
    )
    check.done()
    return command


def request_hash(request: service_pb.CreateTaskRequest) -> str:
    """What a request_id stands for: everything else of the request."""
    contents = service_pb.CreateTaskRequest()
    contents.CopyFrom(request)
    contents.ClearField("request_id")
    return hashlib.blake2b(contents.SerializeToString(deterministic=True), digest_size=16).hexdigest()


def list_filter(request: service_pb.ListTasksRequest, check: Checker) -> ListFilter:
    """The filter of a list."""
    if len(request.types) > TYPES_MAX:
        check.wrong("types", f"must name at most {TYPES_MAX}")
    if request.offset and request.page_token:
        check.wrong("offset", "must be 0 with a page_token")
    check.integer("offset", request.offset, 0, OFFSET_MAX)
    check.one_of("order", request.order, _ORDERS, service_pb.TaskOrder)
    return ListFilter(
        states=_states(request, check),
        types=[check.type_name(f"types[{i}]", name) for i, name in enumerate(request.types[:TYPES_MAX])],
        queue=check.queue("queue", request.queue),
        group=check.label("group", request.group, 128),
        job_type=check.label("job_type", request.job_type, 50),
        since_time=check.timestamp("since_time", request.since_time) if request.HasField("since_time") else None,
        until_time=check.timestamp("until_time", request.until_time) if request.HasField("until_time") else None,
        text=check.label("text", request.text, 200),
    )


def watch_filter(request: service_pb.WatchTasksRequest) -> TaskFilter:
    """The filter of a watch."""
    check = Checker()
    if len(request.task_ids) > IDS_MAX:
        check.wrong("task_ids", f"must name at most {IDS_MAX}")
    if len(request.types) > TYPES_MAX:
        check.wrong("types", f"must name at most {TYPES_MAX}")
    if request.HasField("from_revision") and request.from_revision < 0:
        check.wrong("from_revision", "must not be negative")
    wanted = TaskFilter(
        task_ids=frozenset(check.task_id(f"task_ids[{i}]", v) for i, v in enumerate(request.task_ids[:IDS_MAX])),
        group=check.label("group", request.group, 128),
        types=frozenset(check.type_name(f"types[{i}]", v) for i, v in enumerate(request.types[:TYPES_MAX])),
        queue=check.queue("queue", request.queue),
    )
    check.done()
    return wanted


def _states(request: service_pb.ListTasksRequest, check: Checker) -> list[TaskState]:
    states = []
    for index, number in enumerate(request.states[: len(_STATES) + 1]):
        check.one_of(f"states[{index}]", number, tuple(_STATES), pb.TaskState)
        if number in _STATES:
            states.append(_STATES[number])
    return states
