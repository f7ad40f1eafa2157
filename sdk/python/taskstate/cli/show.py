"""`taskstate show`: everything about one task, and its timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from taskstate.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskstate.v1.task_pb2 import Phase, Task, TaskEvent

_JSON_WIDTH_MAX: Final = 2000
_LABEL_WIDTH: Final = 10


def show(
    task_id: options.TaskId,
    with_traceback: Annotated[
        bool, typer.Option("--traceback", help="Print the whole traceback of its error.")
    ] = False,
    as_json: options.AsJson = False,
    target: options.Target = None,
) -> None:
    """Show one task: where it stands and why, its phases, input, result or error, and its timeline."""
    from taskstate.cli.clock import ServerClock
    from taskstate.cli.output import connect, new_console, print_json, print_line
    from taskstate.cli.task_id import resolve
    from taskstate.json_view import event_view, task_view

    with connect(target) as client:
        whole_id = resolve(client, task_id)
        task = client.get(whole_id)
        events = list(client.events(whole_id, page_size=500))
    if as_json:
        print_json(task_view(task) | {"events": [event_view(event) for event in events]})
        return
    console = new_console()
    for line in [*task_lines(task, ServerClock().now(), with_traceback=with_traceback), *event_lines(events)]:
        print_line(line, console)


def task_lines(task: Task, now: float, *, with_traceback: bool) -> Iterator[str]:
    """The task in words, a fact a line. Escaped."""
    from taskstate.cli import text, words
    from taskstate.cli.follow_lines import items_words, share_words
    from taskstate.cli.receipt import receipt_rows

    doubts = ", ".join(look.word for look in words.doubts(task))
    standing = words.state_look(task.state).word + (f" ({doubts})" if doubts else "")
    reason = words.reason_words(task.reason)
    yield f"{standing}  {words.task_label(task)}  {task.task_id}"
    sentence = words.state_sentence(task, now)
    # The sentence may have said it already, as that of a task ended by force does.
    yield f"  {sentence}" + (f" {reason}." if reason.lower() not in sentence.lower() else "")
    facts = {
        "type": text.escape(task.type),
        "queue": text.escape(task.queue),
        "group": text.escape(task.group),
        "how made": text.escape(", ".join(part for part in (task.job_type, task.trigger_source) if part)),
        "retry of": text.escape(task.retry_of),
        "created": _time(task, "create_time"),
        "due": _time(task, "due_time"),
        "started": _time(task, "start_time"),
        "ended": _time(task, "end_time"),
        "took": text.duration(ran) if (ran := words.ran_s(task, now)) is not None else "",
        "attempt": f"{task.attempt} of {task.max_attempts}",
        "progress": share_words(task),
        "items": items_words(task),
        "message": text.escape(task.message),
        "worker": _worker(task),
        "process": _process(task),
        "revision": str(task.revision),
        "input": _json(task.payload),
        "result": _json(task.result),
    }
    for label, value in facts.items():
        if value:
            yield f"  {label:<{_LABEL_WIDTH}} {value}"
    yield from _error_lines(task, with_traceback=with_traceback)
    if task.HasField("cancel"):
        yield "stop"
        for label, value in receipt_rows(task.cancel):
            yield f"  {label:<{_LABEL_WIDTH}} {value}"
    if task.phases:
        yield "phases"
        for phase in task.phases:
            yield _phase_line(phase)


def event_lines(events: list[TaskEvent]) -> Iterator[str]:
    """The timeline, oldest first: when, how long after the one before, what, why, who. Escaped."""
    from taskstate.cli import text, words

    if events:
        yield "timeline"
    before: float | None = None
    for event in events:
        at = words.seconds_of(event.time)
        step = "" if before is None else f"+{text.step(at - before)}"
        before = at
        reason = words.reason_words(event.reason)
        message = text.escape(event.message)
        why = ": ".join(part for part in (reason, message if message != reason else "") if part)
        attempt = f"attempt {event.attempt}" if event.attempt else ""
        details = "  ".join(part for part in (why, attempt, text.escape(event.actor)) if part)
        moment = text.absolute_time(at, with_ms=True)
        yield f"  {moment} {step:>10}  {words.event_words(event)}  {details}  rev {event.revision}"


def _time(task: Task, field: str) -> str:
    from taskstate.cli import text, words

    return text.absolute_time(words.seconds_of(getattr(task, field))) if task.HasField(field) else ""


def _worker(task: Task) -> str:
    from taskstate.cli import text

    worker = task.worker
    if not task.HasField("worker"):
        return ""
    pids = f"pid {worker.pid}" + (f", work-horse {worker.horse_pid}" if worker.horse_pid else "")
    return text.escape(f"{worker.worker_id} on {worker.host}, {pids}")


def _process(task: Task) -> str:
    from taskstate.cli import text

    if not task.HasField("exit"):
        return ""
    leave = task.exit
    parts = [f"ended by signal {leave.signal}" if leave.signal else f"exit code {leave.exit_code}"]
    if leave.peak_memory_bytes:
        parts.append(f"peak memory {text.binary_size(leave.peak_memory_bytes)}")
    if leave.HasField("cpu_time"):
        parts.append(f"processor time {text.duration(leave.cpu_time.seconds + leave.cpu_time.nanos / 1e9)}")
    return ", ".join(parts)


def _json(value: str) -> str:
    from taskstate.cli import text

    return text.cut(text.escape(value), _JSON_WIDTH_MAX)


def _error_lines(task: Task, *, with_traceback: bool) -> Iterator[str]:
    from taskstate.cli import text

    if not task.HasField("error"):
        return
    error = task.error
    yield f"  {'error':<{_LABEL_WIDTH}} {text.escape(error.type)}: {text.escape(error.message)}"
    lines = text.escape_lines(error.traceback) if error.traceback else []
    if with_traceback:
        yield from (f"    {line}" for line in lines)
    elif lines:
        yield f"    ({len(lines)} lines of traceback: --traceback)"


def _phase_line(phase: Phase) -> str:
    from taskstate.cli import text, words

    parts = [words.phase_look(phase.state).word]
    if phase.HasField("start_time") and phase.HasField("end_time"):
        parts.append(text.duration(words.seconds_of(phase.end_time) - words.seconds_of(phase.start_time)))
    if phase.done or phase.HasField("total"):
        parts.append(text.quantity(phase.done, phase.total if phase.HasField("total") else None))
    if phase.message:
        parts.append(text.escape(phase.message))
    return f"{'  ' * (1 + phase.id.count('.'))}{text.escape(phase.id)}: {', '.join(parts)}"
