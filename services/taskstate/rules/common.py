"""What all rules share: the shape of an answer, what may be looked at, and the questions many of them ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from services.taskstate.command import AttemptCommand, Refused
from services.taskstate.model import EventKind, Task, TaskState, TaskType, WaitReason

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

    @property
    def hold_until(self) -> datetime | None:
        """Until when nobody is given up, because the service itself was away; None if that never happened."""

    def replica_holds_lease(self, replica_id: str) -> bool:
        """Whether a replica may vouch for streams."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a rule answers: the fields that change, and the event that tells it (None: progress, no event)."""

    fields: dict[str, Any]
    kind: EventKind | None = None
    message: str = ""


NO_CHANGE = Change({})
Ruling = Change | Refused


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


def is_double(task: Task, command: AttemptCommand) -> bool:
    """Whether this message of the newest attempt was accepted before, or a later one was."""
    return task.fencing_token == command.fencing_token and command.sequence <= task.sequence


def holds(task: Task, command: AttemptCommand) -> bool:
    """Whether the command's token holds the task."""
    return task.state is TaskState.RUNNING and task.fencing_token == command.fencing_token


def token_lost(task: Task, command: AttemptCommand) -> Refused:
    """The answer to whoever does not hold the task any more."""
    return Refused(
        "TOKEN_LOST",
        f"This attempt does not hold the task any more; the task is {task.state}.",
        {"task_id": task.task_id, "fencing_token": str(command.fencing_token)},
    )


def stale(task: Task, dispatch: int) -> Refused:
    """The answer to a queue message that is not the task's current one."""
    return Refused(
        "STALE_DISPATCH",
        f"Message {dispatch} is not to be started: the task is {task.state}, its newest message is {task.dispatch}.",
        {"task_id": task.task_id, "dispatch": str(dispatch)},
    )
