"""A scripted TaskService for tests of clients: tasks from a dict, watches from scripts, errors as the service sends them.

Served by threads in the test's own process, so that a synchronous client can be called in the test itself.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
from google.protobuf import any_pb2, timestamp_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from taskstate.v1 import maintenance_service_pb2 as maintenance
from taskstate.v1 import maintenance_service_pb2_grpc, task_pb2, task_service_pb2_grpc
from taskstate.v1 import task_service_pb2 as pb

T0_S = 1_790_000_000
"""The service's time in these tests, in seconds since 1970."""

Step = pb.WatchTasksResponse | Callable[[grpc.ServicerContext], None]


def make_id(number: int) -> str:
    """A task's id that begins with the number in hexadecimal."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def at(seconds: float) -> timestamp_pb2.Timestamp:
    """A time so many seconds after T0."""
    moment = timestamp_pb2.Timestamp()
    moment.FromMilliseconds(round((T0_S + seconds) * 1000))
    return moment


def make_task(
    number: int = 0x8F2C1A90, state: task_pb2.TaskState = task_pb2.TASK_STATE_RUNNING, **fields
) -> task_pb2.Task:
    """A task with coherent fields for its state; `fields` win."""
    task = task_pb2.Task(
        task_id=make_id(number), type="canary", queue="default", state=state, revision=10, max_attempts=1,
        create_time=at(0), payload="{}", job_type="manual",
    )  # fmt: skip
    if state in (task_pb2.TASK_STATE_PENDING, task_pb2.TASK_STATE_QUEUED):
        if state == task_pb2.TASK_STATE_PENDING:
            task.wait_reason = task_pb2.WAIT_REASON_DISPATCH
    else:
        task.attempt = 1
        task.worker.CopyFrom(task_pb2.Worker(worker_id="w-1", host="a", pid=411, horse_pid=412))
        task.start_time.CopyFrom(at(1))
        if state == task_pb2.TASK_STATE_RUNNING:
            task.liveness = task_pb2.LIVENESS_LIVE
            task.heard_time.CopyFrom(at(1))
        else:
            task.end_time.CopyFrom(at(42))
    task.MergeFrom(task_pb2.Task(**fields))
    return task


def snapshot(*tasks: task_pb2.Task, revision: int = 10, seconds: float = 2) -> pb.WatchTasksResponse:
    """The first message of a watch without a cursor."""
    changes = [pb.TaskChange(revision=task.revision, task=task) for task in tasks]
    return pb.WatchTasksResponse(changes=changes, checkpoint=pb.Checkpoint(revision=revision, server_time=at(seconds)))


def transition(
    task: task_pb2.Task, before: task_pb2.TaskState, *, kind: task_pb2.TaskEventKind = task_pb2.TASK_EVENT_KIND_STARTED
) -> pb.WatchTasksResponse:
    """A message with one transition to the task as given."""
    event = task_pb2.TaskEvent(
        revision=task.revision, task_id=task.task_id, kind=kind, to=task.state, attempt=task.attempt, time=at(3)
    )
    setattr(event, "from", before)
    return pb.WatchTasksResponse(changes=[pb.TaskChange(revision=task.revision, event=event, task=task)])


def progress(task: task_pb2.Task) -> pb.WatchTasksResponse:
    """A message with progress, which is no transition."""
    return pb.WatchTasksResponse(changes=[pb.TaskChange(revision=task.revision, task=task)])


def fail(
    code: grpc.StatusCode,
    reason: str = "",
    message: str = "scripted",
    violations: Sequence[tuple[str, str]] = (),
) -> Callable[[grpc.ServicerContext], None]:
    """A step that ends the call with an error as the service sends it; without a reason, as a transport does."""

    def step(context: grpc.ServicerContext) -> None:
        if not reason:
            context.abort(code, message)
        details = [any_pb2.Any(), any_pb2.Any()]
        details[0].Pack(error_details_pb2.ErrorInfo(reason=reason, domain="taskstate"))
        bad = error_details_pb2.BadRequest()
        for name, description in violations:
            bad.field_violations.add(field=name, description=description)
        details[1].Pack(bad)
        number = code_pb2.Code.Value(code.name)
        context.abort_with_status(
            rpc_status.to_status(status_pb2.Status(code=number, message=message, details=details))
        )

    return step


@dataclass
class FakeTaskService(
    task_service_pb2_grpc.TaskServiceServicer, maintenance_service_pb2_grpc.MaintenanceServiceServicer
):
    """Set what it knows, then call it. Requests are kept for the test to look at."""

    tasks: dict[str, task_pb2.Task] = field(default_factory=dict)
    events: list[task_pb2.TaskEvent] = field(default_factory=list)
    lines: list[task_pb2.LogLine] = field(default_factory=list)
    sweep_items: list[maintenance.SweepItem] = field(default_factory=list)
    watches: list[list[Step]] = field(default_factory=list)
    """One script for each watch to come; after its last step a watch stays open and silent."""
    failures: dict[str, list[Callable[[grpc.ServicerContext], None]]] = field(default_factory=dict)
    """Errors for the next calls, by method."""
    requests: list[object] = field(default_factory=list)
    actors: set[str] = field(default_factory=set)
    page_limit: int = 500
    existed: bool = False
    closing: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *tasks: task_pb2.Task) -> None:
        """Makes tasks known; a later one with the same id replaces the former."""
        self.tasks.update({task.task_id: task for task in tasks})

    def requests_of(self, kind: type) -> list:
        """The requests of one kind so far."""
        return [request for request in self.requests if isinstance(request, kind)]

    def _begin(self, method: str, request: object, context: grpc.ServicerContext) -> None:
        with self._lock:
            self.requests.append(request)
            self.actors.update(value for key, value in context.invocation_metadata() if key == "taskstate-actor")
            step = self.failures[method].pop(0) if self.failures.get(method) else None
        if step is not None:
            step(context)

    def CreateTask(self, request, context):  # noqa: N802 - the name is the API's.
        self._begin("CreateTask", request, context)
        task = make_task(
            state=task_pb2.TASK_STATE_PENDING, type=request.type, name=request.name, payload=request.payload
        )
        self.tasks.setdefault(task.task_id, task)
        return pb.CreateTaskResponse(task=task, existed=self.existed)

    def GetTask(self, request, context):  # noqa: N802
        self._begin("GetTask", request, context)
        if request.task_id not in self.tasks:
            fail(grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND", f"no task {request.task_id}")(context)
        return pb.GetTaskResponse(task=self.tasks[request.task_id], revision=10)

    def ListTasks(self, request, context):  # noqa: N802
        self._begin("ListTasks", request, context)
        found = [
            task
            for task in self.tasks.values()
            if (not request.states or task.state in request.states)
            and (not request.text or request.text in task.task_id or request.text in task.name)
        ]
        start, size = int(request.page_token or 0), min(request.page_size or 50, self.page_limit)
        rest = str(start + size) if start + size < len(found) else ""
        page = pb.ListTasksResponse(tasks=found[start : start + size], next_page_token=rest, revision=10)
        if request.with_total_count:
            page.total_count = len(found)
        return page

    def GetActiveTask(self, request, context):  # noqa: N802
        self._begin("GetActiveTask", request, context)
        active = [task for task in self.tasks.values() if task.group == request.group]
        return pb.GetActiveTaskResponse(
            task=active[0] if active else None, queue_size=max(0, len(active) - 1), revision=10
        )

    def CancelTask(self, request, context):  # noqa: N802
        self._begin("CancelTask", request, context)
        if request.task_id not in self.tasks:
            fail(grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND", f"no task {request.task_id}")(context)
        task = self.tasks[request.task_id]
        if task.HasField("end_time"):
            fail(grpc.StatusCode.FAILED_PRECONDITION, "TASK_TERMINAL", "The task has ended: SUCCEEDED.")(context)
        task.cancel.CopyFrom(task_pb2.Cancel(force=request.force, request_time=at(50), deadline_time=at(65)))
        if task.state != task_pb2.TASK_STATE_RUNNING:
            task.state, task.cancel.outcome = task_pb2.TASK_STATE_CANCELLED, task_pb2.CANCEL_OUTCOME_CONFIRMED
        if request.force:
            task.state, task.reason = task_pb2.TASK_STATE_FAILED, task_pb2.TASK_REASON_FORCE_CANCELLED
        return pb.CancelTaskResponse(task=task)

    def PlanSweep(self, request, context):  # noqa: N802
        self._begin("PlanSweep", request, context)
        start = int(request.page_token or 0)
        rest = str(start + 2) if start + 2 < len(self.sweep_items) else ""
        items = self.sweep_items[start : start + 2]
        return maintenance.PlanSweepResponse(items=items, next_page_token=rest, revision=10)

    def ListTaskEvents(self, request, context):  # noqa: N802
        self._begin("ListTaskEvents", request, context)
        start = int(request.page_token or 0)
        rest = str(start + 2) if start + 2 < len(self.events) else ""
        return pb.ListTaskEventsResponse(events=self.events[start : start + 2], next_page_token=rest, revision=10)

    def ListTaskLogs(self, request, context):  # noqa: N802
        self._begin("ListTaskLogs", request, context)
        found = [
            line
            for line in self.lines
            if line.sequence > request.after_sequence
            and request.attempt in (0, line.attempt)
            and line.level >= request.min_level
        ]
        start = int(request.page_token or 0)
        rest = str(start + 2) if start + 2 < len(found) else ""
        return pb.ListTaskLogsResponse(lines=found[start : start + 2], next_page_token=rest)

    def WatchTasks(self, request, context):  # noqa: N802
        self._begin("WatchTasks", request, context)
        with self._lock:
            script = self.watches.pop(0) if self.watches else []
        for step in script:
            if isinstance(step, pb.WatchTasksResponse):
                yield step
            else:
                step(context)
        context.add_callback(self.closing.set)
        self.closing.wait()


@contextlib.contextmanager
def serving(service: FakeTaskService) -> Iterator[str]:
    """Serves it on loopback; answers the target."""
    server = grpc.server(ThreadPoolExecutor(max_workers=8, thread_name_prefix="fake-task-service"))
    task_service_pb2_grpc.add_TaskServiceServicer_to_server(service, server)
    maintenance_service_pb2_grpc.add_MaintenanceServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        service.closing.set()
        server.stop(0).wait()
