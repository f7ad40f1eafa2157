"""A second, plain account of what should happen, kept apart from the core: the random test holds the core against it.

It remembers for itself what the core only stores: which message is out, which token was given last, whether an attempt has
ended, whether its process has been told gone. So it also sees what no event shows: a token that is not checked, a slot
that is free too early, a slot that is never free again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.taskstate.command import (
    AttemptCommand,
    AttemptExited,
    Command,
    ConfirmDispatch,
    CreateTask,
    FinishAttempt,
    HandOut,
    HearAttempt,
    NoteWait,
    ReportPhase,
    ReportProgress,
    StartAttempt,
)
from services.taskstate.model import PHASE_ENDED, PhaseState, Reason, TaskError, TaskState, TaskType, WaitReason
from services.taskstate.overlay import Limits

WAITING = (TaskState.PENDING, TaskState.RETRYING)


@dataclass
class TaskModel:
    """One task, as we believe it to be. `out_since`: its message is handed out and not started. `gone`: no process of it."""

    asked: CreateTask
    created_at: datetime
    declared: TaskType | None = None
    state: TaskState = TaskState.PENDING
    reason: Reason = Reason.NONE
    due: datetime | None = None
    message: int = 0
    out_since: datetime | None = None
    attempt: int = 0
    token: int = 0
    start_id: str = ""
    sequence: int = 0
    heard: datetime | None = None
    gone: bool = True
    done: float = 0.0
    total: float | None = None
    items: tuple[int, int] = (0, 0)
    phases: dict[str, PhaseState] = field(default_factory=dict)
    result: str | None = None
    error: TaskError | None = None
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
    def counts_phases(self) -> bool:
        """Whether it measures itself by top-level phases: from the first on, unless it counted for itself before."""
        return self.done == 0 and any("." not in phase_id for phase_id in self.phases)

    @property
    def shown_done(self) -> float:
        ended = [phase_id for phase_id, state in self.phases.items() if state in PHASE_ENDED and "." not in phase_id]
        return float(len(ended)) if self.counts_phases else self.done

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

    def expect(self, command: Command, now: datetime, shown: WaitReason) -> str:
        """The one right answer. `shown` is the wait reason the task shows now."""
        if isinstance(command, CreateTask):
            return self._expect_create(command)
        task = self.tasks.get(command.task_id)
        if task is None:
            return "TASK_NOT_FOUND"
        match command:
            case NoteWait():
                noted = task.state in WAITING and task.out_since is None and command.wait_reason is not shown
                right = noted and command.wait_reason is self.waits_for(task, now)
                return f"{task.state} WAITING" if right else "no-op"
            case HandOut():
                return f"{task.state} HANDED_OUT" if self._may_go(task, now) else "NOT_DISPATCHABLE"
            case ConfirmDispatch():
                if command.dispatch != task.message:
                    return "STALE_DISPATCH"
                return "QUEUED QUEUED" if task.out_since is not None and task.state in WAITING else "no-op"
            case StartAttempt():
                return self._expect_start(task, command)
            case AttemptCommand():
                return _expect_of_attempt(task, command, now)
        raise AssertionError(f"the model does not know {type(command).__name__}")

    def _expect_create(self, command: CreateTask) -> str:
        if command.request_id:
            for task in self.tasks.values():
                asked = task.asked
                if (asked.namespace, asked.request_id) == (command.namespace, command.request_id):
                    return "no-op" if asked.request_hash == command.request_hash else "REQUEST_ID_CONFLICT"
        return "REQUEST_ID_CONFLICT" if command.task_id in self.tasks else "PENDING CREATED"

    def _may_go(self, task: TaskModel, now: datetime) -> bool:
        if task.state not in WAITING:
            return False
        if task.out_since is not None:
            return now - task.out_since >= timedelta(seconds=10)
        if self.waits_for(task, now) is not WaitReason.DISPATCH:
            return False
        declared = self.type_of(task)
        queue = task.asked.queue or (declared.queue if declared else None)
        return self.messages_out(task.asked.namespace, queue) < self.limits.dispatch_window

    def _expect_start(self, task: TaskModel, command: StartAttempt) -> str:
        if task.state is TaskState.RUNNING and task.start_id == command.start_id:
            return "no-op"
        if command.dispatch != task.message or task.out_since is None:
            return "STALE_DISPATCH"
        return "RUNNING STARTED" if command.replica_id in self.replicas else "HOLDER_DEAD"

    def follow(self, command: Command, answer: str, now: datetime, revision: int) -> None:
        """Believe what the answer says."""
        if answer == "hot" or " " in answer:
            if isinstance(command, CreateTask):
                task = TaskModel(command, now, due=command.not_before_time)
                task.take_policy(self.types.get((command.namespace, command.type)))
                self.tasks[command.task_id] = task
                return
            task = self.tasks[command.task_id]
            if isinstance(command, HandOut):
                task.take_policy(self.type_of(task))
                task.message += task.out_since is None
                task.out_since = now
            was_running = task.state is TaskState.RUNNING
            if " " in answer:
                task.state = TaskState(answer.split(maxsplit=1)[0])
            task.endings += was_running and task.state not in (*WAITING, TaskState.RUNNING)
            _follow_attempt(task, command, was_running, now, revision)


def _expect_of_attempt(task: TaskModel, command: AttemptCommand, now: datetime) -> str:
    current = task.attempt > 0 and command.fencing_token == task.token
    if isinstance(command, AttemptExited):
        if not current:
            return "TOKEN_LOST"
        if task.gone:
            return "no-op"
        if task.state is not TaskState.RUNNING:
            return f"{task.state} EXITED"
        more = task.is_retried_when_lost and task.attempt < task.attempts_max
        return "RETRYING EXITED" if more else "LOST EXITED"
    if isinstance(command, HearAttempt):
        if not current:
            return "TOKEN_LOST"
        later = task.heard is not None and now - timedelta(seconds=command.age_s) > task.heard
        return "hot" if later and task.state is TaskState.RUNNING else "no-op"
    if current and command.sequence <= task.sequence:
        return "no-op"
    if not current or task.state is not TaskState.RUNNING:
        return "TOKEN_LOST"
    match command:
        case ReportPhase():
            known = task.phases.get(command.phase_id, PhaseState.PENDING)
            moves = known is PhaseState.PENDING or (known is PhaseState.RUNNING and command.state in PHASE_ENDED)
            return "RUNNING PHASE" if moves else "hot"
        case FinishAttempt():
            if command.error is None:
                return "SUCCEEDED FINISHED"
            more = not command.final and task.attempt < task.attempts_max
            return "RETRYING FINISHED" if more else "FAILED FINISHED"
    return "hot"


def _follow_attempt(task: TaskModel, command: Command, was_running: bool, now: datetime, revision: int) -> None:
    match command:
        case StartAttempt():
            task.attempt += 1
            task.token, task.start_id, task.sequence = revision, command.start_id, command.sequence
            task.out_since = task.due = task.error = task.total = None
            task.heard, task.gone, task.reason = now, False, Reason.NONE
            task.done, task.items = 0.0, (0, 0)
            task.phases = dict.fromkeys(task.phases, PhaseState.PENDING)
        case ReportProgress():
            task.sequence, task.heard = command.sequence, now
            task.items = (
                max(task.items[0], command.items_processed or 0),
                max(task.items[1], command.items_failed or 0),
            )
            if not command.phase_id and not task.counts_phases:
                task.done = max(task.done, command.done or 0.0)
                task.total = task.total if command.total is None else command.total
        case ReportPhase():
            task.sequence, task.heard = command.sequence, now
            if task.phases.get(command.phase_id, PhaseState.PENDING) not in PHASE_ENDED:
                task.phases[command.phase_id] = command.state
        case HearAttempt():
            task.heard = now - timedelta(seconds=command.age_s)
        case FinishAttempt():
            task.sequence, task.heard = command.sequence, now
            task.result, task.error = command.result, command.error
            task.reason = Reason.ERROR if command.error else Reason.NONE
            _end_attempt(task, command.error is None, now)
        case AttemptExited():
            task.gone = True
            if was_running:
                task.reason, task.sequence = Reason.WORKER_LOST, max(task.sequence, command.sequence)
                _end_attempt(task, False, now)


def _end_attempt(task: TaskModel, succeeded: bool, now: datetime) -> None:
    ends = {PhaseState.RUNNING: PhaseState.DONE, PhaseState.PENDING: PhaseState.SKIPPED}
    if not succeeded:
        ends = {PhaseState.RUNNING: PhaseState.FAILED}
    task.phases = {phase_id: ends.get(state, state) for phase_id, state in task.phases.items()}
    if task.state is TaskState.RETRYING:
        task.due = now + timedelta(seconds=min(60, 2 ** (task.attempt - 1)))
