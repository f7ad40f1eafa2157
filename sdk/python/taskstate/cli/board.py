"""Many tasks at once, as `taskstate watch` knows them: what is active now, and what ended while it watched.

Filled by the thread that reads the watch and read by the one that paints, hence the lock. Bounded: of more than
``ACTIVE_MAX`` active tasks the rest is left out, and the board says so, since nobody reads ten thousand rows.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taskstate.client import has_ended
from taskstate.v1 import task_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskstate.v1.task_service_pb2 import TaskChange

ACTIVE_MAX: Final = 10_000
ENDED_KEPT: Final = 20

_Key = tuple[float, str]


@dataclass(frozen=True)
class BoardContent:
    """What the board shows at one moment. The orders are fixed (running by start, waiting by age): no row jumps."""

    running: Sequence[task_pb2.Task]
    waiting: Sequence[task_pb2.Task]
    ended: Sequence[task_pb2.Task]
    """The last to end first."""
    counts: Counter[int]
    """How many active tasks by state, and how many ended while watched."""
    is_full: bool
    """Whether there were more active tasks than are kept; the counts are then lower bounds."""


class Board:
    """The tasks seen by a watch."""

    def __init__(self, active_max: int = ACTIVE_MAX) -> None:
        self._lock = threading.Lock()
        self._active_max = active_max
        self._active: dict[str, task_pb2.Task] = {}
        self._is_full = False
        self._ended: deque[task_pb2.Task] = deque(maxlen=ENDED_KEPT)
        self._ended_counts: Counter[int] = Counter()

    def take(self, change: TaskChange) -> bool:
        """Takes a change in. False if it was not news, or came without its task, which then follows."""
        if not change.HasField("task"):
            return False
        task = change.task
        with self._lock:
            known = self._active.get(task.task_id)
            if known is not None and task.revision <= known.revision:
                return False
            if has_ended(task):
                self._end(task, was_known=known is not None, is_transition=change.HasField("event"))
            elif known is not None or len(self._active) < self._active_max:
                self._active[task.task_id] = task
            else:
                self._is_full = True
            return True

    def _end(self, task: task_pb2.Task, *, was_known: bool, is_transition: bool) -> None:
        self._active.pop(task.task_id, None)
        # A task that had ended before is in a snapshot if it was named; one seen to end is told again after a resume.
        if any(ended.task_id == task.task_id for ended in self._ended):
            return
        self._ended.appendleft(task)
        if was_known or is_transition:
            self._ended_counts[task.state] += 1

    def forget(self) -> None:
        """Forgets what is active, before a new snapshot."""
        with self._lock:
            self._active.clear()
            self._is_full = False

    def known(self, task_id: str) -> task_pb2.Task | None:
        """What is known of the task; None if it was never seen, or ended long ago."""
        with self._lock:
            active = self._active.get(task_id)
            return active or next((task for task in self._ended if task.task_id == task_id), None)

    def content(self) -> BoardContent:
        """What to show now."""
        with self._lock:
            active = list(self._active.values())
            ended, ended_counts, is_full = list(self._ended), Counter(self._ended_counts), self._is_full
        running = sorted((task for task in active if task.state == task_pb2.TASK_STATE_RUNNING), key=_by_start)
        waiting = sorted((task for task in active if task.state != task_pb2.TASK_STATE_RUNNING), key=_by_creation)
        return BoardContent(running, waiting, ended, Counter(task.state for task in active) + ended_counts, is_full)


def _by_start(task: task_pb2.Task) -> _Key:
    return (task.start_time.seconds + task.start_time.nanos / 1e9, task.task_id)


def _by_creation(task: task_pb2.Task) -> _Key:
    return (task.create_time.seconds + task.create_time.nanos / 1e9, task.task_id)
