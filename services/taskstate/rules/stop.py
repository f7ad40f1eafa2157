"""Stopping a task: asked, carried out, or forced.

A stop of a running task is a request with a deadline and a receipt; the state moves when the attempt ends. A forced one
ends the state at once and the process after that: ended is not gone, so the group's slot stays taken until the process is
seen to go, or is given up.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.taskstate import progress
from services.taskstate.command import AdvanceCancel, CancelTask, Refused
from services.taskstate.model import (
    KILL_GRACE,
    Cancel,
    CancelOutcome,
    EventKind,
    Liveness,
    Reason,
    Task,
    TaskState,
    WaitReason,
)
from services.taskstate.rules.common import NO_CHANGE, Change, Facts, Ruling, token_lost
from services.taskstate.rules.ending import stop_is_asked

MESSAGE_GRACE = timedelta(seconds=5)
TERM_GRACE = timedelta(seconds=5)
CANCEL_GRACE = MESSAGE_GRACE + TERM_GRACE + timedelta(seconds=5)
"""The whole of a stop: 5 s for the task to hear it, 5 s after TERM, 5 s for the KILL to be seen."""
FORCE_TERM_GRACE = timedelta(seconds=1)
FORCE_MESSAGE = "Force cancelled by user"


def cancel(task: Task, _facts: Facts, command: CancelTask, now: datetime, _revision: int) -> Ruling:
    """Waiting to CANCELLED; RUNNING stays with its stop asked; with force any non-terminal state to FAILED at once."""
    if not task.is_active:
        return Refused(
            "TASK_TERMINAL",
            f"The task has ended: {task.state}.",
            {"task_id": task.task_id, "state": str(task.state)},
        )
    if command.force:
        return _force(task, now)
    if task.state is TaskState.RUNNING:
        if stop_is_asked(task):
            return NO_CHANGE
        asked = Cancel(force=False, request_time=now, deadline_time=now + CANCEL_GRACE)
        return Change({"cancel": asked}, EventKind.CANCEL_REQUESTED)
    # The reason is that of the new state: why an earlier attempt failed is no reason for the stop.
    fields = _ended_waiting(task, now, TaskState.CANCELLED, force=False) | {"reason": Reason.NONE}
    return Change(fields, EventKind.CANCEL_REQUESTED)


def advance(task: Task, _facts: Facts, command: AdvanceCancel, now: datetime, _revision: int) -> Ruling:
    """The receipt gets its next time; each stage counts once."""
    if task.fencing_token != command.fencing_token:
        return token_lost(task, command)
    receipt = task.cancel
    if receipt is None:
        return NO_CHANGE
    if command.signalled and receipt.signal_time is None:
        return Change({"cancel": replace(receipt, signal_time=now)}, EventKind.CANCEL_ADVANCED, "A signal was sent.")
    if not command.signalled and receipt.deliver_time is None:
        return Change({"cancel": replace(receipt, deliver_time=now)}, EventKind.CANCEL_ADVANCED, "The task was told.")
    return NO_CHANGE


def _force(task: Task, now: datetime) -> Change:
    forced = {"reason": Reason.FORCE_CANCELLED, "message": FORCE_MESSAGE}
    if task.state is not TaskState.RUNNING:
        fields = _ended_waiting(task, now, TaskState.FAILED, force=True) | forced
        return Change(fields, EventKind.CANCEL_REQUESTED, FORCE_MESSAGE)
    earlier = task.cancel if stop_is_asked(task) else None
    asked = Cancel(force=True, request_time=now, deadline_time=now + KILL_GRACE)
    if earlier is not None:
        # Force after a plain stop is one story: what was delivered stays delivered.
        asked = replace(
            asked,
            request_time=earlier.request_time,
            deliver_time=earlier.deliver_time,
            signal_time=earlier.signal_time,
        )
    fields = forced | {
        "state": TaskState.FAILED,
        "end_time": now,
        "attempt_end_time": now,
        "liveness": Liveness.NONE,
        "phase": "",
        "phases": progress.close(task.phases, False, now),
        "cancel": asked,
    }
    return Change(fields, EventKind.CANCEL_REQUESTED, FORCE_MESSAGE)


def _ended_waiting(task: Task, now: datetime, state: TaskState, force: bool) -> dict[str, Any]:
    """The end of a task that no attempt runs; a previous process that has not gone keeps its slot."""
    remains = task.previous_process_remains
    outcome = CancelOutcome.NONE if remains else CancelOutcome.CONFIRMED
    return {
        "state": state,
        "end_time": now,
        "wait_reason": WaitReason.NONE,
        "handed_out_time": None,
        "due_time": None,
        "slot": task.slot if remains else None,
        "cancel": Cancel(force=force, request_time=now, deadline_time=now + KILL_GRACE, outcome=outcome),
    }
