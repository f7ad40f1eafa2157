"""The one JSON shape of tasks, events and log lines, shared by the HTTP gateway and the command line.

A task is one flat object wherever it is shown: in an answer, in a list, in the job history, on the stream. Every key is
always there. Enumerations are words (`state` and `liveness` in lower case, `reason` in upper case); 64-bit numbers by
which clients compare or resume (revisions, log sequences) are strings, because a JSON number loses digits beyond 2^53;
times are RFC 3339 in UTC with microseconds, so that they also sort as text.

The dicts are made by hand and not by `google.protobuf.json_format`: that renders another shape, and takes several times
as long, which counts on a stream where each event is rendered.

What may be absent is null: `reason`, `phase`, `wait_reason`, `retry_of`, times, `worker`, `error`, `result`, `cancel`.
Free text and labels (`name`, `message`, `queue`, `group`, `job_type`, `trigger_source`) are strings, perhaps empty.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from taskstate.v1 import maintenance_service_pb2 as maintenance
from taskstate.v1 import task_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

JsonObject: TypeAlias = dict[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Beyond this a double does not hold every integer, so that writing one as an integer would claim digits it has not.
_EXACT_INTEGER_MAX: Final = 2**53


def _words(names: Mapping[str, int], prefix: str, *, lower: bool) -> dict[int, str]:
    """Map an enumeration's numbers to its names without their prefix, leaving out UNSPECIFIED (zero)."""
    words = {number: name.removeprefix(prefix) for name, number in names.items() if number != 0}
    return {number: word.lower() for number, word in words.items()} if lower else words


_STATES: Final = _words(dict(pb.TaskState.items()), "TASK_STATE_", lower=True)
_REASONS: Final = _words(dict(pb.TaskReason.items()), "TASK_REASON_", lower=False)
_WAIT_REASONS: Final = _words(dict(pb.WaitReason.items()), "WAIT_REASON_", lower=True)
_LIVENESS: Final = _words(dict(pb.Liveness.items()), "LIVENESS_", lower=True)
_PHASE_STATES: Final = _words(dict(pb.PhaseState.items()), "PHASE_STATE_", lower=True)
_EVENT_KINDS: Final = _words(dict(pb.TaskEventKind.items()), "TASK_EVENT_KIND_", lower=True)
_CANCEL_OUTCOMES: Final = _words(dict(pb.CancelOutcome.items()), "CANCEL_OUTCOME_", lower=True)
_SWEEP_VERDICTS: Final = _words(dict(maintenance.SweepVerdict.items()), "SWEEP_VERDICT_", lower=True)
# Log levels keep the spelling of Python's logging, from which they come.
_LOG_LEVELS: Final = _words(dict(pb.LogLevel.items()), "LOG_LEVEL_", lower=False)

# The spelling that frontends of this kind of system have always known. Several states share one word.
_STATUS: Final[dict[int, str]] = {
    pb.TASK_STATE_PENDING: "PENDING",
    pb.TASK_STATE_QUEUED: "PENDING",
    pb.TASK_STATE_RUNNING: "PROGRESS",
    pb.TASK_STATE_RETRYING: "RETRY",
    pb.TASK_STATE_SUCCEEDED: "SUCCESS",
    pb.TASK_STATE_FAILED: "FAILURE",
    pb.TASK_STATE_LOST: "FAILURE",
    pb.TASK_STATE_CANCELLED: "REVOKED",
}
ACTIVE_STATES: Final = frozenset(
    {pb.TASK_STATE_PENDING, pb.TASK_STATE_QUEUED, pb.TASK_STATE_RUNNING, pb.TASK_STATE_RETRYING}
)

# Every text a state filter understands. "pending" is one state and "PENDING" two, so that letter case counts.
STATE_TEXTS: Final[dict[str, list[pb.TaskState]]] = {
    **{word: [cast("pb.TaskState", number)] for number, word in _STATES.items()},
    **{
        status: [cast("pb.TaskState", number) for number, word in _STATUS.items() if word == status]
        for status in _STATUS.values()
    },
}


