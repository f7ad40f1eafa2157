"""One watcher: first the current state, then changes, each with its revision, as etcd and Kubernetes do it.

A watcher is two cursors and no queue. Transitions are never dropped, reordered or repeated: they are read again from the
feed's ring, else from the table in pages, so that a slow watcher costs no memory and delays nobody. Progress is conflated
to the newest; watchers that name no task get it at most every 100 ms.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.taskstate.database import Database
from services.taskstate.feed import READ_MAX, Feed, keys_for
from services.taskstate.filters import TaskFilter
from services.taskstate.model import Event, Task
from services.taskstate.store import feed_read
from services.taskstate.waiting import wait_at_most

CHECKPOINT_S = 2.0
PROGRESS_PACE_S = 0.1


class Compacted(Exception):
    """The history after the cursor is no longer kept."""

    def __init__(self, compacted: int) -> None:
        super().__init__(f"The history up to revision {compacted} is no longer kept; start again without a cursor.")
        self.compacted = compacted


class FutureRevision(Exception):
    """The cursor lies beyond the newest revision: it is from another database."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"The newest revision is {revision}; start again without a cursor.")
        self.revision = revision


class ReplicaStopping(Exception):
    """This replica is shutting down; resume from the cursor on another."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change. A transition has its event; its task comes once per task and read, with the newest event."""

    revision: int
    event: Event | None
    task: Task | None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything up to `revision` has been delivered."""

    revision: int
    time: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a watcher gets at once: changes in order, then perhaps a checkpoint."""

    changes: Sequence[Change]
    checkpoint: Checkpoint | None = None


class Watch:
    """Iterate `deliveries()`. Raises Compacted, FutureRevision, ReplicaStopping, DatabaseUnavailable."""

    def __init__(self, feed: Feed, database: Database, wanted: TaskFilter, from_revision: int | None) -> None:
        self.cursor = from_revision or 0
        self._feed = feed
        self._database = database
        self._wanted = wanted
        self._from_revision = from_revision
        # A resumed watcher gets the newest progress of every active task once more: its cursor is a transition's, and
        # paced progress from before that one may never have reached it.
        self._progress_cursor = 0
        self._pace_s = 0.0 if wanted.task_ids else PROGRESS_PACE_S
        self._next_progress = 0.0
        self._next_checkpoint = 0.0

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """Everything from the cursor on, without end."""
        await self._feed.ready()
        subscription = self._feed.subscribe(keys_for(self._wanted))
        try:
            async for delivery in self._first():
                yield delivery
            subscription.woken.set()
            while True:
                if self._feed.closed:
                    raise ReplicaStopping
                if subscription.woken.is_set():
                    subscription.woken.clear()
                    changes = self._transitions()
                    if changes is None:
                        async for delivery in self._from_table():
                            yield delivery
                        subscription.woken.set()
                        continue
                    pending = True
                else:
                    # Not woken: nothing after the cursor concerns this watcher.
                    changes = []
                    self.cursor = max(self.cursor, self._feed.revision)
                    pending = self._progress_cursor < self._feed.progress_revision and bool(self._feed.progress)
                now = time.monotonic()
                if now >= self._next_progress or now >= self._next_checkpoint:
                    changes.extend(self._progress())
                    self._next_progress = now + self._pace_s
                    pending = False
                checkpoint = self._checkpoint(now)
                if changes or checkpoint:
                    yield Delivery(changes, checkpoint)
                await wait_at_most(subscription.woken, self._next_wake(pending))
        finally:
            self._feed.unsubscribe(subscription)

    async def _first(self) -> AsyncIterator[Delivery]:
        if self._from_revision is None:
            async with self._feed.catching_up:
                head, tasks = await self._database.read(feed_read.read_snapshot, self._wanted)
            self.cursor = self._progress_cursor = head.revision
            yield Delivery([Change(task.revision, None, task) for task in tasks], Checkpoint(head.revision, head.time))
            self._next_checkpoint = time.monotonic() + CHECKPOINT_S
            return
        if not self._feed.compacted <= self._from_revision <= self._feed.revision:
            # The feed may lag behind a cursor, by its next read, and behind a purge.
            head = await self._database.read(feed_read.read_head)
            if self._from_revision > head.revision:
                raise FutureRevision(head.revision)
            if self._from_revision < head.compacted:
                raise Compacted(head.compacted)
        if not self._feed.covers(self.cursor):
            async for delivery in self._from_table():
                yield delivery

    async def _from_table(self) -> AsyncIterator[Delivery]:
        """Catch up in pages; progress comes with the last."""
        while True:
            async with self._feed.catching_up:
                read = await self._database.read(
                    feed_read.read_after, self.cursor, self._progress_cursor, READ_MAX, self._wanted.task_ids
                )
            if self.cursor < read.head.compacted:
                raise Compacted(read.head.compacted)
            changes = _changes(read.events, read.tasks, self._wanted)
            progressed = (read.tasks[task_id] for task_id in read.progressed)
            changes.extend(Change(task.revision, None, task) for task in progressed if self._wanted.matches(task))
            self.cursor = max(self.cursor, read.to_revision)
            if changes:
                yield Delivery(changes)
            if read.to_revision >= read.head.revision:
                self._progress_cursor = self.cursor
                return

    def _transitions(self) -> list[Change] | None:
        """What the ring has after the cursor; None when it does not reach back so far."""
        slices = self._feed.after(self.cursor)
        if slices is None:
            return None
        events = [event for piece in slices for event in piece.events if event.revision > self.cursor]
        tasks = {task_id: task for piece in slices for task_id, task in piece.tasks.items()}
        self.cursor = max(self.cursor, self._feed.revision)
        return _changes(events, tasks, self._wanted)

    def _progress(self) -> Iterable[Change]:
        progressed = self._feed.progressed_after(self._progress_cursor, self._wanted.task_ids)
        self._progress_cursor = max(self._progress_cursor, self._feed.progress_revision)
        return [Change(task.revision, None, task) for task in progressed if self._wanted.matches(task)]

    def _checkpoint(self, now: float) -> Checkpoint | None:
        server_time = self._feed.server_time
        if now < self._next_checkpoint or server_time is None:
            return None
        if now - self._feed.confirmed > CHECKPOINT_S:
            # The database does not answer: a checkpoint would claim a freshness that nobody knows of.
            return None
        if self._progress_cursor < self.cursor:
            # The feed reads in pages, and progress comes with the last.
            return None
        self._next_checkpoint = now + CHECKPOINT_S
        return Checkpoint(self.cursor, server_time)

    def _next_wake(self, progress_pending: bool) -> float:
        now = time.monotonic()
        waits = [self._next_checkpoint - now if self._next_checkpoint > now else CHECKPOINT_S / 4]
        if progress_pending:
            waits.append(self._next_progress - now)
        return max(0.001, min(waits))


def _changes(events: Sequence[Event], tasks: dict[str, Task], wanted: TaskFilter) -> list[Change]:
    newest = {event.task_id: event.revision for event in events}
    return [
        Change(event.revision, event, tasks[event.task_id] if newest[event.task_id] == event.revision else None)
        for event in events
        if event.task_id in tasks and wanted.matches(tasks[event.task_id])
    ]
