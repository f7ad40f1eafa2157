"""The query parameters of the lists, with their limits."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import AfterValidator, BeforeValidator
from taskstate.json_view import log_level_from_text, state_from_text
from taskstate.v1 import task_pb2, task_service_pb2

from services.gateway.errors import RefusedError, invalid_field
from services.gateway.requests import QUEUE_PATTERN, TYPE_PATTERN, UUID_PATTERN, Time
from services.gateway.times import parse_time

PAGE_DEFAULT = 50
PAGE_MAX = 500
INT64_MAX = 2**63 - 1

_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
_TRUTHS = {"true": True, "false": False, "1": True, "0": False}


def _whole_number(value: Any) -> Any:
    """Take digits only: the lax reading of numbers would take " 5", "5.0" and "1_0" as well."""
    if isinstance(value, str):
        if not _DIGITS.fullmatch(value):
            raise ValueError("must be a whole number, not negative")
        return int(value)
    return value


def _truth(value: Any) -> Any:
    """Take true and false, 1 and 0: the lax reading of truth values would take "off" and "y" as well."""
    if isinstance(value, str):
        if value.lower() not in _TRUTHS:
            raise ValueError("must be true or false")
        return _TRUTHS[value.lower()]
    return value


def _type_names(values: list[str]) -> list[str]:
    for value in values:
        if not re.fullmatch(TYPE_PATTERN, value):
            raise ValueError(f"must match {TYPE_PATTERN}")
    return values


def _task_ids(values: list[str]) -> list[str]:
    for value in values:
        if not re.fullmatch(UUID_PATTERN, value):
            raise ValueError("must be a lower-case UUID")
    return values


StateText = Literal[
    "pending",
    "queued",
    "running",
    "retrying",
    "succeeded",
    "failed",
    "cancelled",
    "lost",
    "PENDING",
    "PROGRESS",
    "RETRY",
    "SUCCESS",
    "FAILURE",
    "REVOKED",
]
TaskId = Annotated[str, Path(pattern=UUID_PATTERN, description="A lower-case UUID.")]
Limit = Annotated[int, BeforeValidator(_whole_number), Query(ge=1, le=PAGE_MAX, description="How many at most.")]
Offset = Annotated[
    int,
    BeforeValidator(_whole_number),
    Query(ge=0, le=10_000, description="How many to pass over; not with page_token."),
]
PageToken = Annotated[
    str, Query(max_length=4096, description="`next_page_token` of a former answer to the same query.")
]
StatesFilter = Annotated[
    list[StateText], Query(max_length=20, description="States or statuses; may be repeated: any of them.")
]
TypesFilter = Annotated[
    list[str], AfterValidator(_type_names), Query(max_length=100, description="Types; may be repeated: any of them.")
]
TaskIdsFilter = Annotated[
    list[str], AfterValidator(_task_ids), Query(max_length=1000, description="Tasks; may be repeated: any of them.")
]
QueueFilter = Annotated[str | None, Query(pattern=QUEUE_PATTERN)]
GroupFilter = Annotated[str | None, Query(min_length=1, max_length=128)]
JobTypeFilter = Annotated[str | None, Query(min_length=1, max_length=50)]
Since = Annotated[Time | None, Query(description="Created at or after; RFC 3339.")]
Until = Annotated[Time | None, Query(description="Created before; RFC 3339.")]
SearchText = Annotated[
    str | None, Query(min_length=1, max_length=200, description="Within name, type, id or message; letter case apart.")
]
Order = Annotated[Literal["newest", "oldest"], Query(description="By creation.")]
Attempt = Annotated[int | None, BeforeValidator(_whole_number), Query(ge=1, le=2**31 - 1)]
LevelText = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] | None, Query(description="This grave or graver.")
]
Force = Annotated[
    bool, BeforeValidator(_truth), Query(description="End the state at once, and the process after that.")
]
Sequence64 = Annotated[
    int,
    BeforeValidator(_whole_number),
    Query(ge=0, le=INT64_MAX, description="Only lines after this sequence."),
]
FromRevision = Annotated[
    int | None,
    BeforeValidator(_whole_number),
    Query(ge=0, le=INT64_MAX, description="Resume after this revision; `Last-Event-ID` wins over it."),
]


def list_tasks_request(
    *,
    limit: int,
    offset: int,
    page_token: str,
    status: Sequence[str],
    types: Sequence[str],
    queue: str | None,
    group: str | None,
    job_type: str | None,
    since: str | None,
    until: str | None,
    text: str | None,
    order: str = "newest",
    with_total_count: bool = False,
) -> task_service_pb2.ListTasksRequest:
    """Answer a list's query as TaskState takes it. Raises RefusedError (400) where parameters contradict each other."""
    if offset and page_token:
        raise invalid_field("offset", "cannot be given together with page_token")
    states = dict.fromkeys(state for word in status for state in state_from_text(word))
    request = task_service_pb2.ListTasksRequest(
        page_size=limit,
        offset=offset,
        page_token=page_token,
        states=list(states),
        types=list(dict.fromkeys(types)),
        queue=queue or "",
        group=group or "",
        job_type=job_type or "",
        text=text or "",
        order=task_service_pb2.TASK_ORDER_OLDEST_FIRST
        if order == "oldest"
        else task_service_pb2.TASK_ORDER_NEWEST_FIRST,
        with_total_count=with_total_count,
    )
    if since is not None:
        request.since_time.CopyFrom(parse_time(since))
    if until is not None:
        request.until_time.CopyFrom(parse_time(until))
    return request


def min_level(level: str | None) -> task_pb2.LogLevel:
    """Answer a level filter as TaskState takes it."""
    return task_pb2.LOG_LEVEL_UNSPECIFIED if level is None else log_level_from_text(level)


def last_event_id(values: Sequence[str]) -> int | None:
    """Read the `Last-Event-ID` headers of a request: a cursor, or None. Raises RefusedError (400) for garbage."""
    if not values or values == [""]:
        return None
    if len(values) > 1:
        raise _bad_cursor("may be given once")
    if not _DIGITS.fullmatch(values[0]) or int(values[0]) > INT64_MAX:
        raise _bad_cursor("must be the id of an event of this stream: a whole number of 64 bits")
    return int(values[0])


def _bad_cursor(description: str) -> RefusedError:
    return invalid_field("Last-Event-ID", description)
