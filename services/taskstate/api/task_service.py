"""TaskService: validate, call, render."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc
from taskstate.v1 import task_pb2 as pb
from taskstate.v1 import task_service_pb2 as service_pb
from taskstate.v1 import task_service_pb2_grpc

from services.taskstate.api import page_bytes, page_token, render, task_requests
from services.taskstate.api.actor import actor_of
from services.taskstate.api.errors import ApiError, from_exception, from_refusal
from services.taskstate.api.validation import TOKEN_MAX, Checker
from services.taskstate.command import CancelTask, Refused
from services.taskstate.database import Database
from services.taskstate.feed import Feed
from services.taskstate.pipeline import Pipeline
from services.taskstate.reads import Reads
from services.taskstate.watch import Watch

WRITE_TIMEOUT_S = 30.0
_LEVELS = tuple(range(6))

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class TaskServicer(task_service_pb2_grpc.TaskServiceServicer):
    """The API of producers, the gateway and people; the contract stands in task_service.proto."""

    pipeline: Pipeline
    database: Database
    reads: Reads
    feed: Feed
    watches_max: int
    renderer: render.WatchRenderer = field(default_factory=render.WatchRenderer)
    watches: int = 0

    async def CreateTask(  # noqa: N802
        self, request: service_pb.CreateTaskRequest, context: Context
    ) -> service_pb.CreateTaskResponse:
        """See task_service.proto."""
        command = task_requests.create_command(request, actor_of(context))
        outcome = await self.pipeline.submit(command)
        if isinstance(outcome, Refused):
            raise from_refusal(outcome)
        return service_pb.CreateTaskResponse(task=render.task(outcome.task), existed=outcome.no_op)

    async def GetTask(  # noqa: N802
        self, request: service_pb.GetTaskRequest, _context: Context
    ) -> service_pb.GetTaskResponse:
        """See task_service.proto."""
        check = Checker()
        check.task_id("task_id", request.task_id)
        check.done()
        revision, task = await self.reads.task(request.task_id)
        if task is None:
            raise _not_found(request.task_id)
        return service_pb.GetTaskResponse(task=render.task(task), revision=revision)

    async def ListTasks(  # noqa: N802
        self, request: service_pb.ListTasksRequest, _context: Context
    ) -> service_pb.ListTasksResponse:
        """See task_service.proto."""
        check = Checker()
        page_size = check.page_size(request.page_size)
        wanted = task_requests.list_filter(request, check)
        check.done()
        after = page_token.read(request, request.page_token)
        newest_first = request.order != service_pb.TASK_ORDER_OLDEST_FIRST
        revision, found = await self.reads.tasks(wanted, newest_first, after, request.offset, page_size + 1)
        response = service_pb.ListTasksResponse(revision=revision)
        last = page_bytes.fill(response.tasks, map(render.task, found[:page_size]))
        if last < len(found):
            # The offset belongs to the first page only: a token continues from a task, wherever that stood.
            bound = service_pb.ListTasksRequest()
            bound.CopyFrom(request)
            bound.ClearField("offset")
            response.next_page_token = page_token.make(bound, found[last - 1].spec.create_revision)
        if request.with_total_count:
            response.total_count = await self.reads.count(wanted)
        return response

    async def GetActiveTask(  # noqa: N802
        self, request: service_pb.GetActiveTaskRequest, _context: Context
    ) -> service_pb.GetActiveTaskResponse:
        """See task_service.proto."""
        check = Checker()
        check.label("group", request.group, 128, required=True)
        check.done()
        revision, task, size = await self.reads.active(request.group)
        shown = render.task(task) if task else None
        return service_pb.GetActiveTaskResponse(task=shown, queue_size=size, revision=revision)

    async def WatchTasks(self, request: service_pb.WatchTasksRequest, context: Context) -> None:  # noqa: N802
        """See task_service.proto."""
        wanted = task_requests.watch_filter(request)
        if self.watches >= self.watches_max:
            raise ApiError(
                "LIMIT_EXCEEDED",
                f"This replica carries {self.watches_max} watches and takes no more; try another, or later.",
                {"limit": "watches", "max": str(self.watches_max)},
            )
        from_revision = request.from_revision if request.HasField("from_revision") else None
        watch = Watch(self.feed, self.database, wanted, from_revision)
        # Not the watch's own cursor, which is ahead by what it is about to deliver.
        delivered = from_revision
        self.watches += 1
        try:
            async for delivery in watch.deliveries():
                for message in self.renderer.messages(delivery):
                    await _write(context, message, delivered)
                    delivered = _cursor_after(message, delivered)
        except Exception as error:
            known = from_exception(error, from_revision or 0)
            raise (known or error) from error
        finally:
            self.watches -= 1

    async def CancelTask(  # noqa: N802
        self, request: service_pb.CancelTaskRequest, context: Context
    ) -> service_pb.CancelTaskResponse:
        """See task_service.proto."""
        check = Checker()
        check.task_id("task_id", request.task_id)
        check.done()
        command = CancelTask(task_id=request.task_id, actor=actor_of(context), force=request.force)
        outcome = await self.pipeline.submit(command)
        if isinstance(outcome, Refused):
            raise from_refusal(outcome)
        return service_pb.CancelTaskResponse(task=render.task(outcome.task))

    async def ListTaskEvents(  # noqa: N802
        self, request: service_pb.ListTaskEventsRequest, _context: Context
    ) -> service_pb.ListTaskEventsResponse:
        """See task_service.proto."""
        check = Checker()
        check.task_id("task_id", request.task_id)
        page_size = check.page_size(request.page_size)
        check.done()
        after = page_token.read(request, request.page_token) or 0
        revision, events = await self.reads.events(request.task_id, after, page_size + 1)
        if events is None:
            raise _not_found(request.task_id)
        response = service_pb.ListTaskEventsResponse(revision=revision)
        response.events.extend(render.event(event) for event in events[:page_size])
        if len(events) > page_size:
            response.next_page_token = page_token.make(request, events[page_size - 1].revision)
        return response

    async def ListTaskLogs(  # noqa: N802
        self, request: service_pb.ListTaskLogsRequest, _context: Context
    ) -> service_pb.ListTaskLogsResponse:
        """See task_service.proto."""
        check = Checker()
        check.task_id("task_id", request.task_id)
        check.integer("after_sequence", request.after_sequence, 0, TOKEN_MAX)
        check.integer("attempt", request.attempt, 0, 100)
        check.one_of("min_level", request.min_level, _LEVELS, pb.LogLevel)
        page_size = check.page_size(request.page_size)
        check.done()
        after = page_token.read(request, request.page_token)
        lines = await self.reads.lines(
            request.task_id,
            request.after_sequence if after is None else after,
            request.attempt,
            int(request.min_level),
            page_size + 1,
        )
        if lines is None:
            raise _not_found(request.task_id)
        response = service_pb.ListTaskLogsResponse()
        last = page_bytes.fill(response.lines, map(render.log_line, lines[:page_size]))
        if last < len(lines):
            response.next_page_token = page_token.make(request, lines[last - 1].sequence)
        return response


async def _write(context: Context, message: service_pb.WatchTasksResponse, delivered: int | None) -> None:
    """Send one message to a watcher; one that takes nothing for 30 s is let go, to resume from what it was delivered."""
    try:
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await context.write(message)
    except TimeoutError:
        told = "start again" if delivered is None else "resume from the last cursor received"
        raise ApiError(
            "SLOW_WATCHER",
            f"Nothing was taken for {WRITE_TIMEOUT_S:g} s; {told}.",
            {} if delivered is None else {"revision": str(delivered)},
        ) from None


def _cursor_after(message: service_pb.WatchTasksResponse, before: int | None) -> int | None:
    """The newest cursor that a watcher has after this message: a checkpoint's or a transition's revision."""
    if message.HasField("checkpoint"):
        return message.checkpoint.revision
    return next((change.revision for change in reversed(message.changes) if change.HasField("event")), before)


def _not_found(task_id: str) -> ApiError:
    return ApiError("TASK_NOT_FOUND", "No task has this id; it may have been purged.", {"task_id": task_id})
