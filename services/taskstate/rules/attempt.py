"""An attempt's life as its supervisor tells it: start, progress, phases, the last word, the exit."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from services.taskstate import progress
from services.taskstate.command import AttemptExited, FinishAttempt, Refused, ReportPhase, ReportProgress, StartAttempt
from services.taskstate.model import (
    EventKind,
    ExitCause,
    Liveness,
    PhaseState,
    ProcessExit,
    Reason,
    Task,
    TaskState,
    WaitReason,
)
from services.taskstate.rules.carrying import carried_by, holder_dead
from services.taskstate.rules.common import NO_CHANGE, Change, Facts, Ruling, holds, is_double, stale, token_lost
from services.taskstate.rules.ending import ended_badly, receipt_at_exit, receipt_at_success, stop_is_asked

TASK_CANCELLED = "taskstate.TaskCancelled"
"""The type of the error by which the SDK's work-horse tells that the task gave way to a stop."""


def start(task: Task, facts: Facts, command: StartAttempt, now: datetime, revision: int) -> Ruling:
    """QUEUED, or handed out and not yet confirmed, to RUNNING, with a new attempt number and token."""
    if task.state is TaskState.RUNNING and task.start_id == command.start_id:
        # The answer was lost with its stream. Whoever asks again holds the attempt, and this stream carries it from here.
        return carried_by(task, facts, command.replica_id, command.stream_id, now)
    if command.dispatch != task.dispatch or not task.is_unstarted:
        return stale(task, command.dispatch)
    if not facts.replica_holds_lease(command.replica_id):
        # The holder of a new attempt must be able to vouch for it; the message stays unanswered and comes again elsewhere.
        return holder_dead(command.replica_id)
    fields = {
        "state": TaskState.RUNNING,
        "reason": Reason.NONE,
        "wait_reason": WaitReason.NONE,
        "handed_out_time": None,
        "due_time": None,
        "attempt": task.attempt + 1,
        "fencing_token": revision,
        "start_id": command.start_id,
        "replica_id": command.replica_id,
        "stream_id": command.stream_id,
        "worker": command.worker,
        "start_time": now,
        "attempt_end_time": None,
        "gone_time": None,
        "exit": None,
        "error": None,
        "sequence": command.sequence,
        "done": 0.0,
        "total": None,
        "message": "",
        "phase": "",
        "phases": _declared_again(task),
        "items_processed": 0,
        "items_failed": 0,
        "heard_time": now,
        "liveness": Liveness.LIVE,
        "suspect_until": None,
        "cancel": None,
    }
    return Change(fields, EventKind.STARTED)


def _declared_again(task: Task) -> tuple[Any, ...]:
    """A new attempt begins all phases anew; those known from an earlier attempt stay listed."""
    return progress.declared((phase.id, phase.name) for phase in task.phases)


def report_progress(task: Task, _facts: Facts, command: ReportProgress, now: datetime, _revision: int) -> Ruling:
    """RUNNING stays; the hot fields move, and none of its counts falls."""
    if is_double(task, command):
        return NO_CHANGE
    if not holds(task, command):
        return token_lost(task, command)
    fields: dict[str, Any] = {"sequence": command.sequence, "heard_time": now}
    if command.message is not None:
        fields["message"] = command.message
    if command.items_processed is not None:
        fields["items_processed"] = max(task.items_processed, command.items_processed)
    if command.items_failed is not None:
        fields["items_failed"] = max(task.items_failed, command.items_failed)
    if command.phase_id:
        fields["phases"] = progress.report(task.phases, command.phase_id, command.done, command.total, command.message)
    elif not progress.counts_phases(task):
        if command.done is not None:
            fields["done"] = max(task.done, command.done)
        if command.total is not None:
            fields["total"] = command.total
    return Change(fields)


def report_phase(task: Task, _facts: Facts, command: ReportPhase, now: datetime, _revision: int) -> Ruling:
    """RUNNING stays; a phase begins or ends."""
    if is_double(task, command):
        return NO_CHANGE
    if not holds(task, command):
        return token_lost(task, command)
    try:
        if command.state is PhaseState.RUNNING:
            phases = progress.begin(task.phases, command.phase_id, command.name, command.message, now)
        else:
            phases = progress.end(task.phases, command.phase_id, command.state, command.name, command.message, now)
    except progress.TooManyPhases:
        return Refused(
            "LIMIT_EXCEEDED",
            f"A task may have at most {progress.PHASES_MAX} phases.",
            {"limit": "phases", "max": str(progress.PHASES_MAX), "task_id": task.task_id},
        )
    if phases == task.phases:
        # A phase that has ended stays ended: `done` counts ended phases, and `done` never falls.
        return Change({"sequence": command.sequence, "heard_time": now})
    fields: dict[str, Any] = {
        "sequence": command.sequence,
        "heard_time": now,
        "phases": phases,
        "phase": progress.innermost_running(phases),
    }
    if command.message:
        fields["message"] = command.message
    told = f"{command.phase_id} {'began' if command.state is PhaseState.RUNNING else command.state.lower()}"
    return Change(fields, EventKind.PHASE, f"{told}: {command.message}" if command.message else told)


