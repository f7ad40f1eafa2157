"""A small world around the core: a clock, queues, workers' processes, replicas, and batches of commands.

The core is the real one (`Overlay.apply`, and with it `decide`); the tables are `MemoryStore`. The world knows what the
core cannot see: which processes really live. A batch stands at one time and sees types and replicas as of its beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from services.taskstate.command import Accepted, AttemptExited, Command, Outcome, StartAttempt
from services.taskstate.model import EventKind, Task, TaskType
from services.taskstate.overlay import Limits, Overlay
from tests.unit.taskstate.checker import Checker
from tests.unit.taskstate.memory_store import MemoryStore

TYPES = (
    TaskType("plain", "default", timeout_s=60.0),
    TaskType("stubborn", "default", max_attempts=3, retry_on_loss=True, phases=(("fetch", "Fetch"), ("make", "Make"))),
    TaskType("late", "slow", max_attempts=2, phases=(("only", ""),)),
)
"""`late` is declared only in the course of a run."""
LIMITS = Limits(dispatch_window=3, group_limit_default=1, group_limits={"pair": 2})
NAMESPACES = ("default", "other")
REPLICAS = ("replica-1", "replica-2")


@dataclass
class Process:
    """A work-horse that the core let start."""

    task_id: str
    token: int
    start_id: str
    sequence: int
    lives: bool = True
    given_up: bool = False
    """Nobody is left who could see it; whether it lives is not known to anybody, and its slot is free by design."""


@dataclass
class World:
    """`rng` decides everything that is left open, so that a seed tells a whole run."""

    rng: Random
    checker: Checker = field(default_factory=lambda: Checker(LIMITS))
    store: MemoryStore = field(default_factory=MemoryStore)
    tasks: dict[str, Task] = field(default_factory=dict)
    types: dict[tuple[str, str], TaskType] = field(default_factory=dict)
    replicas: set[str] = field(default_factory=lambda: set(REPLICAS))
    processes: list[Process] = field(default_factory=list)
    hold_until: datetime | None = None
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    revision: int = 0
    overlay: Overlay | None = None
    left_in_batch: int = 0

    def __post_init__(self) -> None:
        for namespace in NAMESPACES:
            for declared in TYPES[:2]:
                self.types[namespace, declared.name] = declared

    def apply(self, command: Command) -> Outcome:
        """Put one command through, in the batch that is open or a new one, and hold the answer against the model."""
        if self.overlay is None:
            self._open()
        overlay = self.overlay
        if overlay is None:
            raise AssertionError("no batch is open")
        self.revision += self.rng.choice((1, 1, 1, 2))
        before = overlay.tasks.get(command.task_id)
        outcome = overlay.apply(command, self.now, self.revision)
        self.checker.judge(command, before, outcome, self.now, self.revision, overlay)
        self._follow(command, outcome)
        self.checker.count_living(
            {process.token for process in self.processes if process.lives and not process.given_up}
        )
        self.left_in_batch -= 1
        if self.left_in_batch <= 0:
            self.commit()
        return outcome

    def commit(self) -> None:
        """End the open batch: write it, and read back what it wrote."""
        if self.overlay is None:
            return
        changes = self.overlay.changes
        self.store.write(changes)
        for task_id in dict.fromkeys((*changes.created, *changes.moved, *changes.progressed)):
            self.tasks[task_id] = self.store.load(task_id)
        self.checker.judge_batch(self.overlay, self.store, self.tasks)
        self.overlay = None

    def pass_time(self, seconds: float) -> None:
        """Let time pass, between batches."""
        self.commit()
        self.now += timedelta(seconds=seconds)

    def newest_process(self, task: Task) -> Process | None:
        """The process of the task's newest attempt."""
        return next((process for process in reversed(self.processes) if process.task_id == task.task_id), None)

    def _open(self) -> None:
        """What `pipeline.load` does, from the tables."""
        overlay = Overlay(
            LIMITS,
            tasks=dict(self.tasks),
            types=dict(self.types),
            replicas=set(self.replicas),
            hold_until=self.hold_until,
        )
        for task in self.tasks.values():
            if task.spec.request_id:
                overlay.requests[task.spec.namespace, task.spec.request_id] = task
            if task.slot is not None:
                overlay.slots[task.slot] = overlay.slots.get(task.slot, 0) + 1
            if task.is_unstarted and task.queue is not None:
                queue = (task.spec.namespace, task.queue)
                overlay.queues[queue] = overlay.queues.get(queue, 0) + 1
        self.overlay = overlay
        self.left_in_batch = self.rng.choice((1, 1, 2, 3, 5))
        self.checker.begin_batch(self.types, self.replicas, self.hold_until)

    def _follow(self, command: Command, outcome: Outcome) -> None:
        """What happens outside because of an answer: a process begins its work."""
        event = outcome.event if isinstance(outcome, Accepted) else None
        if isinstance(command, StartAttempt) and event is not None and event.kind is EventKind.STARTED:
            started = Process(command.task_id, self.revision, command.start_id, command.sequence)
            self.processes.append(started)
        if isinstance(outcome, Accepted) and outcome.event is not None and outcome.event.kind is EventKind.GIVEN_UP:
            for process in self.processes:
                process.given_up = process.given_up or process.token == outcome.task.fencing_token
        if isinstance(command, AttemptExited):
            for process in self.processes:
                if process.token == command.fencing_token and process.task_id == command.task_id and process.lives:
                    raise AssertionError("the test tells the exit of a process that lives")
