"""What clients send: the bodies of the POST routes, with their limits.

Types are strict ("5" is no number, 1 is no truth value) and unknown fields are refused, so that a misspelt field is told
and not ignored. What only TaskState can judge (is the type known, has the request_id been used) it judges.
"""

import json
import re
from typing import Annotated, Any

from google.protobuf.duration_pb2 import Duration
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from taskstate.v1 import task_service_pb2 as api

from services.gateway.times import parse_time

PAYLOAD_BYTES_MAX = 64 * 1024
PAYLOAD_DEPTH_MAX = 16
TIMEOUT_SECONDS_MAX = 30 * 24 * 3600

TYPE_PATTERN = r"^[a-z][a-z0-9_.]{0,63}$"
QUEUE_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
REQUEST_ID_PATTERN = r"^[\x21-\x7e]{1,128}$"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _payload(value: dict[str, Any]) -> dict[str, Any]:
    level: list[Any] = [value]
    for _ in range(PAYLOAD_DEPTH_MAX):
        level = [inner for item in level for inner in _children(item)]
        if not level:
            break
    else:
        if any(isinstance(item, (dict, list)) for item in level):
            raise ValueError(f"must be nested at most {PAYLOAD_DEPTH_MAX} levels deep")
    if len(payload_text(value).encode()) > PAYLOAD_BYTES_MAX:
        raise ValueError(f"must be at most {PAYLOAD_BYTES_MAX} bytes as JSON")
    return value


def _children(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    return item if isinstance(item, list) else []


def _one_line(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("must not hold control characters")
    return value


def _time(value: str) -> str:
    parse_time(value)
    return value


Payload = Annotated[dict[str, Any], AfterValidator(_payload)]
Text = Annotated[str, AfterValidator(_one_line)]
Time = Annotated[str, AfterValidator(_time)]
RequestId = Annotated[str, Field(pattern=REQUEST_ID_PATTERN)]
Seconds = Annotated[float, Field(gt=0, le=TIMEOUT_SECONDS_MAX, allow_inf_nan=False)]


def payload_text(value: dict[str, Any]) -> str:
    """Write a payload as the JSON text that the task will get."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class CreateTask(_Body):
    """A task to be run. What is left out is decided by the type, as its workers declare it."""

    type: Annotated[str, Field(pattern=TYPE_PATTERN, description="What to run, for example `canary`.")]
    queue: Annotated[str | None, Field(pattern=QUEUE_PATTERN, description="The queue; by default the type's.")] = None
    payload: Annotated[
        Payload, Field(description="The task's input: a JSON object, at most 64 KiB and 16 levels deep.")
    ] = Field(default_factory=dict)
    request_id: Annotated[
        RequestId | None,
        Field(description="Idempotency key: the same key with the same contents answers the same task."),
    ] = None
    group: Annotated[Text, Field(max_length=128, description="The group whose limit the task obeys.")] = ""
    name: Annotated[Text, Field(max_length=200, description="A name for people.")] = ""
    job_type: Annotated[Text, Field(max_length=50)] = "manual"
    trigger_source: Annotated[Text, Field(max_length=100, description="What triggered it.")] = "api"
    priority: Annotated[int, Field(ge=-10, le=10, description="Larger goes first.")] = 0
    timeout_seconds: Annotated[Seconds | None, Field(description="Longest time one attempt may run.")] = None
    stall_timeout_seconds: Annotated[Seconds | None, Field(description="Longest time without progress.")] = None
    max_attempts: Annotated[int | None, Field(ge=1, le=100, description="By default the type's, else 1.")] = None
    retry_on_loss: Annotated[
        bool | None, Field(description="Whether an attempt lost with its worker is tried again; by default the type's.")
    ] = None
    not_before_time: Annotated[Time | None, Field(description="Not to be run before; RFC 3339.")] = None

    def to_proto(self, request_id: str) -> api.CreateTaskRequest:
        """Answer the same as TaskState takes it."""
        request = api.CreateTaskRequest(
            type=self.type,
            queue=self.queue or "",
            payload=payload_text(self.payload),
            request_id=request_id,
            group=self.group,
            name=self.name,
            job_type=self.job_type,
            trigger_source=self.trigger_source,
            priority=self.priority,
            max_attempts=self.max_attempts,
            retry_on_loss=self.retry_on_loss,
        )
        if self.timeout_seconds is not None:
            request.timeout.CopyFrom(_duration(self.timeout_seconds))
        if self.stall_timeout_seconds is not None:
            request.stall_timeout.CopyFrom(_duration(self.stall_timeout_seconds))
        if self.not_before_time is not None:
            request.not_before_time.CopyFrom(parse_time(self.not_before_time))
        return request


class StartAgent(_Body):
    """An agent run to be started: a task of type `run_agent` in the group `agent`."""

    preferences: Annotated[
        Payload, Field(description="The run's preferences: a JSON object, at most 64 KiB and 16 levels deep.")
    ] = Field(default_factory=dict)
    job_type: Annotated[Text, Field(max_length=50)] = "manual"
    request_id: Annotated[
        RequestId | None,
        Field(description="Idempotency key: the same key with the same contents answers the same task."),
    ] = None

    def to_proto(self, request_id: str) -> api.CreateTaskRequest:
        """Answer the same as TaskState takes it."""
        return api.CreateTaskRequest(
            type="run_agent",
            queue="agent",
            group="agent",
            payload=payload_text(self.preferences),
            request_id=request_id,
            job_type=self.job_type,
            trigger_source="api",
        )


class StopAgent(_Body):
    """Which agent run to stop, and how. May be left out altogether: the active run, without force."""

    task_id: Annotated[
        str | None, Field(pattern=UUID_PATTERN, description="A lower-case UUID; by default the active run.")
    ] = None
    force: Annotated[bool, Field(description="End the state at once, and the process after that.")] = False


class CancelTask(_Body):
    """Nothing more than the path and the query say; may be left out altogether."""


def _duration(seconds: float) -> Duration:
    whole = int(seconds)
    nanos = round((seconds - whole) * 1e6) * 1000
    # At least a microsecond: a positive time-out must not be rounded to "none".
    return Duration(seconds=whole + nanos // 10**9, nanos=max(nanos % 10**9, 1000 if whole == 0 else 0))
