"""A TaskState of a few lines, in memory, with the real rules of the watch: snapshot, revisions, resume, compaction.

It runs on the test's own event loop behind a real gRPC server, so that a test moves tasks by plain calls.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, error_details_pb2, status_pb2
from taskstate.v1 import task_pb2 as pb
from taskstate.v1 import task_service_pb2 as api
from taskstate.v1 import task_service_pb2_grpc as rpc

ACTIVE = (pb.TASK_STATE_PENDING, pb.TASK_STATE_QUEUED, pb.TASK_STATE_RUNNING, pb.TASK_STATE_RETRYING)
CHECKPOINT_S = 0.2


def time_of(revision: int) -> Timestamp:
    return Timestamp(seconds=1_800_000_000 + revision, nanos=120_000_000)


@dataclass
class Failure:
    code: grpc.StatusCode
    reason: str = ""
    message: str = "scripted"
    violations: tuple[tuple[str, str], ...] = ()


class Refused(Exception):
    """A watch ends with this failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


async def abort(context: grpc.aio.ServicerContext, failure: Failure) -> None:
    if not failure.reason:
        await context.abort(failure.code, failure.message)
    details = [AnyMessage(), AnyMessage()]
    details[0].Pack(error_details_pb2.ErrorInfo(reason=failure.reason, domain="taskstate"))
    bad = error_details_pb2.BadRequest()
    for name, description in failure.violations:
        bad.field_violations.add(field=name, description=description)
    details[1].Pack(bad)
    status = status_pb2.Status(code=code_pb2.Code.Value(failure.code.name), message=failure.message, details=details)
    await context.abort(failure.code, failure.message, (("grpc-status-details-bin", status.SerializeToString()),))


