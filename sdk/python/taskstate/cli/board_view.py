"""The board painted in a terminal: counts, what runs with bars, what waits and for what, what just ended, the age line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from rich.console import Group
from rich.live import Live
from rich.text import Text

from taskstate.cli import text, words
from taskstate.cli.columns import aligned, bar
from taskstate.v1 import task_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from taskstate.cli.board import Board, BoardContent
    from taskstate.cli.link import Link

PAINTS_PER_SECOND: Final = 4
_BAR_WIDTH: Final = 10
_LABEL_WIDTH_MAX: Final = 36
_WORKER_WIDTH_MAX: Final = 20
_WIDE: Final = 110
_COUNTED: Final = (
    pb.TASK_STATE_RUNNING, pb.TASK_STATE_QUEUED, pb.TASK_STATE_PENDING, pb.TASK_STATE_RETRYING,
    pb.TASK_STATE_SUCCEEDED, pb.TASK_STATE_FAILED, pb.TASK_STATE_CANCELLED, pb.TASK_STATE_LOST,
)  # fmt: skip
_OVERHEAD_LINES: Final = 9
_ROWS_MIN: Final = 4
_NOTHING: Final = "Nothing is running or waiting. Start a task: taskstate run canary"


class BoardView:
    """Paints the board until it is left. Used as a context manager."""

    def __init__(self, board: Board, link: Link, console: Console) -> None:
        self._board = board
        self._link = link
        self._console = console
        self._live = Live(
            get_renderable=self.picture,
            console=console,
            refresh_per_second=PAINTS_PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._live.stop()

    def picture(self) -> RenderableType:
        """The whole picture as of now, at most as high as the terminal."""
        content = self._board.content()
        now = self._link.clock.now()
        rows: list[RenderableType] = [_counts(content)]
        left = max(_ROWS_MIN, self._console.height - _OVERHEAD_LINES)
        for title, tasks, table in (
            ("RUNNING", content.running, self._running),
            ("WAITING", content.waiting, self._waiting),
            ("JUST ENDED", content.ended, self._ended),
        ):
            if not tasks:
                continue
            shown = tasks[: max(1, left)]
            left -= len(shown)
            rows += [_title(title, len(tasks) - len(shown)), *table(shown, now)]
        if len(rows) == 1:
            rows.append(Text(f"  {_NOTHING}"))
        rows.append(self._age_line())
        return Group(*rows)

    def _running(self, tasks: Sequence[pb.Task], now: float) -> list[Text]:
        is_wide = self._console.width >= _WIDE
        rows = []
        for task in tasks:
            row = [_state(task), _label(task), _share(task), _bar(task)]
            if is_wide:
                heard = (
                    text.age(now - words.seconds_of(task.heard_time)) if task.HasField("heard_time") else text.ABSENT
                )
                row += [Text(text.escape(task.worker.worker_id), "dim"), Text(f"heard {heard}", "dim")]
            rows.append([*row, _doing(task, now)])
        width_max = {1: self._label_width()} | ({4: _WORKER_WIDTH_MAX} if is_wide else {})
        return aligned(rows, indent="  ", right={2}, width_max=width_max)

    def _waiting(self, tasks: Sequence[pb.Task], now: float) -> list[Text]:
        rows = [[_state(task), _label(task), Text(words.state_sentence(task, now))] for task in tasks]
        return aligned(rows, indent="  ", width_max={1: self._label_width()})

    def _ended(self, tasks: Sequence[pb.Task], now: float) -> list[Text]:
        rows = []
        for task in tasks:
            ended = text.when(words.seconds_of(task.end_time), now) if task.HasField("end_time") else text.ABSENT
            rows.append([_state(task), _label(task), Text(ended, "dim"), Text(words.state_sentence(task, now))])
        return aligned(rows, indent="  ", width_max={1: self._label_width()})

    def _label_width(self) -> int:
        return min(_LABEL_WIDTH_MAX, self._console.width // 3)

    def _age_line(self) -> Text:
        line = f"{self._link.words()} · Ctrl-C ends the view, not the tasks"
        return Text(line, "yellow" if self._link.is_broken else "dim", no_wrap=True, overflow="ellipsis")


def _counts(content: BoardContent) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    for state in _COUNTED:
        look = words.STATES[state]
        if content.counts[state]:
            line.append(f"{look.icon} {text.count(content.counts[state])} {look.word}   ", look.style)
    if content.is_full:
        line.append("and more than are shown", "yellow")
    return line


def _title(title: str, hidden: int) -> Text:
    return Text(f"{title}  and {text.count(hidden)} more" if hidden else title, "bold")


def _state(task: pb.Task) -> Text:
    look = words.state_look(task.state)
    cell = Text(f"{look.icon} {look.word}", look.style)
    for doubt in words.doubts(task):
        cell.append(f" {doubt.icon} {doubt.word}", doubt.style)
    return cell


def _label(task: pb.Task) -> Text:
    """The short id first, as a long name is cut at its end."""
    return Text.assemble((text.short_id(task.task_id), "dim"), " ", words.task_label(task))


def _share(task: pb.Task) -> Text:
    if task.progress.HasField("percent"):
        return Text(text.percent(task.progress.percent))
    return Text(text.quantity(task.progress.done, None) if task.progress.done else "")


def _bar(task: pb.Task) -> Text:
    return bar(task.progress.percent / 100, _BAR_WIDTH) if task.progress.HasField("percent") else Text("")


def _doing(task: pb.Task, now: float) -> Text:
    """Where there is a doubt, it and what happens next; else the task's own words."""
    if words.doubts(task):
        return Text(words.state_sentence(task, now), "yellow")
    parts = [text.escape(part) for part in (task.phase, task.message) if part]
    return Text(": ".join(parts))
