"""The state machine: `decide(task, facts, command, now, revision)` answers what a command changes, or why it is refused.

Pure: no clock, no database, no protobuf. `facts` is everything beside the task that a command may look at; the store loads
it under the same lock that orders the commands, and the pipeline keeps it true from one command of a batch to the next.

Each transition answers the fields that change and the kind of event that tells so; `evolve` makes the new task out of the
old one and those fields, and nothing else does. So the audit trail folds back into the state by construction. Progress
changes the hot fields only and writes no event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from services.taskstate import codec, progress
from services.taskstate.command import (
    Accepted,
    AttemptCommand,
    AttemptExited,
    Command,
    ConfirmDispatch,
    CreateTask,
    FinishAttempt,
    HandOut,
    HearAttempt,
    NoteWait,
    Outcome,
    Refused,
    ReportPhase,
    ReportProgress,
    StartAttempt,
)
from services.taskstate.model import (
    Event,
    EventKind,
    PhaseState,
    ProcessExit,
    Reason,
    Spec,
    Task,
    TaskState,
    TaskType,
    WaitReason,
)

DISPATCH_LEASE = timedelta(seconds=10)
"""How long a scheduler has to confirm what it was handed; after that it is handed out again with the same number."""
RETRY_DELAY_MAX_S = 60.0
DISPATCHABLE = frozenset({TaskState.PENDING, TaskState.RETRYING})


class Facts(Protocol):
    """What a command may look at beside its own task, as of this command's place in the order."""

    @property
    def default_timeout_s(self) -> float:
        """The deadline of tasks whose creator and type say nothing."""

    @property
    def dispatch_window(self) -> int:
        """How many unstarted messages a queue may hold."""

    def type_named(self, namespace: str, name: str) -> TaskType | None:
        """What workers declared about a type; None if none has."""

    def request_made(self, namespace: str, request_id: str) -> tuple[Task, str] | None:
        """The task that a request_id made, and the hash of what it asked."""

    def slots_used(self, slot: str) -> int:
        """How many slots of this name are taken."""

    def group_limit(self, group: str) -> int:
        """How many slots a group has."""

    def unstarted(self, namespace: str, queue: str) -> int:
        """How many messages of a queue are handed out or queued, and not started."""

    def replica_holds_lease(self, replica_id: str) -> bool:
        """Whether a replica may vouch for streams."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a transition answers: the fields that change, and the event that tells it (None: progress, no event)."""

    fields: dict[str, Any]
    kind: EventKind | None = None
    message: str = ""


NO_CHANGE = Change({})


def decide(task: Task | None, facts: Facts, command: Command, now: datetime, revision: int) -> Outcome:
    """What the command does to the task, which is None when no task has the command's id.

    `now` is the database's clock as of this batch, `revision` the number this command owns in the one order.
    """
    if isinstance(command, CreateTask):
        return _create(task, facts, command, now, revision)
    if task is None:
        return Refused("TASK_NOT_FOUND", "No task has this id.", {"task_id": command.task_id})
    change = _TRANSITIONS[type(command)](task, facts, command, now, revision)
    if isinstance(change, Refused):
        return change
    if change is NO_CHANGE:
        return Accepted(task, no_op=True)
    return evolve(task, change, command.actor, now, revision)


def evolve(task: Task, change: Change, actor: str, now: datetime, revision: int) -> Accepted:
    """The task after a change, with the event that tells it."""
    fields = dict(change.fields, revision=revision)
    if change.kind is None:
        return Accepted(replace(task, **fields))
    fields["event_revision"] = revision
    moved = replace(task, **fields)
    return Accepted(moved, _event(task.state, moved, change.kind, change.message, actor, now, fields))


def retry_delay_s(attempt: int) -> float:
    """How long to wait before the next attempt: 1 s, doubling, at most a minute."""
    return min(RETRY_DELAY_MAX_S, float(2 ** min(attempt - 1, 6)))