def finish(task: Task, _facts: Facts, command: FinishAttempt, now: datetime, _revision: int) -> Ruling:
    """RUNNING to SUCCEEDED, to RETRYING, to FAILED, or to CANCELLED if that was asked."""
    if is_double(task, command):
        return NO_CHANGE
    if not holds(task, command):
        return token_lost(task, command)
    said: dict[str, Any] = {"sequence": command.sequence, "heard_time": now}
    if command.error is None:
        outcome = {
            "state": TaskState.SUCCEEDED,
            "end_time": now,
            "attempt_end_time": now,
            "liveness": Liveness.NONE,
            "suspect_until": None,
            "phase": "",
            "phases": progress.close(task.phases, True, now),
            "result": command.result,
            "result_size": len((command.result or "").encode()),
        }
        return Change(said | outcome | receipt_at_success(task), EventKind.FINISHED)
    message = command.error.message[:1024]
    ending = ended_badly(task, now, Reason.ERROR, message, TaskState.FAILED, retry=not command.final)
    # A task that ended by the very stop it was asked for has no error to show.
    obeyed = stop_is_asked(task) and command.error.type == TASK_CANCELLED
    return Change(said | ending | {"error": None if obeyed else command.error}, EventKind.FINISHED, message)


def exited(task: Task, _facts: Facts, command: AttemptExited, now: datetime, _revision: int) -> Ruling:
    """The process has gone: its slot is free. Without a last word before, the attempt ends here."""
    if task.attempt == 0 or task.fencing_token != command.fencing_token:
        return token_lost(task, command)
    if task.gone_time is not None:
        return NO_CHANGE
    exit_seen = replace(command.exit or ProcessExit(), exit_time=now)
    # Gone frees the slot; ended alone does not, or two attempts of a group could run beside each other.
    gone: dict[str, Any] = {"gone_time": now, "exit": exit_seen, "slot": None}
    told = _tell_exit(command.exit)
    if task.state is not TaskState.RUNNING:
        return Change(gone | _due_again(task, now) | receipt_at_exit(task, now), EventKind.EXITED, told)
    ending, message = _ended_by_exit(task, command.cause, told, now)
    moved = replace(task, **ending)
    ending |= _due_again(moved, now) | receipt_at_exit(moved, now)
    ending["sequence"] = max(task.sequence, command.sequence)
    return Change(gone | ending, EventKind.EXITED, message)


def _ended_by_exit(task: Task, cause: ExitCause, told: str, now: datetime) -> tuple[dict[str, Any], str]:
    """How an attempt ends whose process went without a last word, by why its supervisor ended it, if it did."""
    match cause:
        case ExitCause.TIMEOUT:
            message = f"It ran past its limit of {task.timeout_s:g} s."
            return ended_badly(task, now, Reason.TIMEOUT, message, TaskState.FAILED, retry=True), message
        case ExitCause.STALLED:
            message = f"It made no progress for {task.stall_timeout_s or 0:g} s."
            return ended_badly(task, now, Reason.STALLED, message, TaskState.FAILED, retry=True), message
        case ExitCause.DRAINED:
            message = "Its worker was told to stop, and the grace had ended."
            retry = bool(task.retry_on_loss)
            # Not the task's fault: the attempt does not count, and the next is due at once.
            uncounted = replace(task, uncounted=task.uncounted + 1)
            ending = ended_badly(uncounted, now, Reason.WORKER_DRAINED, message, TaskState.LOST, retry, delay=False)
            return ending | {"uncounted": task.uncounted + 1}, message
        case _:
            message = f"{told} It had not said how the work ended."
            retry = bool(task.retry_on_loss)
            return ended_badly(task, now, Reason.WORKER_LOST, message, TaskState.LOST, retry), message


def _due_again(task: Task, now: datetime) -> dict[str, Any]:
    """What a task waits for whose last process has just gone."""
    if task.state is not TaskState.RETRYING:
        return {}
    due_later = task.due_time is not None and task.due_time > now
    return {"wait_reason": WaitReason.TIME if due_later else WaitReason.DISPATCH}


def _tell_exit(ended: ProcessExit | None) -> str:
    if ended is None:
        return "The process has gone; how is not known."
    if ended.signal:
        return f"The process was killed by signal {ended.signal}."
    return f"The process exited with code {ended.exit_code}."
