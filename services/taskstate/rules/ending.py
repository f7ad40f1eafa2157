"""The end of an attempt that did not succeed, whatever ended it, and what it does to a request to stop.

One table for all: a stop that was asked for wins over every other bad end; else the next attempt, if there is one; else
the terminal state. Only a success wins over a stop, and tells it so.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.taskstate import progress
from services.taskstate.model import CancelOutcome, Liveness, Reason, Task, TaskState, WaitReason
from services.taskstate.rules.common import retry_delay_s


def ended_badly(
    task: Task, now: datetime, reason: Reason, message: str, state: TaskState, retry: bool, delay: bool = True
) -> dict[str, Any]:
    """The fields of an attempt's bad end: CANCELLED if that was asked for, RETRYING if allowed and left, else `state`."""
    fields: dict[str, Any] = {
        "attempt_end_time": now,
        "reason": reason,
        "message": message,
        "liveness": Liveness.NONE,
        "phase": "",
        "phases": progress.close(task.phases, False, now),
    }
    if stop_is_asked(task):
        return fields | {"state": TaskState.CANCELLED, "reason": Reason.NONE, "end_time": now}
    if retry and task.attempts_remain:
        due_time = now + timedelta(seconds=retry_delay_s(task.attempt - task.uncounted)) if delay else None
        waiting = {"state": TaskState.RETRYING, "wait_reason": WaitReason.PREVIOUS_PROCESS, "due_time": due_time}
        return fields | waiting
    return fields | {"state": state, "end_time": now}


def stop_is_asked(task: Task) -> bool:
    """Whether a request to stop is under way."""
    return task.cancel is not None and task.cancel.outcome is CancelOutcome.NONE


def receipt_at_success(task: Task) -> dict[str, Any]:
    """A success tells the request to stop that it came too late."""
    return receipt(task, CancelOutcome.TOO_LATE) if stop_is_asked(task) else {}


def receipt_at_exit(task: Task, now: datetime) -> dict[str, Any]:
    """The exit confirms a stop, and is noted on its receipt in any case."""
    if task.cancel is None:
        return {}
    outcome = CancelOutcome.CONFIRMED if stop_is_asked(task) else task.cancel.outcome
    return {"cancel": replace(task.cancel, exit_time=now, outcome=outcome)}


def receipt(task: Task, outcome: CancelOutcome) -> dict[str, Any]:
    """The receipt with its outcome."""
    return {"cancel": replace(task.cancel, outcome=outcome)} if task.cancel else {}