def wait_reason_of(task: Task, facts: Facts, now: datetime) -> WaitReason:
    """What a task that is not in the queue waits for, the first that holds of what it would still have to wait for."""
    namespace = task.spec.namespace
    if task.previous_process_remains:
        return WaitReason.PREVIOUS_PROCESS
    if task.due_time is not None and task.due_time > now:
        return WaitReason.TIME
    if not task.policy_frozen and facts.type_named(namespace, task.spec.type) is None:
        return WaitReason.NO_WORKER
    slot = task.slot_name
    if slot and task.slot is None and facts.slots_used(slot) >= facts.group_limit(task.spec.group):
        return WaitReason.SLOT
    return WaitReason.DISPATCH


def _create(task: Task | None, facts: Facts, command: CreateTask, now: datetime, revision: int) -> Outcome:
    if command.request_id:
        made = facts.request_made(command.namespace, command.request_id)
        if made is not None:
            first, request_hash = made
            if request_hash == command.request_hash:
                return Accepted(first, no_op=True)
            return Refused(
                "REQUEST_ID_CONFLICT",
                "request_id was used before with other contents; use a new one for a new task.",
                {"request_id": command.request_id, "task_id": first.task_id},
            )
    if task is not None:
        return Refused("REQUEST_ID_CONFLICT", "A task with this id exists.", {"task_id": command.task_id})
    spec = Spec(
        task_id=command.task_id,
        namespace=command.namespace,
        type=command.type,
        create_time=now,
        create_revision=revision,
        group=command.group,
        name=command.name,
        job_type=command.job_type,
        trigger_source=command.trigger_source,
        payload=command.payload,
        request_id=command.request_id,
        request_hash=command.request_hash,
        priority=command.priority,
    )
    asked = Task(
        spec=spec,
        queue=command.queue,
        timeout_s=command.timeout_s,
        stall_timeout_s=command.stall_timeout_s,
        max_attempts=command.max_attempts,
        retry_on_loss=command.retry_on_loss,
        due_time=command.not_before_time,
        revision=revision,
        event_revision=revision,
    )
    declared = facts.type_named(command.namespace, command.type)
    created = replace(asked, **_frozen_policy(asked, declared, facts)) if declared else asked
    created = replace(created, wait_reason=wait_reason_of(created, facts, now))
    fields = {name: getattr(created, name) for name in codec.CREATED_FIELDS}
    return Accepted(created, _event(None, created, EventKind.CREATED, "", command.actor, now, fields))


def _frozen_policy(task: Task, declared: TaskType, facts: Facts) -> dict[str, Any]:
    """The policy for good: the creator's own words win, then the type's, then the deployment's."""

    def first(*values: Any) -> Any:
        return next((value for value in values if value is not None), None)

    return {
        "policy_frozen": True,
        "queue": first(task.queue, declared.queue),
        "timeout_s": first(task.timeout_s, declared.timeout_s, facts.default_timeout_s),
        "stall_timeout_s": first(task.stall_timeout_s, declared.stall_timeout_s),
        "max_attempts": first(task.max_attempts, declared.max_attempts),
        "retry_on_loss": first(task.retry_on_loss, declared.retry_on_loss),
        "phases": progress.declared(declared.phases),
    }


def _note_wait(task: Task, facts: Facts, command: NoteWait, now: datetime, _revision: int) -> Change | Refused:
    # The plan was made before this command's place in the order: what it saw counts only if it still holds.
    actual = wait_reason_of(task, facts, now)
    if task.state not in DISPATCHABLE or task.handed_out_time is not None or actual is not command.wait_reason:
        return NO_CHANGE
    if task.wait_reason is actual:
        return NO_CHANGE
    return Change({"wait_reason": actual}, EventKind.WAITING)


