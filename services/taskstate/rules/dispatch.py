"""From acceptance to the queue: create, wait, hand out, confirm, hand back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.taskstate import progress
from services.taskstate.command import ConfirmDispatch, CreateTask, HandOut, NoteWait, Refused, ReleaseDispatch
from services.taskstate.model import EventKind, Reason, Spec, Task, TaskState, TaskType, WaitReason
from services.taskstate.rules.common import DISPATCHABLE, NO_CHANGE, Change, Facts, Ruling, stale, wait_reason_of

DISPATCH_LEASE = timedelta(seconds=10)
"""How long a scheduler has to confirm what it was handed; after that it is handed out again with the same number."""


def create(facts: Facts, command: CreateTask, now: datetime, revision: int) -> Task:
    """The new task, as a create asks for it."""
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
    return replace(created, wait_reason=wait_reason_of(created, facts, now))


def conflict(facts: Facts, command: CreateTask) -> tuple[Task, Refused | None] | None:
    """The task that the request_id made before, and a refusal if it was asked for other contents; None if it is new."""
    made = facts.request_made(command.namespace, command.request_id) if command.request_id else None
    if made is None:
        return None
    first, request_hash = made
    if request_hash == command.request_hash:
        return first, None
    return first, Refused(
        "REQUEST_ID_CONFLICT",
        "request_id was used before with other contents; use a new one for a new task.",
        {"request_id": command.request_id, "task_id": first.task_id},
    )


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
        "exclusive": declared.exclusive,
        "phases": progress.declared(declared.phases),
    }


def note_wait(task: Task, facts: Facts, command: NoteWait, now: datetime, _revision: int) -> Ruling:
    """PENDING or RETRYING stays; its wait reason becomes true again."""
    # The plan was made before this command's place in the order: what it saw counts only if it still holds.
    actual = wait_reason_of(task, facts, now)
    if task.state not in DISPATCHABLE or task.handed_out_time is not None or actual is not command.wait_reason:
        return NO_CHANGE
    if task.wait_reason is actual:
        return NO_CHANGE
    return Change({"wait_reason": actual}, EventKind.WAITING)


def hand_out(task: Task, facts: Facts, command: HandOut, now: datetime, _revision: int) -> Ruling:
    """PENDING or RETRYING stays, for at most a dispatch lease; takes the slot, and a number unless it has one."""

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


def confirm(task: Task, _facts: Facts, command: ConfirmDispatch, _now: datetime, _revision: int) -> Ruling:
    """PENDING or RETRYING to QUEUED."""
    if command.dispatch != task.dispatch:
        return stale(task, command.dispatch)
    if task.state in DISPATCHABLE and task.handed_out_time is not None:
        return Change({"state": TaskState.QUEUED, "wait_reason": WaitReason.NONE}, EventKind.QUEUED)
    return NO_CHANGE


def release(task: Task, facts: Facts, command: ReleaseDispatch, now: datetime, _revision: int) -> Ruling:
    """QUEUED (or handed out) back to waiting: the message was taken and will not be started."""
    if command.dispatch != task.dispatch or not task.is_unstarted:
        return stale(task, command.dispatch)
    fields: dict[str, Any] = {
        "state": TaskState.PENDING,
        "reason": Reason.NONE,
        "handed_out_time": None,
        "slot": None,
        "due_time": None,
    }
    waits_for = wait_reason_of(replace(task, **fields), facts, now)
    return Change(
        fields | {"wait_reason": waits_for}, EventKind.RELEASED, "A worker handed its message back unstarted."
    )
