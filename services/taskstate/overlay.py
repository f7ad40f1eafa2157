"""What a batch knows while it runs: each command sees the effect of those before it, though nothing is written yet.

The overlay is the `Facts` of `decide` and the collector of what is to be written. It is made from what the store loaded
under the order's lock; after each accepted command it moves the task, the slots, the queues' counts and the counters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from services.taskstate.command import Accepted, Command, CreateTask, Outcome
from services.taskstate.decide import decide
from services.taskstate.model import Event, Task, TaskType
from services.taskstate.store.batch import Changes

_ATTEMPT_MOVES = ("attempt_end_time", "gone_time", "replica_id", "stream_id")
"""What changes in an attempt's row after its start; its exit and error come with one of these."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the deployment sets: the facts that do not change while the process lives."""

    default_timeout_s: float = 3600.0
    dispatch_window: int = 100
    group_limit_default: int = 1
    group_limits: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Overlay:
    """One batch's view of the world; implements `decide.Facts`."""

    limits: Limits
    tasks: dict[str, Task] = field(default_factory=dict)
    requests: dict[tuple[str, str], Task] = field(default_factory=dict)
    types: dict[tuple[str, str], TaskType] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)
    queues: dict[tuple[str, str], int] = field(default_factory=dict)
    replicas: set[str] = field(default_factory=set)
    hold_until: datetime | None = None
    changes: Changes = field(default_factory=Changes)

    @property
    def default_timeout_s(self) -> float:
        """The deadline of tasks whose creator and type say nothing, in seconds."""
        return self.limits.default_timeout_s

    @property
    def dispatch_window(self) -> int:
        """How many unstarted messages a queue may hold."""
        return self.limits.dispatch_window

    def type_named(self, namespace: str, name: str) -> TaskType | None:
        """What workers declared about a type; None if none has."""
        return self.types.get((namespace, name))

    def request_made(self, namespace: str, request_id: str) -> tuple[Task, str] | None:
        """The task that a request_id made, and the hash of what it asked."""
        made = self.requests.get((namespace, request_id))
        return None if made is None else (self.tasks.get(made.task_id, made), made.spec.request_hash)

    def slots_used(self, slot: str) -> int:
        """How many slots of this name are taken."""
        return self.slots.get(slot, 0)

    def group_limit(self, group: str) -> int:
        """How many slots a group has."""
        return self.limits.group_limits.get(group, self.limits.group_limit_default)

    def unstarted(self, namespace: str, queue: str) -> int:
        """How many messages of a queue are handed out or queued, and not started."""
        return self.queues.get((namespace, queue), 0)

    def replica_holds_lease(self, replica_id: str) -> bool:
        """Whether a replica may vouch for streams."""
        return replica_id in self.replicas

    def apply(self, command: Command, now: datetime, revision: int) -> Outcome:
        """Decide one command, and let the commands after it see what it did."""
        before = self.tasks.get(command.task_id)
        outcome = decide(before, self, command, now, revision)
        if isinstance(outcome, Accepted) and not outcome.no_op:
            self._move(before, outcome.task, outcome.event, isinstance(command, CreateTask))
        return outcome

    def _move(self, before: Task | None, task: Task, event: Event | None, created: bool) -> None:
        task_id = task.task_id
        self.tasks[task_id] = task
        changes = self.changes
        if event is None:
            self._replace_written(task)
            return
        changes.events.append(event)
        if created:
            changes.created[task_id] = task
            if task.spec.request_id:
                self.requests[(task.spec.namespace, task.spec.request_id)] = task
        elif task_id in changes.created:
            changes.created[task_id] = task
        else:
            # One row, one write: what moved is written whole, with the progress that came before or after it.
            changes.progressed.pop(task_id, None)
            changes.moved[task_id] = task
        if before is not None:
            if task.policy_frozen and not before.policy_frozen and task_id not in changes.created:
                changes.frozen[task_id] = task
            self._note_attempt(before, task)
        if task.result is not None and (before is None or before.result is None):
            changes.results[task_id] = task
        self._count(before, task)

    def _replace_written(self, task: Task) -> None:
        """Progress: into whichever row of this task is to be written, or a hot one of its own."""
        changes = self.changes
        if task.task_id in changes.created:
            changes.created[task.task_id] = task
        elif task.task_id in changes.moved:
            changes.moved[task.task_id] = task
        else:
            changes.progressed[task.task_id] = task

    def _note_attempt(self, before: Task, task: Task) -> None:
        key = (task.task_id, task.attempt)
        changes = self.changes
        if task.attempt != before.attempt or key in changes.attempts_started:
            changes.attempts_started[key] = task
        elif task.attempt and any(getattr(task, name) != getattr(before, name) for name in _ATTEMPT_MOVES):
            changes.attempts_changed[key] = task

    def _count(self, before: Task | None, task: Task) -> None:
        if before is None or before.state is not task.state:
            counted = self.changes.counted
            for counted_task, n in ((before, -1), (task, 1)):
                if counted_task is not None:
                    key = (counted_task.spec.namespace, counted_task.spec.type, str(counted_task.state))
                    counted[key] = counted.get(key, 0) + n
        old_slot = before.slot if before else None
        if old_slot != task.slot:
            for slot, n in ((old_slot, -1), (task.slot, 1)):
                if slot is not None:
                    self.slots[slot] = self.slots.get(slot, 0) + n
        was_unstarted = before is not None and before.is_unstarted
        if was_unstarted != task.is_unstarted and task.queue is not None:
            queue = (task.spec.namespace, task.queue)
            self.queues[queue] = self.queues.get(queue, 0) + (1 if task.is_unstarted else -1)