@dataclass
class MemoryTaskState(rpc.TaskServiceServicer):
    """Move tasks by `create`, `move` and `progress`; look at `requests` and `actors`; set `failures` by method."""

    revision: int = 0
    compacted: int = 0
    tasks: dict[str, pb.Task] = field(default_factory=dict)
    events: list[pb.TaskEvent] = field(default_factory=list)
    logs: dict[str, list[pb.LogLine]] = field(default_factory=dict)
    requests: list[Any] = field(default_factory=list)
    actors: list[str] = field(default_factory=list)
    failures: dict[str, list[Failure]] = field(default_factory=lambda: defaultdict(list))
    by_request_id: dict[str, str] = field(default_factory=dict)
    watches: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _broken: asyncio.Event = field(default_factory=asyncio.Event)
    held: asyncio.Event | None = None

    def create(self, type_name: str = "canary", **fields: Any) -> pb.Task:
        payload = fields.pop("payload", "{}")
        task = pb.Task(task_id=str(uuid.uuid4()), type=type_name, max_attempts=1, payload=payload)
        task.MergeFrom(pb.Task(**fields))
        task.create_time.CopyFrom(time_of(self.revision + 1))
        self.tasks[task.task_id] = task
        self._event(task, pb.TASK_EVENT_KIND_CREATED, pb.TASK_STATE_UNSPECIFIED, pb.TASK_STATE_PENDING)
        return task

    def move(self, task: pb.Task, state: pb.TaskState, kind: pb.TaskEventKind = pb.TASK_EVENT_KIND_STARTED) -> int:
        if state == pb.TASK_STATE_RUNNING and not task.attempt:
            task.attempt = 1
            task.start_time.CopyFrom(time_of(self.revision + 1))
        if state not in ACTIVE:
            task.end_time.CopyFrom(time_of(self.revision + 1))
        return self._event(task, kind, task.state, state)

    def progress(self, task: pb.Task, done: float) -> int:
        self.revision += 1
        task.progress.done = done
        task.revision = self.revision
        self._wake()
        return self.revision

    def break_watches(self) -> None:
        """End every open watch as a dying replica does."""
        self._broken.set()
        self._broken = asyncio.Event()

    def requests_of(self, kind: type) -> list[Any]:
        return [request for request in self.requests if isinstance(request, kind)]

    def _event(self, task: pb.Task, kind: pb.TaskEventKind, before: pb.TaskState, after: pb.TaskState) -> int:
        self.revision += 1
        task.state = after
        task.revision = self.revision
        event = pb.TaskEvent(
            revision=self.revision, task_id=task.task_id, kind=kind, to=after, attempt=task.attempt, actor="test",
            time=time_of(self.revision),
        )  # fmt: skip
        setattr(event, "from", before)
        self.events.append(event)
        self._wake()
        return self.revision

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _begin(self, method: str, request: Any, context: grpc.aio.ServicerContext) -> None:
        self.requests.append(request)
        self.actors.extend(value for key, value in context.invocation_metadata() if key == "taskstate-actor")
        if self.failures[method]:
            await abort(context, self.failures[method].pop(0))

    async def CreateTask(self, request, context):  # noqa: N802 - the names are the API's.
        await self._begin("CreateTask", request, context)
        known = self.by_request_id.get(request.request_id)
        if known is not None:
            if self.tasks[known].payload != request.payload:
                await abort(context, Failure(grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_CONFLICT", "used before"))
            return api.CreateTaskResponse(task=self.tasks[known], existed=True)
        task = self.create(
            request.type, queue=request.queue, group=request.group, name=request.name, payload=request.payload,
            job_type=request.job_type, trigger_source=request.trigger_source,
        )  # fmt: skip
        self.by_request_id[request.request_id] = task.task_id
        return api.CreateTaskResponse(task=task)

    async def _task(self, task_id: str, context: grpc.aio.ServicerContext) -> pb.Task:
        if task_id not in self.tasks:
            await abort(context, Failure(grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND", f"No task has the id {task_id}."))
        return self.tasks[task_id]

    async def GetTask(self, request, context):  # noqa: N802
        await self._begin("GetTask", request, context)
        return api.GetTaskResponse(task=await self._task(request.task_id, context), revision=self.revision)

    async def CancelTask(self, request, context):  # noqa: N802
        await self._begin("CancelTask", request, context)
        task = await self._task(request.task_id, context)
        if task.state not in ACTIVE:
            await abort(context, Failure(grpc.StatusCode.FAILED_PRECONDITION, "TASK_TERMINAL", "The task has ended."))
        was_running, now = task.state == pb.TASK_STATE_RUNNING, time_of(self.revision + 1)
        asked = pb.Cancel(force=request.force, request_time=now, deadline_time=time_of(self.revision + 16))
        if not was_running:
            asked.outcome = pb.CANCEL_OUTCOME_CONFIRMED
        task.cancel.CopyFrom(asked)
        state = pb.TASK_STATE_RUNNING if was_running else pb.TASK_STATE_CANCELLED
        if request.force:
            state, task.reason = pb.TASK_STATE_FAILED, pb.TASK_REASON_FORCE_CANCELLED
        self.move(task, state, pb.TASK_EVENT_KIND_CANCEL_REQUESTED)
        return api.CancelTaskResponse(task=task)

    async def ListTasks(self, request, context):  # noqa: N802
        await self._begin("ListTasks", request, context)
        found = [t for t in reversed(self.tasks.values()) if not request.states or t.state in request.states]
        start = int(request.page_token or request.offset)
        rest = str(start + request.page_size) if start + request.page_size < len(found) else ""
        return api.ListTasksResponse(
            tasks=found[start : start + request.page_size], next_page_token=rest, revision=self.revision,
            total_count=len(found) if request.with_total_count else None,
        )  # fmt: skip

    async def GetActiveTask(self, request, context):  # noqa: N802
        await self._begin("GetActiveTask", request, context)
        active = [t for t in self.tasks.values() if t.group == request.group and t.state in ACTIVE]
        running = [t for t in active if t.state == pb.TASK_STATE_RUNNING]
        return api.GetActiveTaskResponse(
            task=next(iter(running or active), None), queue_size=len(active) - len(running), revision=self.revision
        )

    async def ListTaskEvents(self, request, context):  # noqa: N802
        await self._begin("ListTaskEvents", request, context)
        await self._task(request.task_id, context)
        found = [event for event in self.events if event.task_id == request.task_id]
        return api.ListTaskEventsResponse(events=found[: request.page_size], revision=self.revision)

    async def ListTaskLogs(self, request, context):  # noqa: N802
        await self._begin("ListTaskLogs", request, context)
        await self._task(request.task_id, context)
        found = [line for line in self.logs.get(request.task_id, []) if line.sequence > request.after_sequence]
        return api.ListTaskLogsResponse(lines=found[: request.page_size])

    async def WatchTasks(self, request, context) -> AsyncIterator[api.WatchTasksResponse]:  # noqa: N802
        await self._begin("WatchTasks", request, context)
        try:
            async for response in self.watch(request):
                yield response
        except Refused as refused:
            await abort(context, refused.failure)

    async def watch(self, request: api.WatchTasksRequest) -> AsyncGenerator[api.WatchTasksResponse, None]:
        """The watch itself, without gRPC around it. Raises Refused."""
        self.watches += 1
        try:
            broken = self._broken
            async for response in self._watch(request, broken):
                if broken.is_set():
                    raise Refused(Failure(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"))
                yield response
        finally:
            self.watches -= 1

    async def _watch(self, request, broken) -> AsyncGenerator[api.WatchTasksResponse, None]:
        def wanted(task: pb.Task) -> bool:
            return (
                (not request.task_ids or task.task_id in request.task_ids)
                and (not request.group or task.group == request.group)
                and (not request.types or task.type in request.types)
            )

        if request.HasField("from_revision"):
            cursor = request.from_revision
            if cursor > self.revision:
                raise Refused(Failure(grpc.StatusCode.OUT_OF_RANGE, "FUTURE_REVISION"))
            if cursor < self.compacted:
                raise Refused(Failure(grpc.StatusCode.OUT_OF_RANGE, "COMPACTED"))
        else:
            cursor = self.revision
            rows = [t for t in self.tasks.values() if wanted(t) and (t.state in ACTIVE or request.task_ids)]
            # One row a message, so that a snapshot spans several.
            for task in rows:
                yield api.WatchTasksResponse(changes=[api.TaskChange(revision=task.revision, task=task)])
            yield api.WatchTasksResponse(checkpoint=self._checkpoint(cursor))
        while True:
            if self.held is not None:
                await self.held.wait()
            changed, head = self._changed, self.revision
            events = [e for e in self.events if cursor < e.revision <= head and wanted(self.tasks[e.task_id])]
            newest = {event.task_id: event.revision for event in events}
            changes = [
                api.TaskChange(
                    revision=e.revision,
                    event=e,
                    task=self.tasks[e.task_id] if newest[e.task_id] == e.revision else None,
                )
                for e in events
            ]
            changes += [
                api.TaskChange(revision=t.revision, task=t)
                for t in self.tasks.values()
                if wanted(t) and cursor < t.revision <= head and t.revision != newest.get(t.task_id)
            ]
            cursor = head
            # Split as a bounded message would be: an event may come before the message with its task.
            for start in range(0, len(changes), 3):
                yield api.WatchTasksResponse(changes=changes[start : start + 3])
            yield api.WatchTasksResponse(checkpoint=self._checkpoint(cursor))
            waiting = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(broken.wait())]
            await asyncio.wait(waiting, timeout=CHECKPOINT_S, return_when=asyncio.FIRST_COMPLETED)
            for future in waiting:
                future.cancel()
            if broken.is_set():
                raise Refused(Failure(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"))

    def _checkpoint(self, revision: int) -> api.Checkpoint:
        return api.Checkpoint(revision=revision, server_time=time_of(revision))


@asynccontextmanager
async def serving(fake: MemoryTaskState, port: int = 0) -> AsyncIterator[int]:
    """Serve it on loopback; yields the port."""
    server = grpc.aio.server()
    rpc.add_TaskServiceServicer_to_server(fake, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(0)