def state_from_text(text: str) -> list[pb.TaskState]:
    """Answer the states a filter's text means: one for "running", two for "FAILURE" (failed and lost).

    Raises ValueError, with the texts that would be right, for any other text. Letter case counts.
    """
    try:
        return list(STATE_TEXTS[text])
    except KeyError:
        raise ValueError(f"must be one of: {', '.join(STATE_TEXTS)}") from None


def log_level_from_text(text: str) -> pb.LogLevel:
    """Answer the level a filter's text means, letter case apart ("warning" or "WARNING"); ValueError for another."""
    for number, word in _LOG_LEVELS.items():
        if word == text.upper():
            return cast("pb.LogLevel", number)
    raise ValueError(f"must be one of: {', '.join(_LOG_LEVELS.values())}")


def to_json_number(value: float) -> int | float:
    """Write a double as people would: 3 rather than 3.0. Raises ValueError for NaN and infinities, which JSON lacks."""
    if not math.isfinite(value):
        raise ValueError(f"not a finite number: {value}")
    if value.is_integer() and abs(value) <= _EXACT_INTEGER_MAX:
        return int(value)
    return value


def time_text(time: Timestamp) -> str:
    """Write a set timestamp as RFC 3339 in UTC with microseconds: "2026-11-23T17:41:28.123456Z"."""
    return _datetime(time).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def task_view(task: pb.Task) -> JsonObject:
    """Answer a task as the one flat object of the HTTP interface and of `--json`."""
    state = task.state
    return {
        "task_id": task.task_id,
        "type": task.type,
        "queue": task.queue,
        "name": task.name,
        "human_readable_name": human_readable_name(task),
        "state": _word(_STATES, state),
        "status": _word(_STATUS, state),
        "reason": _REASONS.get(task.reason, _number_or_null(task.reason)),
        "message": task.message,
        "is_running": state == pb.TASK_STATE_RUNNING,
        "is_active": state in ACTIVE_STATES,
        "is_archived": task.is_archived,
        "revision": str(task.revision),
        "attempt": task.attempt,
        "max_attempts": task.max_attempts,
        "progress": progress_view(task.progress),
        "phase": task.phase or None,
        "phases": [phase_view(phase) for phase in task.phases],
        "items_processed": task.items_processed,
        "items_failed": task.items_failed,
        "liveness": _LIVENESS.get(task.liveness, "none"),
        "heard_time": time_text(task.heard_time) if task.HasField("heard_time") else None,
        "worker": worker_view(task.worker) if task.HasField("worker") else None,
        "wait_reason": _WAIT_REASONS.get(task.wait_reason, _number_or_null(task.wait_reason)),
        "create_time": time_text(task.create_time) if task.HasField("create_time") else None,
        "start_time": time_text(task.start_time) if task.HasField("start_time") else None,
        "end_time": time_text(task.end_time) if task.HasField("end_time") else None,
        "execution_duration": execution_duration(task),
        "error": error_view(task.error) if task.HasField("error") else None,
        "result": parse_json(task.result) if task.result else None,
        "result_omitted": task.result_omitted,
        "preferences": parse_json(task.payload) if task.payload else {},
        "job_type": task.job_type,
        "trigger_source": task.trigger_source,
        "group": task.group,
        "retry_of": task.retry_of or None,
        "cancel": cancel_view(task.cancel) if task.HasField("cancel") else None,
    }


