"""A watcher that keeps what it was given, and a reader of the event table to compare it with."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.taskstate.filters import TaskFilter
from services.taskstate.model import Event, Task
from services.taskstate.service import Replica
from services.taskstate.watch import Change, Checkpoint, Delivery, Watch
from tests.integration.taskstate.replicas import query
from tests.support.waiting import await_until

EVERYTHING = TaskFilter()


class Watcher:
    """Follows one watch in a task of its own; while `taking` is cleared it takes one more delivery at most."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.deliveries: list[Delivery] = []
        self.taking = asyncio.Event()
        self.taking.set()
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async for delivery in self.watch.deliveries():
            self.deliveries.append(delivery)
            await self.taking.wait()

    @property
    def changes(self) -> list[Change]:
        """All changes so far, in order."""
        return [change for delivery in self.deliveries for change in delivery.changes]

    @property
    def snapshot(self) -> list[Task]:
        """What came first, when no cursor was given."""
        return [change.task for change in self.deliveries[0].changes if change.task is not None]

    @property
    def events(self) -> list[Event]:
        """All transitions so far, in order."""
        return [change.event for change in self.changes if change.event is not None]

    @property
    def revisions(self) -> list[int]:
        """The revisions of all transitions so far, in order."""
        return [event.revision for event in self.events]

    @property
    def progress(self) -> list[Task]:
        """Progress so far: tasks that came without a transition, the snapshot apart."""
        rest = self.deliveries if self.watch._from_revision is not None else self.deliveries[1:]
        changes = [change for delivery in rest for change in delivery.changes]
        return [change.task for change in changes if change.event is None and change.task is not None]

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints so far, in order."""
        return [delivery.checkpoint for delivery in self.deliveries if delivery.checkpoint is not None]

    @property
    def cursor(self) -> int:
        """The newest cursor it was given: a transition's revision or a checkpoint's."""
        cursors = [event.revision for event in self.events] + [point.revision for point in self.checkpoints]
        return max(cursors, default=self.watch._from_revision or 0)

    async def begun(self) -> None:
        """Wait for the first delivery."""
        await await_until(lambda: self.deliveries or self._task.done(), what="a first delivery")
        self._raise()

    async def reaches(self, revision: int, timeout: float = 10) -> None:
        """Wait until a transition or a checkpoint says that everything up to this revision was delivered."""
        await await_until(
            lambda: self.cursor >= revision or self._task.done(), timeout, f"the watcher has revision {revision}"
        )
        self._raise()

    async def ended(self) -> BaseException:
        """Wait for its end and answer the error it ended with."""
        done, _ = await asyncio.wait([self._task], timeout=10)
        assert done, "the watch goes on"
        error = self._task.exception()
        assert error is not None
        return error

    def _raise(self) -> None:
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Stop watching, as a client that goes away."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._task


def watch(replica: Replica, from_revision: int | None = None, wanted: TaskFilter = EVERYTHING) -> Watch:
    """A watch on this replica."""
    return Watch(replica.feed, replica.database, wanted, from_revision)


@asynccontextmanager
async def watching(replica: Replica, from_revision: int | None = None, **wanted: Any) -> AsyncIterator[Watcher]:
    """A watcher of this replica for the length of the block, with its first delivery where it has no cursor."""
    watcher = Watcher(watch(replica, from_revision, TaskFilter(**wanted)))
    try:
        if from_revision is None:
            await watcher.begun()
        yield watcher
    finally:
        await watcher.stop()


def event_revisions(database_url: str, after: int = 0, where: str = "true", *parameters: Any) -> list[int]:
    """The revisions of the event table after one, in order."""
    statement = f"select revision from event where revision > %s and {where} order by revision"
    return [revision for (revision,) in query(database_url, statement, after, *parameters)]
