"""What the model believes after an answer: the other half of the model, beside `expectations`."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.taskstate.command import (
    AdvanceCancel,
    AttemptExited,
    CancelTask,
    Command,
    CreateTask,
    ExpireAttempt,
    FinishAttempt,
    HandOut,
    HearAttempt,
    ReleaseDispatch,
    ReportPhase,
    ReportProgress,
    ResumeAttempt,
    StartAttempt,
    SuspectAttempt,
)
from services.taskstate.model import PHASE_ENDED, CancelOutcome, ExitCause, Liveness, PhaseState, Reason, TaskState
from tests.unit.taskstate.task_model import UNENDED, Model, Stop, TaskModel

STOP_GRACE = timedelta(seconds=15)
EXIT_REASONS = {
    ExitCause.TIMEOUT: Reason.TIMEOUT,
    ExitCause.STALLED: Reason.STALLED,
    ExitCause.DRAINED: Reason.WORKER_DRAINED,
}


def believe(model: Model, command: Command, answer: str, now: datetime, revision: int) -> None:
    """Follow an answer that changed something."""
    if answer != "hot" and " " not in answer:
        return
    if isinstance(command, CreateTask):
        task = TaskModel(command, now, due=command.not_before_time)
        task.take_policy(model.types.get((command.namespace, command.type)))
        model.tasks[command.task_id] = task
        return
    task = model.tasks[command.task_id]
    was_running, was_active = task.state is TaskState.RUNNING, task.state in UNENDED
    if " " in answer:
        task.state = TaskState(answer.split(maxsplit=1)[0])
    task.endings += was_active and task.state not in UNENDED
    match command:
        case HandOut():
            task.take_policy(model.type_of(task))
            task.message += task.out_since is None
            task.out_since = now
        case ReleaseDispatch():
            task.out_since = task.due = None
            task.reason = Reason.NONE
        case StartAttempt() if answer.endswith("STARTED"):
            _start(task, command, now, revision)
        case CancelTask():
            _stop(task, command, was_running, now)
        case ReportProgress() | ReportPhase() | HearAttempt():
            _report(task, command, now)
        case FinishAttempt() | AttemptExited() | ExpireAttempt():
            _end(task, command, was_running, now)
        case _:
            _note(task, command, now)


def _start(task: TaskModel, command: StartAttempt, now: datetime, revision: int) -> None:
    task.attempt += 1
    task.token, task.start_id, task.sequence = revision, command.start_id, command.sequence
    task.stream = (command.replica_id, command.stream_id)
    task.out_since = task.due = task.error = task.suspect_until = task.attempt_ended = task.stop = None
    task.heard, task.reason, task.liveness = now, Reason.NONE, Liveness.LIVE
    task.gone = task.given_up = False
    task.done, task.items = 0.0, (0, 0)
    task.phases = dict.fromkeys(task.phases, PhaseState.PENDING)


def _stop(task: TaskModel, command: CancelTask, was_running: bool, now: datetime) -> None:
    told_before = task.stop.told if task.is_told_to_stop and task.stop else False
    task.stop = Stop(now + STOP_GRACE)
    if command.force or not was_running:
        task.reason = Reason.FORCE_CANCELLED if command.force else Reason.NONE
    if not was_running:
        task.out_since = task.due = None
        task.stop.outcome = CancelOutcome.CONFIRMED if task.gone else CancelOutcome.NONE
    elif command.force:
        task.stop.told = told_before
        _end_attempt(task, False, now)


def _report(task: TaskModel, command: ReportProgress | ReportPhase | HearAttempt, now: datetime) -> None:
    if isinstance(command, HearAttempt):
        heard = now - timedelta(seconds=command.age_s)
        task.heard = max(heard, task.heard) if task.heard else heard
        if task.liveness is not Liveness.SUSPECT:
            task.liveness = Liveness.UNRESPONSIVE if command.age_s > 15 else Liveness.LIVE
        return
    task.sequence, task.heard = command.sequence, now
    if isinstance(command, ReportPhase):
        if task.phases.get(command.phase_id, PhaseState.PENDING) not in PHASE_ENDED:
            task.phases[command.phase_id] = command.state
        return
    task.items = (max(task.items[0], command.items_processed or 0), max(task.items[1], command.items_failed or 0))
    if not command.phase_id and not task.counts_phases:
        task.done = max(task.done, command.done or 0.0)


def _end(
    task: TaskModel, command: FinishAttempt | AttemptExited | ExpireAttempt, was_running: bool, now: datetime
) -> None:
    delayed = True
    if isinstance(command, FinishAttempt):
        task.sequence, task.heard = command.sequence, now
        task.result, task.error = command.result, command.error
        task.reason = Reason.ERROR if command.error else Reason.NONE
        if command.error is None and task.is_told_to_stop and task.stop:
            task.stop.outcome = CancelOutcome.TOO_LATE
    elif was_running:
        cause = command.cause if isinstance(command, AttemptExited) else ExitCause.NONE
        task.reason = EXIT_REASONS.get(cause, Reason.WORKER_LOST)
        task.uncounted += cause is ExitCause.DRAINED
        delayed = cause is not ExitCause.DRAINED
        if isinstance(command, AttemptExited):
            task.sequence = max(task.sequence, command.sequence)
    if task.state is TaskState.CANCELLED and was_running:
        task.reason = Reason.NONE
    if was_running:
        _end_attempt(task, task.state is TaskState.SUCCEEDED, now, delayed)
    _go(task, command, was_running)


def _go(task: TaskModel, command: FinishAttempt | AttemptExited | ExpireAttempt, was_running: bool) -> None:
    """The process is told gone, or given up."""
    if isinstance(command, AttemptExited):
        task.gone = True
    elif isinstance(command, ExpireAttempt) and not was_running:
        task.gone = task.given_up = True
    if task.is_told_to_stop and task.stop and not isinstance(command, FinishAttempt):
        confirmed = isinstance(command, AttemptExited)
        task.stop.outcome = CancelOutcome.CONFIRMED if confirmed else CancelOutcome.UNCONFIRMED


def _note(task: TaskModel, command: Command, now: datetime) -> None:
    match command:
        case AdvanceCancel() if task.stop:
            task.stop.told = task.stop.told or not command.signalled
            task.stop.signalled = task.stop.signalled or command.signalled
        case SuspectAttempt():
            task.suspect_until = now + timedelta(seconds=command.grace_s)
            if task.state is TaskState.RUNNING:
                task.liveness = Liveness.SUSPECT
        case ResumeAttempt() | StartAttempt():
            task.stream, task.suspect_until = (command.replica_id, command.stream_id), None
            task.liveness, task.heard = Liveness.LIVE, now


def _end_attempt(task: TaskModel, succeeded: bool, now: datetime, delayed: bool = True) -> None:
    task.attempt_ended, task.liveness = now, Liveness.NONE
    task.suspect_until = None if succeeded else task.suspect_until
    ends = {PhaseState.RUNNING: PhaseState.DONE, PhaseState.PENDING: PhaseState.SKIPPED}
    if not succeeded:
        ends = {PhaseState.RUNNING: PhaseState.FAILED}
    task.phases = {phase_id: ends.get(state, state) for phase_id, state in task.phases.items()}
    if task.state is TaskState.RETRYING:
        wait_s = min(60, 2 ** (task.attempt - task.uncounted - 1))
        task.due = now + timedelta(seconds=wait_s) if delayed else None
