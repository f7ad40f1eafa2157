"""From the domain to messages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from taskstate.v1 import task_pb2 as pb
from taskstate.v1 import task_service_pb2 as service_pb

from services.taskstate.model import Cancel, Event, LogLine, Phase, ProcessExit, Task, Worker
from services.taskstate.progress import progress_of
from services.taskstate.watch import Change, Delivery

_LEVELS = {number: name for name, number in pb.LogLevel.items()}

WATCH_MESSAGE_BYTES = 1024 * 1024
"""A watch's messages are cut near this size, far below gRPC's limit of 4 MiB."""


def timestamp(time: datetime | None) -> Timestamp | None:
    """A time, or nothing."""
    if time is None:
        return None
    rendered = Timestamp()
    rendered.FromDatetime(time)
    return rendered


def duration(seconds: float | None) -> Duration | None:
    """A span of seconds, or nothing."""
    if seconds is None:
        return None
    rendered = Duration()
    rendered.FromTimedelta(timedelta(seconds=seconds))
    return rendered


def task(shown: Task) -> pb.Task:
    """A task as everybody sees it."""
    spec = shown.spec
    return pb.Task(
        task_id=spec.task_id,
        type=spec.type,
        queue=shown.queue or "",
        name=spec.name,
        group=spec.group,
        state=f"TASK_STATE_{shown.state}",
        reason=f"TASK_REASON_{shown.reason or 'UNSPECIFIED'}",
        message=shown.message,
        revision=shown.revision,
        attempt=shown.attempt,
        max_attempts=shown.max_attempts or 1,
        progress=_progress(shown),
        phase=shown.phase,
        phases=[_phase(phase) for phase in shown.phases],
        items_processed=shown.items_processed,
        items_failed=shown.items_failed,
        liveness=f"LIVENESS_{shown.liveness or 'UNSPECIFIED'}",
        heard_time=timestamp(shown.heard_time),
        worker=worker(shown.worker) if shown.worker else None,
        wait_reason=f"WAIT_REASON_{shown.wait_reason or 'UNSPECIFIED'}",
        create_time=timestamp(spec.create_time),
        start_time=timestamp(shown.start_time),
        end_time=timestamp(shown.end_time),
        error=_error(shown),
        result=shown.result or "",
        result_omitted=shown.result is None and shown.result_size > 0,
        payload=spec.payload,
        job_type=spec.job_type,
        trigger_source=spec.trigger_source,
        request_id=spec.request_id,
        retry_of=spec.retry_of,
        priority=spec.priority,
        timeout=duration(shown.timeout_s),
        stall_timeout=duration(shown.stall_timeout_s),
        retry_on_loss=bool(shown.retry_on_loss),
        due_time=timestamp(shown.due_time),
        dispatch=shown.dispatch,
        exit=_exit(shown.exit) if shown.exit else None,
        gone=shown.gone_time is not None,
        cancel=_cancel(shown.cancel) if shown.cancel else None,
        suspect_until_time=timestamp(shown.suspect_until),
        replica_id=shown.replica_id,
    )


def event(shown: Event) -> pb.TaskEvent:
    """A transition."""
    before = f"TASK_STATE_{shown.from_state}" if shown.from_state else "TASK_STATE_UNSPECIFIED"
    rendered = pb.TaskEvent(
        revision=shown.revision,
        task_id=shown.task_id,
        kind=f"TASK_EVENT_KIND_{shown.kind}",
        to=f"TASK_STATE_{shown.to_state}",
        reason=f"TASK_REASON_{shown.reason or 'UNSPECIFIED'}",
        message=shown.message,
        attempt=shown.attempt,
        actor=shown.actor,
        operation_id=shown.operation_id,
        time=timestamp(shown.time),
    )
    setattr(rendered, "from", before)  # `from` is a word of Python's own.
    return rendered


def log_line(shown: LogLine) -> pb.LogLine:
    """A logged line."""
    return pb.LogLine(
        sequence=shown.sequence,
        attempt=shown.attempt,
        level=_LEVELS[shown.level],
        time=timestamp(shown.time),
        text=shown.text,
        logger=shown.logger,
    )


def worker(shown: Worker) -> pb.Worker:
    """Who holds an attempt."""
    return pb.Worker(
        worker_id=shown.worker_id,
        host=shown.host,
        pid=shown.pid,
        horse_pid=shown.horse_pid,
        boot_id=shown.boot_id,
        queues=shown.queues,
    )


class WatchRenderer:
    """Renders deliveries for all watchers of a replica; a task many of them watch is rendered once a revision."""

    def __init__(self, tasks_max: int = 512) -> None:
        self._tasks: OrderedDict[tuple[str, int], pb.Task] = OrderedDict()
        self._tasks_max = tasks_max

    def messages(self, delivery: Delivery) -> Iterator[service_pb.WatchTasksResponse]:
        """The messages of one delivery, each of a bounded size; the checkpoint comes with the last."""
        message = service_pb.WatchTasksResponse()
        size = 0
        for change in self._changes(delivery.changes):
            size += change.ByteSize()
            if size > WATCH_MESSAGE_BYTES and message.changes:
                yield message
                message = service_pb.WatchTasksResponse()
                size = change.ByteSize()
            message.changes.append(change)
        if delivery.checkpoint is not None:
            message.checkpoint.revision = delivery.checkpoint.revision
            message.checkpoint.server_time.FromDatetime(delivery.checkpoint.time)
        yield message

    def _changes(self, changes: Iterable[Change]) -> Iterator[service_pb.TaskChange]:
        for change in changes:
            yield service_pb.TaskChange(
                revision=change.revision,
                event=event(change.event) if change.event else None,
                task=self._task(change.task) if change.task else None,
            )

    def _task(self, shown: Task) -> pb.Task:
        key = (shown.task_id, shown.revision)
        rendered = self._tasks.get(key)
        if rendered is None:
            rendered = self._tasks[key] = task(shown)
            if len(self._tasks) > self._tasks_max:
                self._tasks.popitem(last=False)
        return rendered


def _progress(shown: Task) -> pb.Progress:
    progress = progress_of(shown)
    return pb.Progress(done=progress.done, total=progress.total, percent=progress.percent)


def _phase(shown: Phase) -> pb.Phase:
    return pb.Phase(
        id=shown.id,
        name=shown.name,
        state=f"PHASE_STATE_{shown.state}",
        done=shown.done,
        total=shown.total,
        message=shown.message,
        start_time=timestamp(shown.start_time),
        end_time=timestamp(shown.end_time),
    )


def _error(shown: Task) -> pb.TaskError | None:
    error = shown.error
    return pb.TaskError(type=error.type, message=error.message, traceback=error.traceback) if error else None


def _cancel(shown: Cancel) -> pb.Cancel:
    return pb.Cancel(
        force=shown.force,
        request_time=timestamp(shown.request_time),
        deliver_time=timestamp(shown.deliver_time),
        signal_time=timestamp(shown.signal_time),
        exit_time=timestamp(shown.exit_time),
        deadline_time=timestamp(shown.deadline_time),
        outcome=f"CANCEL_OUTCOME_{shown.outcome or 'UNSPECIFIED'}",
    )


def _exit(shown: ProcessExit) -> pb.ProcessExit:
    return pb.ProcessExit(
        exit_code=shown.exit_code,
        signal=shown.signal,
        peak_memory_bytes=shown.peak_memory_bytes,
        cpu_time=duration(shown.cpu_s),
        exit_time=timestamp(shown.exit_time),
    )
