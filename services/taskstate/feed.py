"""The feed of one replica: every commit of every replica, in order, kept for a while in a ring that all watchers share.

This replica's own commits come straight from the pipeline when their batch follows what the feed has; for the others a
NOTIFY is a hint, and polling is the truth. Reads after a hint are throttled, not delayed: at once after 25 ms of quiet,
else at most every 25 ms, or the feed would steal from the writer.

The ring is bounded by transitions and by bytes. Watchers are woken by key (task, group, type, queue), never all; whoever
falls out of the ring reads its pages from the table.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.taskstate.database import Database, DatabaseUnavailable
from services.taskstate.filters import TaskFilter
from services.taskstate.model import Event, EventKind, Task
from services.taskstate.pipeline import Committed
from services.taskstate.store import feed_read
from services.taskstate.store.feed_read import FeedRead
from services.taskstate.waiting import wait_at_most

log = logging.getLogger(__name__)

QUIET_S = 0.025
READ_MAX = 500
CATCHING_UP_MAX = 4
"""How many watchers read the tables at once, so that other reads find a connection while thousands reconnect."""
NO_TRANSITIONS = 2**63 - 1
"""Beyond every revision: a read after it brings progress alone."""
EVERYTHING = "*"
DISPATCHABLE = "dispatchable"
"""The key woken when a task may have become due: one was accepted, a slot or a place in a queue became free."""
_MAKES_DISPATCHABLE = frozenset(
    {
        EventKind.CREATED,
        EventKind.STARTED,
        EventKind.EXITED,
        EventKind.RELEASED,
        EventKind.GIVEN_UP,
        EventKind.CANCEL_REQUESTED,
    }
)
ORDERS = "orders"
"""The key woken when a session may have to act: a stop was asked for, the sweep ended an attempt, or one is suspect that it
may hold."""
ORDER_KINDS = frozenset({EventKind.CANCEL_REQUESTED, EventKind.EXPIRED, EventKind.SUSPECTED})


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """Bounds of the feed."""

    ring_transitions_max: int = 10_000
    ring_bytes_max: int = 64 * 1024 * 1024
    poll_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Slice:
    """The transitions of one read or one batch, which ended at `to_revision`; never empty."""

    to_revision: int
    events: Sequence[Event]
    tasks: dict[str, Task]
    size: int


@dataclass(eq=False, slots=True)
class Subscription:
    """A watcher's place in the feed: `woken` is set when something it may want has come."""

    keys: frozenset[str]
    woken: asyncio.Event = field(default_factory=asyncio.Event)


def keys_of(task: Task) -> tuple[str, ...]:
    """The keys a change of this task wakes."""
    spec = task.spec
    return (EVERYTHING, f"task:{spec.task_id}", f"group:{spec.group}", f"type:{spec.type}", f"queue:{task.queue}")


def keys_for(wanted: TaskFilter) -> frozenset[str]:
    """The keys to wait for: the narrowest condition of a filter is enough, the rest is checked on delivery."""
    if wanted.task_ids:
        return frozenset(f"task:{task_id}" for task_id in wanted.task_ids)
    if wanted.group:
        return frozenset({f"group:{wanted.group}"})
    if wanted.types:
        return frozenset(f"type:{name}" for name in wanted.types)
    if wanted.queue:
        return frozenset({f"queue:{wanted.queue}"})
    return frozenset({EVERYTHING})


