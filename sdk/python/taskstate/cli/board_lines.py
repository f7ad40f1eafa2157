"""The board as lines of words, one for each transition: for pipes, files and dumb terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskstate.cli import text, words
from taskstate.cli.output import print_line
from taskstate.client import has_ended
from taskstate.task_watch import WatchReset
from taskstate.v1.task_service_pb2 import Checkpoint, TaskChange

if TYPE_CHECKING:
    from rich.console import Console

    from taskstate.cli.board import Board
    from taskstate.cli.link import Link
    from taskstate.task_watch import WatchItem
    from taskstate.v1.task_pb2 import TaskEvent


class BoardLines:
    """Prints changes as they come; progress is left out, as it would bury what matters among many tasks."""

    def __init__(self, board: Board, link: Link, console: Console) -> None:
        self._board = board
        self._link = link
        self._console = console
        self._in_snapshot = True

    def take(self, item: WatchItem, notice: str) -> None:
        """Prints what an item of the watch says: a row of the snapshot, a transition, a `notice` about the connection."""
        if notice:
            self._print(notice)
        if isinstance(item, WatchReset):
            self._in_snapshot = True
        elif isinstance(item, Checkpoint):
            # Later rows without a transition are progress.
            self._in_snapshot = False
        elif isinstance(item, TaskChange) and item.HasField("event"):
            self._print_transition(item.event, item)
        elif isinstance(item, TaskChange) and self._in_snapshot and item.HasField("task"):
            self._print(f"{words.task_label(item.task)} {text.short_id(item.task.task_id)} {self._standing(item)}")

    def _print_transition(self, event: TaskEvent, change: TaskChange) -> None:
        # Of several transitions in one message only the newest brings the task.
        task = change.task if change.HasField("task") else self._board.known(event.task_id)
        name = f"{words.task_label(task)} " if task is not None else ""
        what = words.event_words(event)
        if change.HasField("task") and has_ended(change.task) and getattr(event, "from") != event.to:
            what = self._standing(change)
        elif event.message:
            what = f"{what}: {text.escape(event.message)}"
        self._print(f"{name}{text.short_id(event.task_id)} {what}", words.seconds_of(event.time))

    def _standing(self, change: TaskChange) -> str:
        task = change.task
        return f"{words.state_look(task.state).word}: {words.state_sentence(task, self._link.clock.now())}"

    def _print(self, line: str, at: float | None = None) -> None:
        print_line(f"{text.clock_time(self._link.clock.now() if at is None else at)} {line}", self._console)
