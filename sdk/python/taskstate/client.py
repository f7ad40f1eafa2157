"""The synchronous client: create tasks, read them, wait for them, watch them.

    from taskstate.client import TaskStateClient

    with TaskStateClient() as client:
        task = client.create("canary", {"seconds": 5})
        task = client.wait(task.task_id, timeout=60)
        print(task.state, task.result)

What comes back are the messages of the API (``taskstate.v1.task_pb2``). Every unary call has a deadline and is repeated
a few times while the service cannot be reached; all of them may be repeated by the caller too, ``create`` because it
always sends a request_id. A client may be shared by threads; it must not be carried through a fork.

Every method raises ``taskstate.errors.TaskStateError`` when the service refuses or cannot be reached; branch on its
``code`` and ``reason``. Never used in an RQ worker or a work-horse: it needs gRPC.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypedDict, Unpack

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from taskstate.channel import DEFAULT_TARGET, sync_channel
from taskstate.errors import from_rpc_error
from taskstate.json_view import log_level_from_text, state_from_text
from taskstate.task_watch import TaskWatch, WatchReset
from taskstate.v1 import (
    maintenance_service_pb2,
    maintenance_service_pb2_grpc,
    task_pb2,
    task_service_pb2,
    task_service_pb2_grpc,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from google.protobuf.message import Message

    from taskstate.v1.maintenance_service_pb2 import SweepItem
    from taskstate.v1.task_pb2 import LogLine, Task, TaskEvent

TARGET_VARIABLE: Final = "TASKSTATE_TARGET"
TERMINAL_STATES: Final = frozenset(
    {
        task_pb2.TASK_STATE_SUCCEEDED,
        task_pb2.TASK_STATE_FAILED,
        task_pb2.TASK_STATE_CANCELLED,
        task_pb2.TASK_STATE_LOST,
    }
)
_ACTOR_LENGTH_MAX: Final = 128


class TaskFields(TypedDict, total=False):
    """What a creator may say about a task beside its type and input."""

    request_id: str | None
    """Your idempotency key: the same key with the same contents answers the same task. Keep it if you may have to call
    again after a crash; made up when left out."""
    queue: str
    group: str
    """Tasks of one group share a limit on how many run at once."""
    name: str
    job_type: str
    trigger_source: str
    priority: int
    """Larger goes first; -10 to 10."""
    timeout: float | timedelta | None
    """Longest time one attempt may run; a number is seconds."""
    stall_timeout: float | timedelta | None
    """Longest time without progress; a number is seconds."""
    max_attempts: int | None
    retry_on_loss: bool | None
    not_before: datetime | None
    """Not to be run before; with a time zone."""


class ActiveTask(NamedTuple):
    """What a group is doing."""

    task: Task | None
    """The oldest running task, else the oldest that waits; None when the group is idle."""
    queue_size: int
    """How many tasks of the group wait."""
    revision: int
    """The revision of the read; a watch from here misses nothing."""


class TaskStateClient:
    """One connection to TaskState, made at the first call. Close it, or use it as a context manager.

    ``target``: "host:port", or several separated by commas; the variable TASKSTATE_TARGET, else 127.0.0.1:50051, when
    None. ``actor``: who asks, for the audit trail, at most 128 ASCII characters. ``timeout_s``: deadline of each unary
    call in seconds, its repetitions included.
    """

    def __init__(self, target: str | None = None, actor: str | None = None, *, timeout_s: float = 10.0) -> None:
        self.target = target or os.environ.get(TARGET_VARIABLE) or DEFAULT_TARGET
        self.actor = _ascii(actor or "python")
        self._timeout_s = timeout_s
        self._metadata = (("taskstate-actor", self.actor),)
        # A create is repeated by the channel as well, which is safe because each one here carries a request_id.
        self._channel: grpc.Channel = sync_channel(self.target, retry_creates=True)
        self._stub: Any = task_service_pb2_grpc.TaskServiceStub(self._channel)
        self._maintenance: Any = maintenance_service_pb2_grpc.MaintenanceServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; watches that are still open end with an error."""
        self._channel.close()

    # --- creating -----------------------------------------------------------------------------------------------------

    def create(
        self,
        type: str,  # noqa: A002 - the API's own word
        payload: Mapping[str, Any] | None = None,
        **fields: Unpack[TaskFields],
    ) -> Task:
        """Creates a task and answers it as accepted; does not wait for it to run.

        ``payload``: the task's input, a JSON object of at most 64 KiB. ``fields``: see ``TaskFields``; what is left out
        is decided by the type. May be called again with the same ``request_id``. Raises ValueError for a payload that
        is no JSON.
        """
        return self.submit(create_request(type, payload, **fields)).task

    def submit(self, request: task_service_pb2.CreateTaskRequest) -> task_service_pb2.CreateTaskResponse:
        """Creates a task from the API's own request; the answer also says whether the task existed already.

        Without a request_id a repetition may make a second task, so one is put in where it is empty: keep the request
        to call again.
        """
        if not request.request_id:
            request.request_id = str(uuid.uuid4())
        answer: task_service_pb2.CreateTaskResponse = self._call(self._stub.CreateTask, request)
        return answer

    # --- stopping -----------------------------------------------------------------------------------------------------

    def cancel(self, task_id: str, force: bool = False) -> Task:
        """Asks to stop the task and answers it as it is then; its ``cancel`` is the receipt. Does not wait for the end.

        A waiting task is CANCELLED at once. A running one stays RUNNING until it stops: it is told, then its process is
        ended, and it is over at the receipt's deadline in any case. ``force``: the state is FAILED (FORCE_CANCELLED) at
        once, and the process is ended after that. May be called again; once the task has ended, FAILED_PRECONDITION
        with the reason TASK_TERMINAL. NOT_FOUND for an unknown task.
        """
        answer: task_service_pb2.CancelTaskResponse = self._call(
            self._stub.CancelTask, task_service_pb2.CancelTaskRequest(task_id=task_id, force=force)
        )
        return answer.task

    def plan_sweep(self, max_age_s: float | None = None, *, page_size: int = 0) -> Iterator[SweepItem]:
        """What the stale sweep would look at now, with its verdict and the evidence; changes nothing.

        ``max_age_s``: also the attempts that are alive and run longer than so many seconds (OVERDUE). Page by page as
        you iterate; each page is judged when it is read.
        """
        request = maintenance_service_pb2.PlanSweepRequest(page_size=page_size, max_age=_duration(max_age_s))
        while True:
            answer = self._call(self._maintenance.PlanSweep, request)
            yield from answer.items
            request.page_token = answer.next_page_token
            if not request.page_token:
                return

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, task_id: str) -> Task:
        """One task with its whole result. NOT_FOUND for an unknown or purged one."""
        answer: task_service_pb2.GetTaskResponse = self._call(
            self._stub.GetTask, task_service_pb2.GetTaskRequest(task_id=task_id)
        )
        return answer.task

    def page(
        self,
        *,
        states: Iterable[task_pb2.TaskState | str] = (),
        types: Iterable[str] = (),
        queue: str = "",
        group: str = "",
        job_type: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        text: str = "",
        oldest_first: bool = False,
        page_size: int = 0,
        page_token: str = "",
        with_total_count: bool = False,
    ) -> task_service_pb2.ListTasksResponse:
        """One page of the tasks that match, newest first unless asked otherwise, and the revision of the read.

        ``states``: values of the enum, or words such as "running" (ValueError for a word that is none). ``since`` and
        ``until``: creation times with a zone. ``text``: part of a name, type, id or message. ``page_token``: the former
        page's ``next_page_token``, with all else unchanged.
        """
        order = task_service_pb2.TASK_ORDER_OLDEST_FIRST if oldest_first else task_service_pb2.TASK_ORDER_NEWEST_FIRST
        request = task_service_pb2.ListTasksRequest(
            page_size=page_size,
            page_token=page_token,
            states=[number for state in states for number in _states(state)],
            types=types,
            queue=queue,
            group=group,
            job_type=job_type,
            since_time=_timestamp(since),
            until_time=_timestamp(until),
            text=text,
            order=order,
            with_total_count=with_total_count,
        )
        answer: task_service_pb2.ListTasksResponse = self._call(self._stub.ListTasks, request)
        return answer

    def list(self, *, page_size: int = 0, **conditions: Any) -> Iterator[Task]:
        """All tasks that match, page by page as you iterate. Takes the conditions of ``page``."""
        page_token = ""
        while True:
            page = self.page(page_size=page_size, page_token=page_token, **conditions)
            yield from page.tasks
            page_token = page.next_page_token
            if not page_token:
                return

    def active(self, group: str) -> ActiveTask:
        """What the group is doing now."""
        answer = self._call(self._stub.GetActiveTask, task_service_pb2.GetActiveTaskRequest(group=group))
        return ActiveTask(answer.task if answer.HasField("task") else None, answer.queue_size, answer.revision)

    def events(self, task_id: str, *, page_size: int = 0) -> Iterator[TaskEvent]:
        """The task's audit trail, oldest first, page by page as you iterate."""
        request = task_service_pb2.ListTaskEventsRequest(task_id=task_id, page_size=page_size)
        while True:
            answer = self._call(self._stub.ListTaskEvents, request)
            yield from answer.events
            request.page_token = answer.next_page_token
            if not request.page_token:
                return

    def logs(
        self,
        task_id: str,
        *,
        after_sequence: int = 0,
        attempt: int = 0,
        min_level: task_pb2.LogLevel | str = task_pb2.LOG_LEVEL_UNSPECIFIED,
        page_size: int = 0,
    ) -> Iterator[LogLine]:
        """The lines the task logged so far, oldest first, page by page as you iterate.

        ``after_sequence``: only lines after this one, so that a later call gets what is new. ``attempt``: only this
        one; 0 for all. ``min_level``: a value of the enum or a word such as "warning".
        """
        request = task_service_pb2.ListTaskLogsRequest(
            task_id=task_id,
            page_size=page_size,
            after_sequence=after_sequence,
            attempt=attempt,
            min_level=log_level_from_text(min_level) if isinstance(min_level, str) else min_level,
        )
        while True:
            answer = self._call(self._stub.ListTaskLogs, request)
            yield from answer.lines
            request.page_token = answer.next_page_token
            if not request.page_token:
                return

    # --- waiting and watching -----------------------------------------------------------------------------------------

    def watch(
        self,
        *,
        task_ids: Iterable[str] = (),
        group: str = "",
        types: Iterable[str] = (),
        queue: str = "",
        from_revision: int | None = None,
        timeout_s: float | None = None,
        patience_s: float | None = None,
    ) -> TaskWatch:
        """The current state, then every change, for as long as you iterate; see ``taskstate.task_watch`` for the items.

        Resumes by itself after a broken connection. ``from_revision``: leave out the snapshot and begin after this
        cursor. ``timeout_s``: TimeoutError after so many seconds. ``patience_s``: give up when the service was not
        heard for so long; None to try for ever.
        """
        request = task_service_pb2.WatchTasksRequest(
            task_ids=task_ids, group=group, types=types, queue=queue, from_revision=from_revision
        )
        return TaskWatch(self._open_watch, request, timeout_s=timeout_s, patience_s=patience_s)

    def wait(self, task_id: str, timeout: float | None = None) -> Task:
        """Waits until the task has ended and answers it with its whole result, however it ended: look at its state.

        ``timeout``: seconds, TimeoutError after that; None to wait for ever, also through outages of the service.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            # Also the way to learn that the task was purged while the watch had no cursor to tell it by.
            task = self.get(task_id)
            if has_ended(task):
                return task
            remaining_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            self._wait_for_end(task_id, remaining_s)

    def _wait_for_end(self, task_id: str, timeout_s: float | None) -> None:
        """Returns once the watch shows the task's end, or has to start over."""
        for item in self.watch(task_ids=[task_id], timeout_s=timeout_s):
            if isinstance(item, WatchReset):
                return
            if isinstance(item, task_service_pb2.TaskChange) and item.HasField("task") and has_ended(item.task):
                return

    def _open_watch(self, request: task_service_pb2.WatchTasksRequest, *, timeout: float | None) -> Any:
        return self._stub.WatchTasks(request, timeout=timeout, metadata=self._metadata)

    def _call(self, method: Callable[..., Any], request: Message) -> Any:
        try:
            return method(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error


def create_request(
    type_: str, payload: Mapping[str, Any] | None = None, **fields: Unpack[TaskFields]
) -> task_service_pb2.CreateTaskRequest:
    """The API's request for a new task, with a request_id of its own where none was given."""
    return task_service_pb2.CreateTaskRequest(
        type=type_,
        payload="" if payload is None else json.dumps(payload, allow_nan=False),
        request_id=fields.get("request_id") or str(uuid.uuid4()),
        queue=fields.get("queue", ""),
        group=fields.get("group", ""),
        name=fields.get("name", ""),
        job_type=fields.get("job_type", ""),
        trigger_source=fields.get("trigger_source", ""),
        priority=fields.get("priority", 0),
        timeout=_duration(fields.get("timeout")),
        stall_timeout=_duration(fields.get("stall_timeout")),
        max_attempts=fields.get("max_attempts"),
        retry_on_loss=fields.get("retry_on_loss"),
        not_before_time=_timestamp(fields.get("not_before")),
    )


def has_ended(task: Task) -> bool:
    """Whether the task is in a state that nothing leaves. An unknown state, of a newer service, counts as active."""
    return task.state in TERMINAL_STATES


def _states(state: task_pb2.TaskState | str) -> Iterable[task_pb2.TaskState]:
    return state_from_text(state) if isinstance(state, str) else (state,)


def _duration(value: float | timedelta | None) -> Duration | None:
    if value is None:
        return None
    duration = Duration()
    duration.FromTimedelta(value if isinstance(value, timedelta) else timedelta(seconds=value))
    return duration


def _timestamp(value: datetime | None) -> Timestamp | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no time zone; say which, for example with tzinfo=datetime.UTC")
    timestamp = Timestamp()
    timestamp.FromDatetime(value.astimezone(UTC))
    return timestamp


def _ascii(actor: str) -> str:
    """Metadata takes printable ASCII only; other characters of a user's name become question marks."""
    kept = "".join(character if " " <= character <= "~" else "?" for character in actor)
    return kept[:_ACTOR_LENGTH_MAX].strip() or "python"
