"""A second, plain account of what should happen, kept apart from the core: the random test holds the core against it.

It remembers for itself what the core only stores: which message is out, which token was given last, whether an attempt has
ended, whether its process has been told gone. So it also sees what no event shows: a token that is not checked, a slot
that is free too early, a slot that is never free again. `attempt_model` has what concerns running attempts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.taskstate.command import CreateTask
from services.taskstate.model import (
    CancelOutcome,
    Liveness,
    PhaseState,
    Reason,
    TaskError,
    TaskState,
    TaskType,
    WaitReason,
)
from services.taskstate.overlay import Limits

WAITING = (TaskState.PENDING, TaskState.RETRYING)
UNENDED = (*WAITING, TaskState.QUEUED, TaskState.RUNNING)


@dataclass
class Stop:
    """What was asked and how far it came."""

    deadline: datetime
    outcome: CancelOutcome = CancelOutcome.NONE
    told: bool = False
    signalled: bool = False


@dataclass
class TaskModel:
    """One task, as we believe it to be.

    `out_since`: its message is handed out and not started. `gone`: no process of it is left, or it was given up.
    """

    asked: CreateTask
    created_at: datetime
    declared: TaskType | None = None
    state: TaskState = TaskState.PENDING
    reason: Reason = Reason.NONE
    due: datetime | None = None
    message: int = 0
    out_since: datetime | None = None
    attempt: int = 0
    uncounted: int = 0
    token: int = 0
    start_id: str = ""
    stream: tuple[str, str] = ("", "")
    sequence: int = 0
    heard: datetime | None = None
    liveness: Liveness = Liveness.NONE
    suspect_until: datetime | None = None
    attempt_ended: datetime | None = None
    gone: bool = True
    given_up: bool = False
    done: float = 0.0
    items: tuple[int, int] = (0, 0)
    phases: dict[str, PhaseState] = field(default_factory=dict)
    result: str | None = None
    error: TaskError | None = None
    stop: Stop | None = None
    endings: int = 0

    @property
    def queue(self) -> str | None:
        return self.asked.queue or (self.declared.queue if self.declared else None)

    @property
    def attempts_max(self) -> int:
        return self.asked.max_attempts or (self.declared.max_attempts if self.declared else 1)

    @property
    def is_retried_when_lost(self) -> bool:
        if self.asked.retry_on_loss is not None:
            return self.asked.retry_on_loss
        return bool(self.declared and self.declared.retry_on_loss)

    @property
    def holds_slot(self) -> bool:
        return bool(self.asked.group) and (self.out_since is not None or not self.gone)

    @property
    def is_told_to_stop(self) -> bool:
        return self.stop is not None and self.stop.outcome is CancelOutcome.NONE

    @property
    def ended_by_its_own_word(self) -> bool:
        return self.state is TaskState.SUCCEEDED or (self.error is not None and self.state is not TaskState.RUNNING)

    @property
    def counts_phases(self) -> bool:
        """Whether it measures itself by top-level phases: from the first on, unless it counted for itself before."""
        return self.done == 0 and any("." not in phase_id for phase_id in self.phases)

    @property
    def shown_done(self) -> float:
        done = (PhaseState.DONE, PhaseState.SKIPPED)
        top = [state for phase_id, state in self.phases.items() if "." not in phase_id]
        return float(sum(state in done for state in top)) if self.counts_phases else self.done

    def take_policy(self, declared: TaskType | None) -> None:
        """Once the type is known, for good."""
        if self.declared is None and declared is not None:
            self.declared = declared
            self.phases = {phase_id: PhaseState.PENDING for phase_id, _name in declared.phases}


@dataclass
class Model:
    """All tasks, and what of the world the core may look at."""

    limits: Limits
    tasks: dict[str, TaskModel] = field(default_factory=dict)
    types: dict[tuple[str, str], TaskType] = field(default_factory=dict)
    replicas: set[str] = field(default_factory=set)
    hold_until: datetime | None = None

    def limit(self, group: str) -> int:
        return self.limits.group_limits.get(group, self.limits.group_limit_default)

    def slots_taken(self, namespace: str, group: str) -> int:
        return sum(
            task.holds_slot
            for task in self.tasks.values()
            if (task.asked.namespace, task.asked.group) == (namespace, group)
        )

    def messages_out(self, namespace: str, queue: str | None) -> int:
        return sum(
            task.out_since is not None
            for task in self.tasks.values()
            if (task.asked.namespace, task.queue) == (namespace, queue)
        )

    def type_of(self, task: TaskModel) -> TaskType | None:
        return task.declared or self.types.get((task.asked.namespace, task.asked.type))

    def made_by_request(self, command: CreateTask) -> TaskModel | None:
        asked = (command.namespace, command.request_id)
        made = (task for task in self.tasks.values() if (task.asked.namespace, task.asked.request_id) == asked)
        return next(made, None) if command.request_id else None

    def waits_for(self, task: TaskModel, now: datetime) -> WaitReason:
        if not task.gone:
            return WaitReason.PREVIOUS_PROCESS
        if task.due is not None and task.due > now:
            return WaitReason.TIME
        if self.type_of(task) is None:
            return WaitReason.NO_WORKER
        namespace, group = task.asked.namespace, task.asked.group
        if group and task.out_since is None and self.slots_taken(namespace, group) >= self.limit(group):
            return WaitReason.SLOT
        return WaitReason.DISPATCH

    def may_be_handed_out(self, task: TaskModel, now: datetime) -> bool:
        if task.state not in WAITING:
            return False
        if task.out_since is not None:
            return now - task.out_since >= timedelta(seconds=10)
        if self.waits_for(task, now) is not WaitReason.DISPATCH:
            return False
        declared = self.type_of(task)
        queue = task.asked.queue or (declared.queue if declared else None)
        return self.messages_out(task.asked.namespace, queue) < self.limits.dispatch_window

    def holder_is_dead(self, task: TaskModel, now: datetime) -> bool:
        return task.stream[0] not in self.replicas or (task.suspect_until is not None and task.suspect_until <= now)
