"""The one right answer to each command, by the model. A new command needs its answer here before it can be tried."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.taskstate.command import (
    AdvanceCancel,
    AttemptCommand,
    AttemptExited,
    CancelTask,
    Command,
    ConfirmDispatch,
    CreateTask,
    ExpireAttempt,
    FinishAttempt,
    HandOut,
    HearAttempt,
    NoteWait,
    ReleaseDispatch,
    ReportPhase,
    ResumeAttempt,
    StartAttempt,
    SuspectAttempt,
)
from services.taskstate.model import PHASE_ENDED, ExitCause, Liveness, PhaseState, TaskState, WaitReason
from tests.unit.taskstate.task_model import UNENDED, WAITING, Model, TaskModel

KILL_GRACE = timedelta(seconds=15)


def expected_answer(model: Model, command: Command, now: datetime, shown: WaitReason) -> str:
    """What the core should answer. `shown` is the wait reason that the task shows now."""
    if isinstance(command, CreateTask):
        made = model.made_by_request(command)
        if made is not None and made.asked.request_hash == command.request_hash:
            return "no-op"
        return "REQUEST_ID_CONFLICT" if made or command.task_id in model.tasks else "PENDING CREATED"
    task = model.tasks.get(command.task_id)
    if task is None:
        return "TASK_NOT_FOUND"
    match command:
        case NoteWait():
            noted = task.state in WAITING and task.out_since is None and command.wait_reason is not shown
            right = noted and command.wait_reason is model.waits_for(task, now)
            return f"{task.state} WAITING" if right else "no-op"
        case HandOut():
            return f"{task.state} HANDED_OUT" if model.may_be_handed_out(task, now) else "NOT_DISPATCHABLE"
        case ConfirmDispatch() | ReleaseDispatch() | StartAttempt():
            return _of_message(model, task, command)
        case CancelTask():
            return _of_cancel(task, command)
        case SuspectAttempt():
            until = now + timedelta(seconds=command.grace_s)
            extends = task.suspect_until is None or task.suspect_until < until
            carried = task.stream == (command.replica_id, command.stream_id)
            return f"{task.state} SUSPECTED" if carried and not task.gone and extends else "no-op"
        case ExpireAttempt():
            return _of_sweep(model, task, command, now)
        case AttemptCommand():
            return _of_attempt(model, task, command, now)
    raise AssertionError(f"the model does not know {type(command).__name__}")


def _of_message(model: Model, task: TaskModel, command: ConfirmDispatch | ReleaseDispatch | StartAttempt) -> str:
    if isinstance(command, StartAttempt) and task.state is TaskState.RUNNING and task.start_id == command.start_id:
        return _of_return(model, task, command)
    if command.dispatch != task.message:
        return "STALE_DISPATCH"
    if isinstance(command, ConfirmDispatch):
        return "QUEUED QUEUED" if task.out_since is not None and task.state in WAITING else "no-op"
    if task.out_since is None:
        return "STALE_DISPATCH"
    if isinstance(command, ReleaseDispatch):
        return "PENDING RELEASED"
    return "RUNNING STARTED" if command.replica_id in model.replicas else "HOLDER_DEAD"


def _of_cancel(task: TaskModel, command: CancelTask) -> str:
    if task.state not in UNENDED:
        return "TASK_TERMINAL"
    if command.force:
        return "FAILED CANCEL_REQUESTED"
    if task.state is not TaskState.RUNNING:
        return "CANCELLED CANCEL_REQUESTED"
    return "no-op" if task.is_told_to_stop else "RUNNING CANCEL_REQUESTED"


def _of_sweep(model: Model, task: TaskModel, command: ExpireAttempt, now: datetime) -> str:
    if command.replica_id not in model.replicas:
        return "HOLDER_DEAD"
    if model.hold_until is not None and now < model.hold_until:
        return "no-op"
    if task.state is TaskState.RUNNING:
        overdue = task.is_told_to_stop and task.stop is not None and task.stop.deadline <= now
        if not overdue and not model.holder_is_dead(task, now):
            return "no-op"
        return f"{_after_bad_end(task, TaskState.LOST, task.is_retried_when_lost)} EXPIRED"
    waited = task.attempt_ended is not None and task.attempt_ended + KILL_GRACE <= now
    return f"{task.state} GIVEN_UP" if waited and not task.gone and model.holder_is_dead(task, now) else "no-op"


def _of_attempt(model: Model, task: TaskModel, command: AttemptCommand, now: datetime) -> str:
    current = task.attempt > 0 and command.fencing_token == task.token
    held = current and task.state is TaskState.RUNNING
    match command:
        case AttemptExited():
            return _of_exit(task, command) if current else "TOKEN_LOST"
        case HearAttempt():
            if current and task.ended_by_its_own_word:
                return "no-op"
            return _of_heartbeat(task, command, now) if held else "TOKEN_LOST"
        case AdvanceCancel():
            if not current:
                return "TOKEN_LOST"
            known = task.stop is None or (task.stop.signalled if command.signalled else task.stop.told)
            return "no-op" if known else f"{task.state} CANCEL_ADVANCED"
        case ResumeAttempt():
            if not held:
                return "TOKEN_LOST"
            return _of_return(model, task, command)
    if current and command.sequence <= task.sequence:
        return "no-op"
    return _of_report(task, command) if held else "TOKEN_LOST"


def _of_return(model: Model, task: TaskModel, command: ResumeAttempt | StartAttempt) -> str:
    if command.replica_id not in model.replicas:
        return "HOLDER_DEAD"
    stays = task.stream == (command.replica_id, command.stream_id) and task.suspect_until is None
    return "no-op" if stays else "RUNNING RESUMED"


def _of_report(task: TaskModel, command: AttemptCommand) -> str:
    match command:
        case ReportPhase():
            known_state = task.phases.get(command.phase_id, PhaseState.PENDING)
            ends = known_state is PhaseState.RUNNING and command.state in PHASE_ENDED
            return "RUNNING PHASE" if known_state is PhaseState.PENDING or ends else "hot"
        case FinishAttempt():
            if command.error is None:
                return "SUCCEEDED FINISHED"
            return f"{_after_bad_end(task, TaskState.FAILED, not command.final)} FINISHED"
    return "hot"


def _of_exit(task: TaskModel, command: AttemptExited) -> str:
    if task.gone:
        return "no-op"
    if task.state is not TaskState.RUNNING:
        return f"{task.state} EXITED"
    match command.cause:
        case ExitCause.TIMEOUT | ExitCause.STALLED:
            return f"{_after_bad_end(task, TaskState.FAILED, True)} EXITED"
        case ExitCause.DRAINED:
            return f"{_after_bad_end(task, TaskState.LOST, task.is_retried_when_lost, counted=False)} EXITED"
    return f"{_after_bad_end(task, TaskState.LOST, task.is_retried_when_lost)} EXITED"


def _of_heartbeat(task: TaskModel, command: HearAttempt, now: datetime) -> str:
    silent = command.age_s > 15
    doubted = {Liveness.LIVE: False, Liveness.UNRESPONSIVE: True}.get(task.liveness)
    if doubted is not None and silent is not doubted:
        return "RUNNING LIVENESS"
    later = task.heard is None or now - timedelta(seconds=command.age_s) > task.heard
    return "hot" if later else "no-op"


def _after_bad_end(task: TaskModel, last: TaskState, is_retried: bool, counted: bool = True) -> TaskState:
    """Where an attempt's bad end leads: a stop that was asked wins, then the next attempt."""
    if task.is_told_to_stop:
        return TaskState.CANCELLED
    used = task.attempt - task.uncounted - (not counted)
    return TaskState.RETRYING if is_retried and used < task.attempts_max else last