def _hand_out(task: Task, facts: Facts, command: HandOut, now: datetime, _revision: int) -> Change | Refused:
    def refused(why: str, wait_reason: WaitReason = WaitReason.NONE) -> Refused:
        return Refused("NOT_DISPATCHABLE", why, {"task_id": task.task_id, "wait_reason": str(wait_reason)})

    namespace = task.spec.namespace
    if task.state not in DISPATCHABLE:
        return refused(f"The task is {task.state}.")
    again = task.handed_out_time is not None
    if task.handed_out_time is not None and now - task.handed_out_time < DISPATCH_LEASE:
        return refused("It is handed out already, and its dispatch lease runs.")
    fields: dict[str, Any] = {}
    if not again:
        waits_for = wait_reason_of(task, facts, now)
        if waits_for is not WaitReason.DISPATCH:
            return refused(f"The task waits: {waits_for}.", waits_for)
    if not task.policy_frozen:
        declared = facts.type_named(namespace, task.spec.type)
        if declared is None:
            return refused("No worker has declared its type.", WaitReason.NO_WORKER)
        fields |= _frozen_policy(task, declared, facts)
    queue = str(fields.get("queue", task.queue))
    if not again:
        if facts.unstarted(namespace, queue) >= facts.dispatch_window:
            return refused("Its queue holds as many unstarted messages as it may.", WaitReason.DISPATCH)
        fields["dispatch"] = task.dispatch + 1
    fields |= {"handed_out_time": now, "slot": task.slot_name, "wait_reason": WaitReason.DISPATCH}
    return Change(fields, EventKind.HANDED_OUT)


def _confirm(task: Task, _facts: Facts, command: ConfirmDispatch, _now: datetime, _revision: int) -> Change | Refused:
    if command.dispatch != task.dispatch:
        return _stale(task, command.dispatch)
    if task.state in DISPATCHABLE and task.handed_out_time is not None:
        return Change({"state": TaskState.QUEUED, "wait_reason": WaitReason.NONE}, EventKind.QUEUED)
    return NO_CHANGE


def _start(task: Task, facts: Facts, command: StartAttempt, now: datetime, revision: int) -> Change | Refused:
    if task.state is TaskState.RUNNING and task.start_id == command.start_id:
        return NO_CHANGE
    if command.dispatch != task.dispatch or not task.is_unstarted:
        return _stale(task, command.dispatch)
    if not facts.replica_holds_lease(command.replica_id):
        # The holder of a new attempt must be able to vouch for it; the message stays unanswered and comes again elsewhere.
        return Refused(
            "HOLDER_DEAD", "This replica's own lease has lapsed; reconnect.", {"replica_id": command.replica_id}
        )
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
    }
    return Change(fields, EventKind.STARTED)


def _declared_again(task: Task) -> tuple[Any, ...]:
    """A new attempt begins all phases anew; those known from an earlier attempt stay listed."""
    return progress.declared((phase.id, phase.name) for phase in task.phases)


def _progress(task: Task, _facts: Facts, command: ReportProgress, now: datetime, _revision: int) -> Change | Refused:
    if _is_double(task, command):
        return NO_CHANGE
    if not _holds(task, command):
        return _token_lost(task, command)
    fields: dict[str, Any] = {"sequence": command.sequence, "heard_time": now}
    if command.message is not None:
        fields["message"] = command.message
    if command.items_processed is not None:
        fields["items_processed"] = max(task.items_processed, command.items_processed)
    if command.items_failed is not None:
        fields["items_failed"] = max(task.items_failed, command.items_failed)
    if command.phase_id:
        fields["phases"] = progress.report(task.phases, command.phase_id, command.done, command.total, command.message)
    else:
        if command.done is not None:
            fields["done"] = max(task.done, command.done)
        if command.total is not None:
            fields["total"] = command.total
    return Change(fields)


def _phase(task: Task, _facts: Facts, command: ReportPhase, now: datetime, _revision: int) -> Change | Refused:
    if _is_double(task, command):
        return NO_CHANGE
    if not _holds(task, command):
        return _token_lost(task, command)
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


def _hear(task: Task, _facts: Facts, command: HearAttempt, now: datetime, _revision: int) -> Change | Refused:
    if task.fencing_token == command.fencing_token and task.state is not TaskState.RUNNING:
        # A heartbeat that crossed the attempt's own last word on the way.
        return NO_CHANGE
    if not _holds(task, command):
        return _token_lost(task, command)
    heard_time = now - timedelta(seconds=command.age_s)
    if task.heard_time is not None and heard_time <= task.heard_time:
        return NO_CHANGE
    return Change({"heard_time": heard_time})


