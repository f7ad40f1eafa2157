"""The one writer order: commands are gathered while the previous batch commits, then go through one transaction.

One thread, one connection, one batch at a time: take the revision row, load, `decide` each command in arrival order, write
set-wise, notify, commit; only then is anyone answered. No timer: the next batch is whatever arrived meanwhile, so one
command waits for nobody and many share a commit.

- A refused command never disturbs its neighbours; a batch in which nothing changed rolls back and uses no revision.
- A statement that fails with SQLSTATE class 22 or 23 is our bug, as bad input is refused at the door: the batch is halved
  until only the offender gets INTERNAL.
- A connection lost at COMMIT leaves the outcome unknown: a new connection takes the order's lock, so that no dead backend
  can still commit, and reads this replica's marker row.
- Everything else that fails is tried again for `retry_s`, then the batch is answered UNAVAILABLE.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from services.taskstate.command import (
    Accepted,
    Command,
    CreateTask,
    ExpireAttempt,
    HandOut,
    NoteWait,
    Outcome,
    Priority,
    Refused,
    ResumeAttempt,
    StartAttempt,
)
from services.taskstate.model import Event, Task
from services.taskstate.overlay import Limits, Overlay
from services.taskstate.store import batch as store
from services.taskstate.store.rows import RESULT_SHOWN_MAX

log = logging.getLogger(__name__)

INTERNAL = Refused("INTERNAL", "The service made a mistake; it is in its log.")
UNAVAILABLE = Refused("DATABASE_UNAVAILABLE", "The database did not answer in time; try again.")
STOPPING = Refused("SHUTTING_DOWN", "This replica is shutting down; reconnect to another.")
FULL = Refused("LIMIT_EXCEEDED", "Too many commands wait in this replica; try again.", {"limit": "pipeline"})

LOW_SHARE = 10
"""A tenth of each batch is kept for commands of low priority, if any wait."""


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Bounds of the pipeline."""

    batch_max: int = 200
    waiting_max: int = 20_000
    retry_s: float = 8.0
    retry_pause_s: float = 0.1


@dataclass(frozen=True, slots=True)
class Committed:
    """What one batch committed: the revisions it took, and what changed, in order."""

    from_revision: int
    to_revision: int
    time: datetime
    events: Sequence[Event]
    tasks: dict[str, Task]
    progressed: Sequence[str]


@dataclass(slots=True)
class _Waiting:
    command: Command
    future: asyncio.Future[Outcome]


class _CommitUnknown(Exception):
    """The connection was lost at COMMIT."""


