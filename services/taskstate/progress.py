"""How far a task is: its phases and its one number, as pure functions.

Where a task has phases, its progress is made of them: finished top-level phases out of all of them, and as percent the
mean of their shares, a phase with sub-phases having the mean of theirs. Without phases it is the count the task reported.
Whichever came first in an attempt stays its measure, as two counts of different things cannot follow each other: `done`
never falls within an attempt; percent may, when a total grows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from services.taskstate.model import PHASE_ENDED, Phase, PhaseState, Task, TaskState

PHASES_MAX = 64
_FINISHED = frozenset({PhaseState.DONE, PhaseState.SKIPPED})
"""What counts as done. A failed phase keeps the share it had reached: it must not make a dead task look complete."""


class TooManyPhases(Exception):
    """A task may have at most 64 phases."""


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """`percent` is from 0 to 100; None is "not known"."""

    done: float
    total: float | None
    percent: float | None


def declared(phases: Iterable[tuple[str, str]]) -> tuple[Phase, ...]:
    """The phases of a new attempt: everything its type declares, pending."""
    return tuple(Phase(id=phase_id, name=name or phase_id) for phase_id, name in phases)


def progress_of(task: Task) -> TaskProgress:
    """The task's one progress; a task that succeeded is at 100 percent, whatever it counted."""
    progress = _counted(task)
    return replace(progress, percent=100.0) if task.state is TaskState.SUCCEEDED else progress


def counts_phases(task: Task) -> bool:
    """Whether top-level phases are its measure: from the first one on, unless it had counted for itself before."""
    return task.done == 0 and any("." not in phase.id for phase in task.phases)


def _counted(task: Task) -> TaskProgress:
    if not counts_phases(task):
        return TaskProgress(task.done, task.total, _percent(_ratio(task.done, task.total, default=None)))
    top = [phase for phase in task.phases if "." not in phase.id]
    done = sum(1 for phase in top if phase.state in _FINISHED)
    share = sum(_share(phase, task.phases) for phase in top) / len(top)
    return TaskProgress(float(done), float(len(top)), _percent(share))


def begin(phases: tuple[Phase, ...], phase_id: str, name: str, message: str, now: datetime) -> tuple[Phase, ...]:
    """The phases after one began; unchanged if it has begun before. Raises TooManyPhases past the limit."""
    for index, phase in enumerate(phases):
        if phase.id == phase_id:
            if phase.state is not PhaseState.PENDING:
                return phases
            begun = replace(phase, state=PhaseState.RUNNING, name=name or phase.name, message=message, start_time=now)
            return (*phases[:index], begun, *phases[index + 1 :])
    if len(phases) >= PHASES_MAX:
        raise TooManyPhases
    begun = Phase(phase_id, name or phase_id.rpartition(".")[2], PhaseState.RUNNING, message=message, start_time=now)
    place = _place_of_new(phases, phase_id)
    return (*phases[:place], begun, *phases[place:])


def end(
    phases: tuple[Phase, ...], phase_id: str, state: PhaseState, name: str, message: str, now: datetime
) -> tuple[Phase, ...]:
    """The phases after one ended; one that never began (skipped at once) begins and ends now."""
    if all(phase.id != phase_id for phase in phases):
        phases = begin(phases, phase_id, name, "", now)
    return tuple(
        replace(
            phase,
            state=state,
            message=message or phase.message,
            start_time=phase.start_time or now,
            end_time=now,
            # A phase that is done has done all of it; one that did more than its total keeps that, as `done` never falls.
            done=max(phase.done, phase.total or 0.0) if state is PhaseState.DONE else phase.done,
        )
        if phase.id == phase_id and phase.state not in PHASE_ENDED
        else phase
        for phase in phases
    )


def report(
    phases: tuple[Phase, ...], phase_id: str, done: float | None, total: float | None, message: str | None
) -> tuple[Phase, ...]:
    """The phases after a report in one of them; a phase that is not running keeps its numbers."""
    return tuple(
        replace(
            phase,
            done=phase.done if done is None else max(phase.done, done),
            total=phase.total if total is None else total,
            message=phase.message if message is None else message,
        )
        if phase.id == phase_id and phase.state is PhaseState.RUNNING
        else phase
        for phase in phases
    )


def close(phases: tuple[Phase, ...], succeeded: bool, now: datetime) -> tuple[Phase, ...]:
    """The phases after the attempt ended: running ones end with it; after a success, those never begun were skipped."""
    closed = []
    for phase in phases:
        if phase.state is PhaseState.RUNNING:
            ended = PhaseState.DONE if succeeded else PhaseState.FAILED
            closed.append(replace(phase, state=ended, end_time=now))
        elif phase.state is PhaseState.PENDING and succeeded:
            closed.append(replace(phase, state=PhaseState.SKIPPED, message="The task ended without it."))
        else:
            closed.append(phase)
    return tuple(closed)


def innermost_running(phases: tuple[Phase, ...]) -> str:
    """The id of the running phase with the most dots, the last begun among equals; empty when none runs."""
    running = [
        (phase.id.count("."), phase.start_time, index, phase.id)
        for index, phase in enumerate(phases)
        if phase.state is PhaseState.RUNNING and phase.start_time is not None
    ]
    return max(running)[3] if running else ""


def _place_of_new(phases: tuple[Phase, ...], phase_id: str) -> int:
    """Sub-phases stand behind their parent's last one, all others at the end."""
    parent = phase_id.rpartition(".")[0]
    if not parent:
        return len(phases)
    family = [i for i, phase in enumerate(phases) if phase.id == parent or phase.id.startswith(parent + ".")]
    return family[-1] + 1 if family else len(phases)


def _share(phase: Phase, phases: tuple[Phase, ...]) -> float:
    if phase.state in _FINISHED:
        return 1.0
    if phase.state is PhaseState.PENDING:
        return 0.0
    depth = phase.id.count(".") + 1
    children = [p for p in phases if p.id.startswith(phase.id + ".") and p.id.count(".") == depth]
    if children:
        return sum(_share(child, phases) for child in children) / len(children)
    return _ratio(phase.done, phase.total, default=0.0) or 0.0


def _ratio(done: float, total: float | None, default: float | None) -> float | None:
    if total is None:
        return default
    if total <= 0:
        return 1.0
    return min(done / total, 1.0)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(share * 100, 1)