def _finish(task: Task, _facts: Facts, command: FinishAttempt, now: datetime, _revision: int) -> Change | Refused:
    if _is_double(task, command):
        return NO_CHANGE
    if not _holds(task, command):
        return _token_lost(task, command)
    common: dict[str, Any] = {
        "sequence": command.sequence,
        "heard_time": now,
        "attempt_end_time": now,
        "phase": "",
        "phases": progress.close(task.phases, command.error is None, now),
    }
    if command.error is None:
        outcome = {
            "state": TaskState.SUCCEEDED,
            "end_time": now,
            "result": command.result,
            "result_size": len((command.result or "").encode()),
        }
        return Change(common | outcome, EventKind.FINISHED)
    message = command.error.message[:1024]
    common |= {"reason": Reason.ERROR, "error": command.error, "message": message}
    if not command.final and task.attempt < (task.max_attempts or 1):
        return Change(common | _retrying(task, now), EventKind.FINISHED, message)
    return Change(common | {"state": TaskState.FAILED, "end_time": now}, EventKind.FINISHED, message)


def _exited(task: Task, _facts: Facts, command: AttemptExited, now: datetime, _revision: int) -> Change | Refused:
    if task.fencing_token != command.fencing_token:
        return _token_lost(task, command)
    if task.gone_time is not None:
        return NO_CHANGE
    ended = command.exit or ProcessExit()
    # Gone frees the slot; ended alone does not, or two attempts of a group could run beside each other.
    fields: dict[str, Any] = {"gone_time": now, "exit": replace(ended, exit_time=now), "slot": None}
    told = _tell_exit(command.exit)
    if task.state is not TaskState.RUNNING:
        if task.state is TaskState.RETRYING:
            due = task.due_time is not None and task.due_time > now
            fields["wait_reason"] = WaitReason.TIME if due else WaitReason.DISPATCH
        return Change(fields, EventKind.EXITED, told)
    message = f"{told} It had not said how the work ended."
    fields |= {
        "reason": Reason.WORKER_LOST,
        "attempt_end_time": now,
        "phase": "",
        "phases": progress.close(task.phases, False, now),
        "message": message,
        "sequence": max(task.sequence, command.sequence),
    }
    if task.retry_on_loss and task.attempt < (task.max_attempts or 1):
        fields |= _retrying(task, now) | {"wait_reason": WaitReason.TIME}
    else:
        fields |= {"state": TaskState.LOST, "end_time": now}
    return Change(fields, EventKind.EXITED, message)


def _retrying(task: Task, now: datetime) -> dict[str, Any]:
    return {
        "state": TaskState.RETRYING,
        "wait_reason": WaitReason.PREVIOUS_PROCESS,
        "due_time": now + timedelta(seconds=retry_delay_s(task.attempt)),
    }


def _tell_exit(ended: ProcessExit | None) -> str:
    if ended is None:
        return "The process has gone; how is not known."
    if ended.signal:
        return f"The process was killed by signal {ended.signal}."
    return f"The process exited with code {ended.exit_code}."


def _is_double(task: Task, command: AttemptCommand) -> bool:
    """Whether this message of the newest attempt was accepted before, or a later one was."""
    return task.fencing_token == command.fencing_token and command.sequence <= task.sequence


def _holds(task: Task, command: AttemptCommand) -> bool:
    return task.state is TaskState.RUNNING and task.fencing_token == command.fencing_token


def _token_lost(task: Task, command: AttemptCommand) -> Refused:
    return Refused(
        "TOKEN_LOST",
        f"This attempt does not hold the task any more; the task is {task.state}.",
        {"task_id": task.task_id, "fencing_token": str(command.fencing_token)},
    )


def _stale(task: Task, dispatch: int) -> Refused:
    return Refused(
        "STALE_DISPATCH",
        f"Message {dispatch} is not to be started: the task is {task.state}, its newest message is {task.dispatch}.",
        {"task_id": task.task_id, "dispatch": str(dispatch)},
    )


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


_Transition = Callable[[Task, Facts, Any, datetime, int], Change | Refused]
_TRANSITIONS: dict[type[Command], _Transition] = {
    NoteWait: _note_wait,
    HandOut: _hand_out,
    ConfirmDispatch: _confirm,
    StartAttempt: _start,
    ReportProgress: _progress,
    ReportPhase: _phase,
    HearAttempt: _hear,
    FinishAttempt: _finish,
    AttemptExited: _exited,
}
"""One function per command: the state machine's table, with `_create` beside it."""