@dataclass(slots=True)
class Pipeline:
    """The pipeline of one replica. `on_committed` is called on the event loop, before those who wait are answered."""

    engine: Engine
    replica_id: str
    limits: Limits
    on_committed: Callable[[Committed], None]
    settings: PipelineSettings = field(default_factory=PipelineSettings)
    batches: int = 0
    _queues: dict[Priority, deque[_Waiting]] = field(default_factory=lambda: {p: deque() for p in Priority})
    _wake: threading.Condition = field(default_factory=threading.Condition)
    _stopping: bool = False
    _thread: threading.Thread | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start the writer thread; call on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Finish what waits, refuse what comes, and end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    async def submit(self, command: Command, priority: Priority = Priority.NORMAL) -> Outcome:
        """Put one command through, and wait until it is committed or refused."""
        return await self.submit_many([command], priority)[0]

    def submit_many(
        self, commands: Sequence[Command], priority: Priority = Priority.NORMAL
    ) -> list[asyncio.Future[Outcome]]:
        """Put commands in, in this order, and answer a future for each. Never blocks; call on the event loop."""
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(command, loop.create_future()) for command in commands]
        with self._wake:
            full = sum(map(len, self._queues.values())) + len(waiting) > self.settings.waiting_max
            if not self._stopping and not full:
                self._queues[priority].extend(waiting)
                self._wake.notify()
                return [item.future for item in waiting]
        for item in waiting:
            item.future.set_result(STOPPING if self._stopping else FULL)
        return [item.future for item in waiting]

    def _run(self) -> None:
        while True:
            with self._wake:
                while not any(self._queues.values()):
                    if self._stopping:
                        return
                    self._wake.wait()
                taken = self._take()
            self._run_batch(taken)

    def _take(self) -> list[_Waiting]:
        batch_max = self.settings.batch_max
        taken: list[_Waiting] = []
        # Low comes last, but comes: under a load that fills every batch the sweep must still end what is dead.
        kept_for_low = min(len(self._queues[Priority.LOW]), batch_max // LOW_SHARE)
        for priority, upto in ((Priority.NORMAL, batch_max - kept_for_low), (Priority.LOW, batch_max)):
            queue = self._queues[priority]
            while queue and len(taken) < upto:
                taken.append(queue.popleft())
        return taken

    def _run_batch(self, taken: list[_Waiting]) -> bool:
        """Carry out one batch, whatever it takes; false when it was given up."""
        deadline = time.monotonic() + self.settings.retry_s
        while True:
            self.batches += 1
            try:
                committed, outcomes = self._transact([item.command for item in taken])
            except _CommitUnknown as error:
                # Settled and found aborted, or not to be settled now: either way nothing of it stands, so it runs again.
                log.warning("lost the connection at COMMIT: %s", error, extra={"event": "commit_lost"})
            except DBAPIError as error:
                if _is_our_fault(error):
                    return self._halve(taken, error)
                log.warning("the batch failed and is tried again: %s", error.orig, extra={"event": "batch_retried"})
            except SQLAlchemyError as error:
                log.warning("the batch failed and is tried again: %s", error, extra={"event": "batch_retried"})
            except Exception as error:  # noqa: BLE001
                # Nothing may end the writer thread: an unforeseen error is answered to whoever caused it, and logged.
                return self._halve(taken, error)
            else:
                self._answer(taken, outcomes, committed)
                return True
            if time.monotonic() >= deadline:
                self._give_up(taken)
                return False
            time.sleep(self.settings.retry_pause_s)

    def _give_up(self, taken: list[_Waiting]) -> None:
        """Answer UNAVAILABLE to this batch and to all who wait behind it.

        Were those behind tried on their own, an exit could be committed whose finish had just failed: whoever sends again
        must be able to do so in order.
        """
        with self._wake:
            for queue in self._queues.values():
                taken.extend(queue)
                queue.clear()
        self._answer(taken, [UNAVAILABLE] * len(taken), None)

    def _halve(self, taken: list[_Waiting], error: Exception) -> bool:
        if len(taken) == 1:
            command = taken[0].command
            log.error(
                "a command cannot be carried out: %s",
                type(command).__name__,
                exc_info=error,
                extra={"event": "command_failed", "task_id": command.task_id},
            )
            self._answer(taken, [INTERNAL], None)
            return True
        middle = len(taken) // 2
        if self._run_batch(taken[:middle]):
            return self._run_batch(taken[middle:])
        self._give_up(taken[middle:])
        return False

    def _transact(self, commands: Sequence[Command]) -> tuple[Committed | None, list[Outcome]]:
        batch = self.batches
        with self.engine.connect() as connection:
            transaction = connection.begin()
            try:
                to_revision, now = store.take_order(connection, len(commands))
                from_revision = to_revision - len(commands)
                overlay = load(connection, self.limits, commands, now)
                outcomes = [
                    overlay.apply(command, now, from_revision + index)
                    for index, command in enumerate(commands, start=1)
                ]
                changes = overlay.changes
                progressed = [
                    outcome.task.task_id
                    for outcome in outcomes
                    if isinstance(outcome, Accepted) and not outcome.no_op and outcome.event is None
                ]
                if not changes.events and not progressed:
                    transaction.rollback()
                    return None, outcomes
                store.write(connection, changes, self.replica_id, batch, to_revision)
            except BaseException:
                with contextlib.suppress(SQLAlchemyError):  # The first error is the one to tell.
                    transaction.rollback()
                raise
            try:
                transaction.commit()
            except SQLAlchemyError as error:
                connection.invalidate()
                if not self._was_committed(batch):
                    raise _CommitUnknown(str(error)) from error
        touched = {*changes.created, *changes.moved, *progressed}
        # As every read of more than one task shows them, so that a watch does not depend on whose commit it was.
        tasks = {task_id: _without_large_result(overlay.tasks[task_id]) for task_id in touched}
        return Committed(from_revision, to_revision, now, changes.events, tasks, progressed), outcomes

    def _was_committed(self, batch: int) -> bool:
        deadline = time.monotonic() + self.settings.retry_s
        while True:
            try:
                with self.engine.begin() as connection:
                    return store.settle(connection, self.replica_id) == batch
            except SQLAlchemyError as error:
                # Until it is settled nobody may be told that it holds. In the end it is UNAVAILABLE, which leaves open
                # what became of it: whoever sends again is answered the truth, and the feed reads what was committed.
                if time.monotonic() >= deadline:
                    raise _CommitUnknown(str(error)) from error
                time.sleep(self.settings.retry_pause_s)

    def _answer(self, taken: list[_Waiting], outcomes: Sequence[Outcome], committed: Committed | None) -> None:
        def settle() -> None:
            if committed is not None:
                self.on_committed(committed)
            for item, outcome in zip(taken, outcomes, strict=True):
                if not item.future.done():
                    item.future.set_result(outcome)

        if self._loop is None or self._loop.is_closed():
            return
        # One call a batch, not one a command: each wake-up of the loop costs more than the answers.
        self._loop.call_soon_threadsafe(settle)


def load(connection: Connection, limits: Limits, commands: Sequence[Command], now: datetime) -> Overlay:
    """Read, under the order's lock, everything these commands may look at; each query only if a command needs it."""
    overlay = Overlay(limits)
    created = [command for command in commands if isinstance(command, CreateTask)]
    task_ids = {command.task_id for command in commands if not isinstance(command, CreateTask)}
    if task_ids:
        overlay.tasks = store.load_tasks(connection, task_ids)
    requests = {(command.namespace, command.request_id) for command in created if command.request_id}
    if requests:
        overlay.requests = store.load_requests(connection, requests)
    offered = [
        overlay.tasks[command.task_id]
        for command in commands
        if isinstance(command, HandOut | NoteWait) and command.task_id in overlay.tasks
    ]
    types = {(command.namespace, command.type) for command in created}
    types |= {(task.spec.namespace, task.spec.type) for task in offered if not task.policy_frozen}
    if types:
        overlay.types = store.load_types(connection, types)
    slots = {f"{command.namespace}/{command.group}" for command in created if command.group}
    slots |= {task.slot_name for task in offered if task.slot_name}
    if slots:
        overlay.slots = store.count_slots(connection, slots)
    if any(isinstance(command, HandOut) for command in commands):
        overlay.queues = store.count_unstarted(connection)
    vouching = [c for c in commands if isinstance(c, StartAttempt | ResumeAttempt | ExpireAttempt)]
    if vouching:
        holders = {command.replica_id for command in vouching}
        holders |= {overlay.tasks[c.task_id].replica_id for c in vouching if c.task_id in overlay.tasks}
        overlay.replicas = store.live_replicas(connection, holders, now)
    if any(isinstance(command, ExpireAttempt) for command in commands):
        overlay.hold_until = store.hold_until(connection)
    return overlay


def _without_large_result(task: Task) -> Task:
    return replace(task, result=None) if task.result_size > RESULT_SHOWN_MAX else task


def _is_our_fault(error: DBAPIError) -> bool:
    """Whether a statement failed on its data (SQLSTATE class 22 or 23): trying again would fail again."""
    state = getattr(error.orig, "pgcode", None) or ""
    return state[:2] in ("22", "23")