def event_view(event: pb.TaskEvent) -> JsonObject:
    """Answer one transition, as it stands on the stream and in a task's audit trail."""
    return {
        "revision": str(event.revision),
        "task_id": event.task_id,
        "kind": _word(_EVENT_KINDS, event.kind),
        # `from` is a word of Python, so that the generated attribute can be reached by its name only.
        "from": _STATES.get(getattr(event, "from"), _number_or_null(getattr(event, "from"))),
        "to": _STATES.get(event.to, _number_or_null(event.to)),
        "reason": _REASONS.get(event.reason, _number_or_null(event.reason)),
        "message": event.message,
        "attempt": event.attempt,
        "actor": event.actor,
        "operation_id": event.operation_id or None,
        "time": time_text(event.time) if event.HasField("time") else None,
    }


def log_view(line: pb.LogLine) -> JsonObject:
    """Answer one line of a task's log; `level` is spelled as in Python's logging."""
    return {
        "sequence": str(line.sequence),
        "attempt": line.attempt,
        "level": _word(_LOG_LEVELS, line.level),
        "time": time_text(line.time) if line.HasField("time") else None,
        "text": line.text,
        "logger": line.logger,
    }


def history_view(task: pb.Task) -> JsonObject:
    """Answer one element of the job history's "jobs"; every part is derived from the task, none is stored beside it."""
    view = task_view(task)
    return {
        "task": view,
        "job_type": task.job_type,
        "trigger_source": task.trigger_source,
        "execution_summary": {
            "status": view["status"],
            "state": view["state"],
            "reason": view["reason"],
            "message": task.message,
            "attempts": task.attempt,
            "max_attempts": task.max_attempts,
            "items_processed": task.items_processed,
            "items_failed": task.items_failed,
            "execution_duration": view["execution_duration"],
            "error": view["error"],
        },
        "phase_results": [
            {**phase, "duration": _phase_duration(source)}
            for phase, source in zip(view["phases"], task.phases, strict=True)
        ],
        "performance_metrics": _performance_metrics(task),
        "user_preferences": view["preferences"],
        "system_info": {
            "worker": view["worker"],
            "queue": task.queue,
            "exit_code": task.exit.exit_code if task.HasField("exit") else None,
            "signal": (task.exit.signal or None) if task.HasField("exit") else None,
            "exit_time": time_text(task.exit.exit_time) if task.exit.HasField("exit_time") else None,
        },
    }


def human_readable_name(task: pb.Task) -> str:
    """Answer the name the creator gave, else a title made from the type: "run_agent" becomes "Run agent"."""
    if task.name:
        return task.name
    title = " ".join(task.type.replace(".", " ").replace("_", " ").split())
    return title[:1].upper() + title[1:]


def execution_duration(task: pb.Task) -> int | float | None:
    """Seconds the newest attempt ran, once the task has ended; null before, and for a task that never started."""
    if not (task.HasField("start_time") and task.HasField("end_time")):
        return None
    return _seconds(_datetime(task.end_time) - _datetime(task.start_time))


def progress_view(progress: pb.Progress) -> JsonObject:
    """Answer how far an attempt is; `total` and `percent` (0 to 100) are null when not known."""
    return {
        "done": _finite(progress.done) or 0,
        "total": _finite(progress.total) if progress.HasField("total") else None,
        "percent": _finite(progress.percent) if progress.HasField("percent") else None,
    }


def phase_view(phase: pb.Phase) -> JsonObject:
    """Answer one phase; `state` is pending, running, done, failed or skipped."""
    return {
        "id": phase.id,
        "name": phase.name,
        "state": _word(_PHASE_STATES, phase.state),
        "done": _finite(phase.done) or 0,
        "total": _finite(phase.total) if phase.HasField("total") else None,
        "message": phase.message,
        "start_time": time_text(phase.start_time) if phase.HasField("start_time") else None,
        "end_time": time_text(phase.end_time) if phase.HasField("end_time") else None,
    }


def worker_view(worker: pb.Worker) -> JsonObject:
    """Answer who holds, or held, an attempt."""
    return {
        "worker_id": worker.worker_id,
        "host": worker.host,
        "pid": worker.pid,
        "horse_pid": worker.horse_pid,
        "boot_id": worker.boot_id,
        "queues": list(worker.queues),
    }


