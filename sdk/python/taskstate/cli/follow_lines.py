"""A followed task as lines of words: one for each change, with its time, for pipes, files and dumb terminals."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

from taskstate.cli import text, words
from taskstate.cli.output import print_line
from taskstate.client import TERMINAL_STATES, has_ended
from taskstate.v1 import task_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from taskstate.cli.follow import Following

_NOTHING_DONE: Final = text.percent(0)
PROGRESS_INTERVAL_S: Final = 2.0
"""Progress may come ten times a second; a line for each would bury the transitions, which are never left out."""


class FollowLines:
    """Prints what changed. See ``taskstate.cli.follow.Display``."""

    def __init__(
        self, following: Following, console: Console, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._following = following
        self._console = console
        self._monotonic = monotonic
        self._said_standing: tuple[object, ...] = ()
        self._progress = ""
        self._progress_due = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        return None

    def changed(self, before: pb.Task, event: pb.TaskEvent | None) -> None:
        """Prints a transition that the task has already left again, phases, where the task stands now, progress."""
        task = self._following.task
        at = words.seconds_of(event.time) if event is not None else None
        if event is not None and event.to not in (getattr(event, "from"), task.state, *TERMINAL_STATES):
            self._print(words.state_look(event.to).word, at)
        for line in phase_lines(before, task):
            self._print(line, at)
        standing = _standing(task)
        if standing != self._said_standing and not has_ended(task):
            self._said_standing = standing
            self._print(f"{words.state_look(task.state).word}: {words.state_sentence(task, self._now())}", at)
        self._report_progress(task)

    def say(self, line: str) -> None:
        """Prints a line about the connection."""
        self._print(line)

    def ended(self) -> None:
        """Prints how the task ended. The time is that of the end, not of the printing."""
        task = self._following.task
        end = words.seconds_of(task.end_time) if task.HasField("end_time") else None
        self._print(f"{words.state_look(task.state).word}: {words.state_sentence(task, self._now())}", end)
        items = items_words(task)
        if items:
            self._print(items, end)

    def _report_progress(self, task: pb.Task) -> None:
        if task.state != pb.TASK_STATE_RUNNING or self._monotonic() < self._progress_due:
            return
        line = progress_words(task)
        if line not in ("", _NOTHING_DONE, self._progress):
            self._progress = line
            self._progress_due = self._monotonic() + PROGRESS_INTERVAL_S
            self._print(line)

    def _now(self) -> float:
        return self._following.link.clock.now()

    def _print(self, line: str, at: float | None = None) -> None:
        task = self._following.task
        moment = text.clock_time(self._now() if at is None else at)
        name = f"{words.task_label(task)} {text.short_id(task.task_id)}"
        print_line(f"{moment} {name} {line}", self._console)


def _standing(task: pb.Task) -> tuple[object, ...]:
    """What a new sentence is worth. What a retry waits for is not: the sentence would repeat the whole error."""
    wait_reason = task.wait_reason if task.state == pb.TASK_STATE_PENDING else 0
    return (task.state, task.reason, task.attempt, wait_reason, task.liveness, words.cancel_stage(task))


def phase_lines(before: pb.Task, after: pb.Task) -> Iterator[str]:
    """A line for each phase that stands elsewhere than before."""
    stood = {phase.id: phase.state for phase in before.phases} if before.attempt == after.attempt else {}
    for phase in after.phases:
        if phase.state == stood.get(phase.id, pb.PHASE_STATE_PENDING):
            continue
        parts = [f"phase {text.escape(phase.id)} {words.phase_look(phase.state).word}"]
        if phase.HasField("start_time") and phase.HasField("end_time"):
            parts.append(f"in {text.duration(words.seconds_of(phase.end_time) - words.seconds_of(phase.start_time))}")
        if phase.state != pb.PHASE_STATE_RUNNING and phase.message:
            parts.append(f"({text.escape(phase.message)})")
        yield " ".join(parts)


def progress_words(task: pb.Task) -> str:
    """How far a task is and its newest message, in words; empty while it has said nothing."""
    return ", ".join(part for part in (share_words(task), text.escape(task.message)) if part)


def share_words(task: pb.Task) -> str:
    """How far a task is: its percent, and the count of the running phase, else its own."""
    progress = task.progress
    parts = [text.percent(progress.percent)] if progress.HasField("percent") else []
    running = next((phase for phase in task.phases if phase.id == task.phase), None)
    shown = running if running is not None else progress
    if shown.done or shown.HasField("total"):
        done = text.quantity(shown.done, shown.total if shown.HasField("total") else None)
        parts.append(f"{text.escape(task.phase)}: {done}" if running is not None else done)
    return ", ".join(parts)


def items_words(task: pb.Task) -> str:
    """Items done and failed, in words; empty when none were reported."""
    parts = [f"{text.count(task.items_processed)} items"] if task.items_processed else []
    if task.items_failed:
        parts.append(f"{text.count(task.items_failed)} failed")
    return ", ".join(parts)