class Feed:
    """See the module. Everything here runs on the event loop; only reads of the database leave it."""

    def __init__(self, database: Database, settings: FeedSettings | None = None) -> None:
        self.settings = settings or FeedSettings()
        self.revision = 0
        self.progress_revision = 0
        self.compacted = 0
        self.closed = False
        self.catching_up = asyncio.Semaphore(CATCHING_UP_MAX)
        self.server_time: datetime | None = None
        self.confirmed = 0.0
        self.progress: dict[str, Task] = {}
        self._database = database
        self._ring: deque[Slice] = deque()
        self._begun = 0
        self._ring_start = 0
        self._ring_transitions = 0
        self._ring_bytes = 0
        self._subscribers: dict[str, set[Subscription]] = {}
        self._hint = asyncio.Event()
        self._ready = asyncio.Event()

    # -- filling ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the database until cancelled: start at its newest revision, then read what comes."""
        last_read = 0.0
        while True:
            wait_s = max(0.0, last_read + QUIET_S - time.monotonic())
            if wait_s:
                await asyncio.sleep(wait_s)
            self._hint.clear()
            last_read = time.monotonic()
            try:
                more = await self._read() if self._ready.is_set() else await self._begin()
            except DatabaseUnavailable as error:
                log.warning("the feed waits for the database: %s", error, extra={"event": "feed_waits"})
                await asyncio.sleep(min(self.settings.poll_s, 0.5))
                continue
            if not more:
                await wait_at_most(self._hint, self.settings.poll_s)

    async def ready(self) -> None:
        """Wait until the feed has its first revision."""
        await self._ready.wait()

    def hint(self, revision: int | None = None) -> None:
        """Somebody committed, up to this revision: read soon, unless it is known here already."""
        if revision is None or revision > self.revision:
            self._hint.set()

    def publish(self, committed: Committed) -> None:
        """Take this replica's own commit, if it follows what the feed has; else read it in its turn."""
        if not self._ready.is_set() or committed.from_revision != self.revision:
            self.hint()
            return
        self._append(committed.to_revision, committed.events, committed.tasks, committed.progressed, committed.time)
        self.progress_revision = committed.to_revision

    async def _begin(self) -> bool:
        # The progress of all that is active, too: who resumes from here on may have missed it on another replica.
        read = await self._database.read(feed_read.read_after, NO_TRANSITIONS, 0, READ_MAX)
        head = read.head
        self.progress = {task_id: read.tasks[task_id] for task_id in read.progressed}
        self.revision = self.progress_revision = self._ring_start = self._begun = head.revision
        self.compacted = head.compacted
        self._confirm(head.time)
        self._ready.set()
        return False

    async def _read(self) -> bool:
        read = await self._database.read(feed_read.read_after, self.revision, self.progress_revision, READ_MAX)
        self.compacted = read.head.compacted
        if read.to_revision > self.revision:
            self._append_read(read)
        if read.to_revision == read.head.revision:
            # Progress comes with the last page: until then it is known up to where it was.
            self.progress_revision = max(self.progress_revision, read.to_revision)
        self._confirm(read.head.time)
        return self.revision < read.head.revision

    def _append_read(self, read: FeedRead) -> None:
        # While the read was under way the pipeline may have published a part of it: only what is beyond is new.
        events = [event for event in read.events if event.revision > self.revision]
        progressed = [task_id for task_id in read.progressed if read.tasks[task_id].revision > self.progress_revision]
        self._append(read.to_revision, events, read.tasks, progressed, read.head.time)

    def _confirm(self, server_time: datetime) -> None:
        if self.server_time is None or server_time > self.server_time:
            self.server_time = server_time
        self.confirmed = time.monotonic()

    def _append(
        self, to_revision: int, events: Sequence[Event], tasks: dict[str, Task], progressed: Iterable[str], at: datetime
    ) -> None:
        touched = {event.task_id: tasks[event.task_id] for event in events if event.task_id in tasks}
        size = sum(_size(task) for task in touched.values()) + sum(200 + len(event.message) for event in events)
        if events:
            # Progress alone leaves nothing to read again: counted neither as transitions nor as bytes, it would pile up.
            self._ring.append(Slice(to_revision, events, touched, size))
            self._ring_transitions += len(events)
            self._ring_bytes += size
        self.revision = to_revision
        self._confirm(at)
        self._trim()
        for task_id in touched:
            # A transition carries its whole task: older progress of it must not follow.
            self.progress.pop(task_id, None)
        # Where a transition came last, it has brought the whole task.
        newest = [task for task in (tasks[task_id] for task_id in progressed) if task.is_active and _has_progress(task)]
        for task in newest:
            # Taken out and put in again: the order of this map is the order of progress.
            self.progress.pop(task.task_id, None)
            self.progress[task.task_id] = task
        self._wake((*touched.values(), *newest))
        if any(event.kind in _MAKES_DISPATCHABLE for event in events):
            self.wake(DISPATCHABLE)
        if any(event.kind in ORDER_KINDS for event in events):
            self.wake(ORDERS)

    def _trim(self) -> None:
        settings = self.settings
        while len(self._ring) > 1 and (
            self._ring_transitions > settings.ring_transitions_max or self._ring_bytes > settings.ring_bytes_max
        ):
            oldest = self._ring.popleft()
            self._ring_transitions -= len(oldest.events)
            self._ring_bytes -= oldest.size
            self._ring_start = oldest.to_revision

    # -- reading ------------------------------------------------------------------------------------------------------

    def subscribe(self, keys: frozenset[str]) -> Subscription:
        """Begin to be woken; end with `unsubscribe`."""
        subscription = Subscription(keys)
        for key in keys:
            self._subscribers.setdefault(key, set()).add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End being woken."""
        for key in subscription.keys:
            subscribers = self._subscribers.get(key, set())
            subscribers.discard(subscription)
            if not subscribers:
                self._subscribers.pop(key, None)

    def covers(self, revision: int) -> bool:
        """Whether ring and progress map together tell everything after a revision."""
        return self._begun <= revision and self._ring_start <= revision

    def after(self, revision: int) -> list[Slice] | None:
        """The slices after a revision, oldest first; None when the ring does not reach back so far."""
        if revision < self._ring_start:
            return None
        found: list[Slice] = []
        for piece in reversed(self._ring):
            if piece.to_revision <= revision:
                break
            found.append(piece)
        found.reverse()
        return found

    def progressed_after(self, revision: int, task_ids: frozenset[str] = frozenset()) -> list[Task]:
        """The newest progress of active tasks (or of these) after a revision, oldest first, as far as this feed knows it."""
        if task_ids:
            named = (self.progress[task_id] for task_id in task_ids if task_id in self.progress)
            return sorted((task for task in named if task.revision > revision), key=lambda task: task.revision)
        found: list[Task] = []
        for task in reversed(self.progress.values()):
            if task.revision <= revision:
                break
            found.append(task)
        found.reverse()
        return found

    def wake(self, key: str) -> None:
        """Wake whoever waits for this key."""
        for subscription in self._subscribers.get(key, ()):
            subscription.woken.set()

    def close(self) -> None:
        """This replica is stopping: whoever waits is woken, to find `closed` set."""
        self.closed = True
        for subscribers in self._subscribers.values():
            for subscription in subscribers:
                subscription.woken.set()

    def _wake(self, tasks: Iterable[Task]) -> None:
        if not self._subscribers:
            return
        for task in tasks:
            for key in keys_of(task):
                self.wake(key)


def _has_progress(task: Task) -> bool:
    return task.revision > task.event_revision


def _size(task: Task) -> int:
    error = task.error
    texts = len(task.spec.payload) + len(task.result or "") + 400 * len(task.phases)
    return 1500 + texts + (len(error.message) + len(error.traceback) if error else 0)
