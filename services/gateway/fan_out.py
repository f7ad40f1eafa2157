"""One stream of changes to many readers, with bounded memory for each, and none delayed by another.

The shared watch publishes each change here. A reader has a subscription: transitions that wait to be written, and the
newest progress of each task, which replaces older progress. Past its bounds a subscription holds nothing any more and is
*behind*: its reader then catches up from its own cursor and joins again. So a transition is never lost for a reader, and
what a slow one costs is bounded.

`join` answers a subscription that collects from `start` on: everything after that revision. Who has read everything up to a
checkpoint at or after `start` elsewhere takes the rest from here, and misses nothing.

Everything here runs on one event loop and never waits.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.gateway.change import Change, Checkpoint, StreamFilter


@dataclass(frozen=True)
class SubscriptionLimits:
    """What one subscription may hold: changes, and their bytes as rendered."""

    changes_max: int = 1000
    bytes_max: int = 4 * 1024 * 1024


class Subscription:
    """One reader's place in the fan-out."""

    def __init__(self, wanted: StreamFilter, limits: SubscriptionLimits, start: int) -> None:
        self.wanted = wanted
        self.start = start
        self.behind = False
        self.woken = asyncio.Event()
        self._limits = limits
        self._transitions: list[Change] = []
        self._progress: dict[str, Change] = {}
        self._bytes = 0

    def offer(self, change: Change) -> None:
        """Take one change in, unless the reader is behind already."""
        if self.behind:
            return
        task_id = change.task.task_id
        older = self._progress.get(task_id)
        if older is not None and older.revision <= change.revision:
            # The newer change carries the whole task: older progress of it is worth nothing.
            del self._progress[task_id]
            self._bytes -= len(older.encoded)
        if change.is_transition:
            self._transitions.append(change)
        elif older is None or older.revision <= change.revision:
            self._progress[task_id] = change
        else:
            return
        self._bytes += len(change.encoded)
        held = len(self._transitions) + len(self._progress)
        if held > self._limits.changes_max or self._bytes > self._limits.bytes_max:
            self.fall_behind()
        self.woken.set()

    def take(self, cursor: int) -> list[Change]:
        """Take everything that waits and lies after the cursor, in the order of revisions.

        Progress goes between the transitions and not after them: a reader who is cut off resumes after the last transition
        it got, and what lies before that must have been told.
        """
        held = sorted([*self._transitions, *self._progress.values()], key=lambda change: change.revision)
        self._clear()
        return [change for change in held if change.revision > cursor]

    def fall_behind(self) -> None:
        """Hold nothing any more; the reader has to catch up by itself."""
        self.behind = True
        self._clear()
        self.woken.set()

    def restart(self, start: int) -> None:
        """Collect again, from a revision on."""
        self.start = start
        self.behind = False
        self._clear()

    def _clear(self) -> None:
        self._transitions.clear()
        self._progress.clear()
        self._bytes = 0


class FanOut:
    """All subscriptions, and how far the shared watch is."""

    def __init__(self, limits: SubscriptionLimits | None = None) -> None:
        self.limits = limits or SubscriptionLimits()
        self.checkpoint: Checkpoint | None = None
        self.connected = False
        self.started = asyncio.Event()
        self.revision = 0
        # For the metrics: changes published, and how often a reader fell behind and had to catch up.
        self.published_count = 0
        self.behind_count = 0
        self._by_key: dict[str, set[Subscription]] = {}
        self._all: set[Subscription] = set()

    def begin(self, revision: int) -> None:
        """The shared watch has its first position: everything after it will be published."""
        self.revision = revision
        self.started.set()

    def join(self, wanted: StreamFilter) -> Subscription:
        """Collect what is published from now on. End with `leave`."""
        subscription = Subscription(wanted, self.limits, self.revision)
        self._all.add(subscription)
        for key in _keys_for(wanted):
            self._by_key.setdefault(key, set()).add(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Collect no more."""
        self._all.discard(subscription)
        for key in _keys_for(subscription.wanted):
            others = self._by_key.get(key, set())
            others.discard(subscription)
            if not others:
                self._by_key.pop(key, None)

    def publish(self, change: Change) -> None:
        """Offer a change to those who want it, and to them only: the others are not woken."""
        self.published_count += 1
        if change.is_transition:
            self.revision = max(self.revision, change.revision)
        for key in _keys_of(change):
            for subscription in self._by_key.get(key, ()):
                if subscription.wanted.matches(change):
                    subscription.offer(change)

    def advance(self, checkpoint: Checkpoint) -> None:
        """Everything up to the checkpoint has been published. All are woken, as a checkpoint concerns everybody."""
        self.checkpoint = checkpoint
        self.revision = max(self.revision, checkpoint.revision)
        self._wake_all()

    def set_connected(self, connected: bool) -> None:
        """Tell everybody whether the shared watch hears of TaskState."""
        if self.connected != connected:
            self.connected = connected
            self._wake_all()

    def interrupt(self) -> None:
        """The shared watch cannot go on where it was: everybody has to catch up, once it has begun anew."""
        self.started.clear()
        self.revision = 0
        self.checkpoint = None
        for subscription in self._all:
            subscription.fall_behind()

    def _wake_all(self) -> None:
        for subscription in self._all:
            subscription.woken.set()


def _keys_for(wanted: StreamFilter) -> Iterator[str]:
    """Answer the keys to be found by: the narrowest condition is enough, `matches` checks the rest."""
    if wanted.task_ids:
        yield from (f"task:{task_id}" for task_id in wanted.task_ids)
    elif wanted.group:
        yield f"group:{wanted.group}"
    elif wanted.types:
        yield from (f"type:{name}" for name in wanted.types)
    else:
        yield "all"


def _keys_of(change: Change) -> tuple[str, ...]:
    task = change.task
    return ("all", f"task:{task.task_id}", f"group:{task.group}", f"type:{task.type}")
