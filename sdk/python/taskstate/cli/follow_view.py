"""A followed task painted in a terminal: phases with bars, items, the newest message, and always the age of all that.

Painted at most four times a second by a thread of rich, so that ages count on while nothing arrives. The last line is
always the age line. Nothing is guessed: a bar stands where the last report put it, and an unknown whole has no bar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from rich.cells import cell_len
from rich.console import Group
from rich.live import Live
from rich.text import Text

from taskstate.cli import text, words
from taskstate.cli.columns import GAP, aligned, bar
from taskstate.cli.follow_lines import items_words
from taskstate.cli.output import takes_ctrl_c
from taskstate.cli.receipt import receipt_line
from taskstate.client import has_ended
from taskstate.v1 import task_pb2 as pb

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from taskstate.cli.follow import Following

PAINTS_PER_SECOND: Final = 4
_BAR_WIDTH: Final = 24
_BAR_WIDTH_NARROW: Final = 12
_NAME_WIDTH_MAX: Final = 28
_WIDE: Final = 90
_ESTIMATE_FROM_S: Final = 5.0
_ESTIMATE_FROM_PERCENT: Final = 5.0


class FollowView:
    """Paints the task. See ``taskstate.cli.follow.Display``."""

    def __init__(self, following: Following, console: Console) -> None:
        self._following = following
        self._console = console
        self._has_ended = False
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

    def changed(self, before: pb.Task, event: pb.TaskEvent | None) -> None:
        """Nothing to do: the next painting reads the newest."""

    def say(self, line: str) -> None:
        """Nothing to do: the age line tells the state of the connection."""

    def ended(self) -> None:
        """Paints the last picture, which stays."""
        self._has_ended = True
        self._live.refresh()

    def picture(self) -> RenderableType:
        """The whole picture as of now."""
        task = self._following.task
        now = self._following.link.clock.now()
        rows: list[RenderableType] = [_header(task)]
        if task.state != pb.TASK_STATE_RUNNING or words.doubts(task):
            rows.append(_line(f"  {words.state_sentence(task, now)}"))
        if task.HasField("cancel"):
            rows.append(_line(f"  {receipt_line(task.cancel, now)}", "bright_black"))
        rows.extend(
            _phase_rows(task, now, self._console.width) if task.phases else _plain_progress(task, self._console.width)
        )
        items = items_words(task)
        if items:
            rows.append(_line(f"  {items}"))
        estimate = time_left(task, now)
        if estimate is not None:
            rows.append(_line(f"  about {text.duration(estimate)} left (this run's pace)", "bright_black"))
        rows.append(self._age_line(task, now))
        return Group(*rows)

    def _age_line(self, task: pb.Task, now: float) -> Text:
        link = self._following.link
        short = text.short_id(task.task_id)
        if self._has_ended:
            return _line(
                f"rev {text.count(task.revision)} · more: taskstate show {short}, taskstate logs {short}", "dim"
            )
        parts = [link.words(), *(["Ctrl-C leaves it on"] if takes_ctrl_c() else [])]
        if task.state == pb.TASK_STATE_RUNNING and task.HasField("heard_time") and not link.is_broken:
            parts.insert(0, f"heard {text.age(now - words.seconds_of(task.heard_time))}")
        return _line(" · ".join(parts), "yellow" if link.is_broken else "dim")


def time_left(task: pb.Task, now: float) -> float | None:
    """Seconds left if the attempt goes on at its pace so far; None where that would be a guess.

    It is one for a task with phases: their mean says how many are done, not how long the others take.
    """
    ran = words.ran_s(task, now)
    if task.phases:
        return None
    if task.state != pb.TASK_STATE_RUNNING or ran is None or ran < _ESTIMATE_FROM_S:
        return None
    share = task.progress.percent if task.progress.HasField("percent") else 0.0
    if not _ESTIMATE_FROM_PERCENT <= share < 100:
        return None
    return ran * (100 - share) / share


def _line(content: str, style: str = "") -> Text:
    return Text(content, style=style, no_wrap=True, overflow="ellipsis")


def _header(task: pb.Task) -> Text:
    look = words.state_look(task.state)
    header = Text.assemble(
        (f"{look.icon} {look.word}", look.style), f"  {words.task_label(task)} ", (text.short_id(task.task_id), "dim")
    )
    for doubt in words.doubts(task):
        header.append(f"  {doubt.icon} {doubt.word}", doubt.style)
    if task.attempt:
        header.append(f"   attempt {task.attempt} of {task.max_attempts}")
    if task.worker.worker_id:
        header.append(f"   {text.escape(task.worker.worker_id)}", "dim")
    header.no_wrap, header.overflow = True, "ellipsis"
    return header


def _plain_progress(task: pb.Task, width: int) -> list[RenderableType]:
    """The bar and the message of a task without phases; nothing before its first report."""
    progress = task.progress
    rows: list[RenderableType] = []
    if progress.done or progress.HasField("total"):
        total = progress.total if progress.HasField("total") else None
        share = f"{text.percent(progress.percent)}  " if progress.HasField("percent") else ""
        rows.append(Text.assemble(f"  {share}", _bar_and_quantity(progress.done, total, width)))
    if task.message and not has_ended(task):
        rows.append(_line(f"  {text.escape(task.message)}"))
    return rows


def _phase_rows(task: pb.Task, now: float, width: int) -> list[RenderableType]:
    """Begun phases a row each, the running one with its sub-phases and message; those to come on one line."""
    begun = [phase for phase in _top_level(task) if phase.state != pb.PHASE_STATE_PENDING]
    cells = [_phase_cells(phase, now, width) for phase in begun]
    for row in cells:
        # As wide as the longest name of all, so that nothing moves when that phase begins.
        row[1].pad_right(max(0, _name_width(task) - row[1].cell_len))
    lines = aligned(cells, indent="  ", right={2}, width_max={1: _NAME_WIDTH_MAX})
    rows: list[RenderableType] = []
    for phase, line in zip(begun, lines, strict=True):
        rows.append(line)
        if phase.state in (pb.PHASE_STATE_RUNNING, pb.PHASE_STATE_FAILED):
            rows.extend(_inside(task, phase, width))
    waiting = [_phase_name(phase) for phase in _top_level(task) if phase.state == pb.PHASE_STATE_PENDING]
    if waiting:
        rows.append(_line("  · " + " · ".join(waiting), "bright_black"))
    return rows


def _top_level(task: pb.Task) -> list[pb.Phase]:
    return [phase for phase in task.phases if "." not in phase.id]


def _phase_cells(phase: pb.Phase, now: float, width: int) -> list[Text]:
    look = words.phase_look(phase.state)
    total = phase.total if phase.HasField("total") else None
    if phase.state == pb.PHASE_STATE_RUNNING:
        rest = _bar_and_quantity(phase.done, total, width)
    else:
        # "310 of 310" says no more than "310" once the phase has ended.
        quantity = text.count(phase.done) if phase.done and phase.done == total else ""
        if not quantity and (phase.done or total):
            quantity = text.quantity(phase.done, total)
        parts = [quantity, text.escape(phase.message)]
        rest = Text(GAP.join(part for part in parts if part), "bright_black")
    return [Text(look.icon, look.style), Text(_phase_name(phase)), Text(_share(phase, now)), rest]


def _bar_and_quantity(done: float, total: float | None, width: int) -> Text:
    """A bar only where the whole is known."""
    quantity = text.quantity(done, total) if done or total else ""
    if not total:
        return Text(quantity)
    return Text.assemble(bar(done / total, _BAR_WIDTH if width >= _WIDE else _BAR_WIDTH_NARROW), GAP, quantity)


def _inside(task: pb.Task, phase: pb.Phase, width: int) -> list[RenderableType]:
    """The second row of a phase: its sub-phases, and what it says."""
    rows: list[RenderableType] = []
    children = [child for child in task.phases if child.id.startswith(f"{phase.id}.")]
    if children:
        line = Text("      ", no_wrap=True, overflow="ellipsis")
        for child in children:
            look = words.phase_look(child.state)
            share = f" {text.percent(100 * child.done / child.total)}" if _is_measured(child) else ""
            line.append(f"{look.icon} {_phase_name(child)}{share}   ", look.style)
        rows.append(line)
    speaker = next((child for child in children if child.id == task.phase), None)
    if speaker is not None and _is_measured(speaker):
        measured = _bar_and_quantity(speaker.done, speaker.total, width)
        message = text.escape(speaker.message)
        line = Text.assemble(f"      {_phase_name(speaker)}", GAP, measured, GAP, (message, "bright_black"))
        line.no_wrap, line.overflow = True, "ellipsis"
        rows.append(line)
    elif speaker is not None and speaker.message:
        rows.append(_line(f"      {_phase_name(speaker)}: {text.escape(speaker.message)}"))
    elif speaker is None and phase.message and phase.state == pb.PHASE_STATE_RUNNING:
        rows.append(_line(f"      {text.escape(phase.message)}"))
    return rows


def _is_measured(phase: pb.Phase) -> bool:
    return phase.state == pb.PHASE_STATE_RUNNING and phase.HasField("total") and phase.total > 0


def _share(phase: pb.Phase, now: float) -> str:
    """How far a running phase is, or how long one took that has ended."""
    if _is_measured(phase):
        return text.percent(100 * phase.done / phase.total)
    if not phase.HasField("start_time"):
        return ""
    end = words.seconds_of(phase.end_time) if phase.HasField("end_time") else now
    return text.duration(end - words.seconds_of(phase.start_time))


def _phase_name(phase: pb.Phase) -> str:
    """A sub-phase stands under its phase, whose id it need not repeat."""
    return text.escape(phase.name or phase.id.rpartition(".")[2])


def _name_width(task: pb.Task) -> int:
    return min(_NAME_WIDTH_MAX, max(cell_len(_phase_name(phase)) for phase in _top_level(task)))
