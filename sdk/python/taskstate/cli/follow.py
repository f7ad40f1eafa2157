"""Follow one task until it has ended: painted live in a terminal, line by line everywhere else.

``follow_task`` is what ``taskstate run --follow`` and ``taskstate watch ID`` do, and the demo. It reads a resuming watch
(see ``taskstate.task_watch``), so that a restart of the service interrupts the picture but not the following.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

from taskstate.cli.link import Link
from taskstate.cli.output import is_live
from taskstate.client import has_ended
from taskstate.task_watch import WatchReset
from taskstate.v1 import task_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from taskstate.client import TaskStateClient
    from taskstate.task_watch import WatchItem
    from taskstate.v1.task_pb2 import Task, TaskEvent

PATIENCE_S: Final = 300.0
"""How long a view waits for a service that does not answer before the command gives up (exit code 5)."""


class Following:
    """What is known of the followed task. Replaced whole, never changed, so that a painting thread may read it."""

    def __init__(self, task: Task, link: Link | None = None) -> None:
        self.task = task
        self.link = link or Link()

    def take(self, change: pb.TaskChange) -> bool:
        """Takes a change in; whether it was news."""
        if not change.HasField("task") or change.task.revision <= self.task.revision:
            return False
        self.task = change.task
        return True


class Display(Protocol):
    """Shows a task that is being followed. Used as a context manager while the task is active."""

    def __enter__(self) -> Any:
        """Begins to show."""
        ...

    def __exit__(self, *exc_info: object) -> Any:
        """Leaves what was shown last on the screen."""
        ...

    def changed(self, before: Task, event: TaskEvent | None) -> None:
        """The task changed from `before`, by the transition `event` if there was one."""
        ...

    def say(self, line: str) -> None:
        """Shows a line about the connection."""
        ...

    def ended(self) -> None:
        """The task has ended and is known whole."""
        ...


def follow_task(
    client: TaskStateClient,
    task_id: str,
    console: Console,
    *,
    known: Task | None = None,
    patience_s: float | None = PATIENCE_S,
) -> Task:
    """Shows the task until it has ended and answers it with its whole result.

    Paints live if the console is a terminal (see ``taskstate.cli.output.is_live``), else prints a line per change.
    ``known``: what the caller has already read of the task, so that nothing since then goes unsaid.
    Raises TaskStateError: NOT_FOUND, or UNAVAILABLE after `patience_s` seconds without a word from the service.
    KeyboardInterrupt passes through, with the screen in order; the task goes on.
    """
    following = Following(client.get(task_id) if known is None else known)
    display = _display(following, console)
    with end_at_sigterm(), display:
        display.changed(following.task, None)
        if not has_ended(following.task):
            for item in client.watch(task_ids=[task_id], patience_s=patience_s):
                _apply(client, following, display, item)
                if has_ended(following.task):
                    break
            # What a watch carries leaves out a large result.
            following.task = client.get(task_id)
        display.ended()
    return following.task


def _apply(client: TaskStateClient, following: Following, display: Display, item: WatchItem) -> None:
    notice = following.link.take(item)
    if notice:
        display.say(notice)
    before = following.task
    if isinstance(item, WatchReset):
        # A purged task is in no snapshot, so that only asking for it tells.
        following.task = client.get(before.task_id)
        display.changed(before, None)
    elif isinstance(item, pb.TaskChange) and (following.take(item) or item.HasField("event")):
        display.changed(before, item.event if item.HasField("event") else None)


def _display(following: Following, console: Console) -> Display:
    if is_live(console):
        from taskstate.cli.follow_view import FollowView

        return FollowView(following, console)
    from taskstate.cli.follow_lines import FollowLines

    return FollowLines(following, console)


@contextlib.contextmanager
def end_at_sigterm() -> Iterator[None]:
    """Ends the body at SIGTERM like at an exit, so that a painted terminal gets its cursor back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
