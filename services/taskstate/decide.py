"""The state machine: `decide(task, facts, command, now, revision)` answers what a command changes, or why it is refused.

Pure: no clock, no database, no protobuf. `facts` is everything beside the task that a command may look at; the store loads
it under the same lock that orders the commands, and the overlay keeps it true from one command of a batch to the next.

Each rule answers the fields that change and the kind of event that tells so; `evolve` makes the new task out of the old one
and those fields, and nothing else does. So the audit trail folds back into the state by construction. Progress changes the
hot fields only and writes no event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.taskstate import codec, command
from services.taskstate.command import Accepted, Command, CreateTask, Outcome, Refused
from services.taskstate.model import Event, EventKind, Task, TaskState
from services.taskstate.rules import attempt, dispatch, holder, stop
from services.taskstate.rules.common import NO_CHANGE, Change, Facts, Ruling

Rule = Callable[[Task, Facts, Any, datetime, int], Ruling]

RULES: dict[type[Command], Rule] = {
    command.NoteWait: dispatch.note_wait,
    command.HandOut: dispatch.hand_out,
    command.ConfirmDispatch: dispatch.confirm,
    command.ReleaseDispatch: dispatch.release,
    command.StartAttempt: attempt.start,
    command.ReportProgress: attempt.report_progress,
    command.ReportPhase: attempt.report_phase,
    command.FinishAttempt: attempt.finish,
    command.AttemptExited: attempt.exited,
    command.CancelTask: stop.cancel,
    command.AdvanceCancel: stop.advance,
    command.HearAttempt: holder.hear,
    command.SuspectAttempt: holder.suspect,
    command.ResumeAttempt: holder.resume,
    command.ExpireAttempt: holder.expire,
}
"""One rule per command, for tasks that exist; a create makes its own."""


def decide(task: Task | None, facts: Facts, command: Command, now: datetime, revision: int) -> Outcome:
    """What the command does to the task, which is None when no task has the command's id.

    `now` is the database's clock as of this batch, `revision` the number this command owns in the one order.
    """
    if isinstance(command, CreateTask):
        return _create(task, facts, command, now, revision)
    if task is None:
        return Refused("TASK_NOT_FOUND", "No task has this id.", {"task_id": command.task_id})
    ruling = RULES[type(command)](task, facts, command, now, revision)
    if isinstance(ruling, Refused):
        return ruling
    if ruling is NO_CHANGE:
        return Accepted(task, no_op=True)
    return evolve(task, ruling, command.actor, now, revision)


def evolve(task: Task, change: Change, actor: str, now: datetime, revision: int) -> Accepted:
    """The task after a change, with the event that tells it."""
    fields = dict(change.fields, revision=revision)
    if change.kind is None:
        return Accepted(replace(task, **fields))
    fields["event_revision"] = revision
    moved = replace(task, **fields)
    return Accepted(moved, _event(task.state, moved, change.kind, change.message, actor, now, fields))


def _create(task: Task | None, facts: Facts, command: CreateTask, now: datetime, revision: int) -> Outcome:
    existing = dispatch.conflict(facts, command)
    if existing is not None:
        first, refused = existing
        return refused or Accepted(first, no_op=True)
    if task is not None:
        return Refused("REQUEST_ID_CONFLICT", "A task with this id exists.", {"task_id": command.task_id})
    created = dispatch.create(facts, command, now, revision)
    fields = {name: getattr(created, name) for name in codec.CREATED_FIELDS}
    return Accepted(created, _event(None, created, EventKind.CREATED, "", command.actor, now, fields))


def _event(
    before: TaskState | None,
    task: Task,
    kind: EventKind,
    message: str,
    actor: str,
    now: datetime,
    fields: dict[str, Any],
) -> Event:
    return Event(
        revision=task.revision,
        namespace=task.spec.namespace,
        task_id=task.task_id,
        kind=kind,
        from_state=before,
        to_state=task.state,
        reason=task.reason,
        message=message,
        attempt=task.attempt,
        actor=actor,
        time=now,
        changes=codec.encode_changes(fields),
    )