def error_view(error: pb.TaskError) -> JsonObject:
    """Answer the error an attempt ended with."""
    return {"type": error.type, "message": error.message, "traceback": error.traceback}


def cancel_view(cancel: pb.Cancel) -> JsonObject:
    """Answer the receipt of a stop: what was asked and done, when; `outcome` is null while it is under way."""
    return {
        "force": cancel.force,
        "request_time": time_text(cancel.request_time) if cancel.HasField("request_time") else None,
        "deliver_time": time_text(cancel.deliver_time) if cancel.HasField("deliver_time") else None,
        "signal_time": time_text(cancel.signal_time) if cancel.HasField("signal_time") else None,
        "exit_time": time_text(cancel.exit_time) if cancel.HasField("exit_time") else None,
        "deadline_time": time_text(cancel.deadline_time) if cancel.HasField("deadline_time") else None,
        "outcome": _CANCEL_OUTCOMES.get(cancel.outcome, _number_or_null(cancel.outcome)),
    }


def sweep_item_view(item: maintenance.SweepItem) -> JsonObject:
    """Answer what a sweep would do with one task, and the evidence; `verdict` is a word such as "expired"."""
    return {
        "task_id": item.task_id,
        "revision": str(item.revision),
        "verdict": _word(_SWEEP_VERDICTS, item.verdict),
        "why": item.why,
        "task": task_view(item.task),
    }


def parse_json(text: str) -> Any:
    """Parse a payload or a result, which the service has checked to be JSON.

    A text that this reader cannot take all the same (written by a newer service, with a number beyond Python's limit of
    digits, nested beyond the interpreter's depth) is answered as the text it is: to show a task must never fail.
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> None:
    """Read NaN and the infinities, which Python's parser takes and JSON lacks, as null."""
    del name


def _performance_metrics(task: pb.Task) -> JsonObject:
    run_seconds = execution_duration(task)
    wait_seconds = None
    if task.HasField("create_time") and task.HasField("start_time"):
        wait_seconds = _seconds(_datetime(task.start_time) - _datetime(task.create_time))
    items_per_second = None
    if run_seconds and task.items_processed:
        items_per_second = round(task.items_processed / run_seconds, 3)
    exited = task.HasField("exit")
    cpu_seconds = _duration_seconds(task.exit.cpu_time) if exited and task.exit.HasField("cpu_time") else None
    return {
        "wait_seconds": wait_seconds,
        "run_seconds": run_seconds,
        "cpu_seconds": cpu_seconds,
        "peak_memory_bytes": (task.exit.peak_memory_bytes or None) if exited else None,
        "items_per_second": items_per_second,
    }


def _phase_duration(phase: pb.Phase) -> int | float | None:
    if not (phase.HasField("start_time") and phase.HasField("end_time")):
        return None
    return _seconds(_datetime(phase.end_time) - _datetime(phase.start_time))


def _word(words: Mapping[int, str], number: int) -> str:
    """Answer an enumeration's word; the bare number for a value of a newer service, as an unknown one must not fail."""
    return words.get(number) or str(int(number))


def _number_or_null(number: int) -> str | None:
    return str(int(number)) if number else None


def _finite(value: float) -> int | float | None:
    """The service refuses NaN and infinities; if one came all the same, "not known" is the honest rendering."""
    return to_json_number(value) if math.isfinite(value) else None


def _datetime(time: Timestamp) -> datetime:
    # Not Timestamp.ToDatetime: it takes twice as long. The sum is in integers, so that no microsecond is rounded.
    return _EPOCH + timedelta(seconds=time.seconds, microseconds=time.nanos // 1000)


def _seconds(span: timedelta) -> int | float:
    return to_json_number(span / timedelta(seconds=1))


def _duration_seconds(duration: Duration) -> int | float:
    return to_json_number(duration.seconds + duration.nanos / 1e9)
