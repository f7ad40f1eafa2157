"""The checker is checked: deliberate mistakes of the core, each of which the random test must find within a few seeds.

A mutant stands between the overlay and `decide`, or in a shared function that the rules call, so that it does not depend
on how the rules are cut into files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.taskstate import codec, overlay, progress
from services.taskstate.command import (
    Accepted,
    AttemptCommand,
    AttemptExited,
    CancelTask,
    Command,
    ConfirmDispatch,
    ExpireAttempt,
    FinishAttempt,
    HandOut,
    NoteWait,
    Outcome,
    ReportProgress,
    ResumeAttempt,
    StartAttempt,
)
from services.taskstate.decide import decide
from services.taskstate.model import TERMINAL_STATES, Task, TaskState
from services.taskstate.overlay import Overlay
from tests.unit.taskstate.checker import Violation
from tests.unit.taskstate.steps import run

SEEDS = 12
Decide = Callable[[Task | None, Any, Command, datetime, int], Outcome]


def changed(outcome: Outcome, **fields: Any) -> Outcome:
    """The outcome with other fields, and an event that tells them, as a mistaken rule would answer."""
    if not isinstance(outcome, Accepted) or outcome.no_op:
        return outcome
    event = outcome.event
    if event is not None:
        told = event.changes | codec.encode_changes(fields)
        event = replace(event, changes=told, to_state=fields.get("state", event.to_state))
    return replace(outcome, task=replace(outcome.task, **fields), event=event)


def no_token_check(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    if task is not None and task.attempt and isinstance(command, AttemptCommand):
        command = replace(command, fencing_token=task.fencing_token)
    return decide(task, facts, command, now, revision)


def no_check_of_doubles(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    if task is not None and isinstance(command, ReportProgress):
        command = replace(command, sequence=task.sequence + 1)
    return decide(task, facts, command, now, revision)


def stale_messages_start(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    if task is not None and isinstance(command, StartAttempt):
        command = replace(command, dispatch=task.dispatch)
    return decide(task, facts, command, now, revision)


def done_may_fall(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    outcome = decide(task, facts, command, now, revision)
    if task is None or not isinstance(command, ReportProgress) or command.phase_id or command.done is None:
        return outcome
    return outcome if progress.counts_phases(task) else changed(outcome, done=command.done)


class _NoLimits:
    """Facts in which every group has room."""

    def __init__(self, facts: Any) -> None:
        self._facts = facts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._facts, name)

    def group_limit(self, _group: str) -> int:
        return 10**6


def no_slot_limit(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    return decide(task, _NoLimits(facts), command, now, revision)


class _AllAlive(_NoLimits):
    def group_limit(self, group: str) -> int:
        limit: int = self._facts.group_limit(group)
        return limit

    def replica_holds_lease(self, _replica_id: str) -> bool:
        return True


def dead_replicas_start(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    return decide(task, _AllAlive(facts) if isinstance(command, StartAttempt) else facts, command, now, revision)


def slot_free_at_the_end(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    outcome = decide(task, facts, command, now, revision)
    return changed(outcome, slot=None) if isinstance(command, FinishAttempt) else outcome


def slot_taken_at_the_start(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    outcome = decide(task, facts, command, now, revision)
    if isinstance(command, HandOut):
        return changed(outcome, slot=None)
    return changed(outcome, slot=task.slot_name) if isinstance(command, StartAttempt) and task else outcome


def slot_is_never_free(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    outcome = decide(task, facts, command, now, revision)
    return changed(outcome, slot=task.slot) if isinstance(command, AttemptExited) and task else outcome


def the_end_may_move(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    if task is not None and task.state in TERMINAL_STATES and isinstance(command, FinishAttempt):
        task = replace(task, state=TaskState.RUNNING)
    return decide(task, facts, command, now, revision)


def the_next_attempt_does_not_wait(
    task: Task | None, facts: Any, command: Command, now: datetime, revision: int
) -> Outcome:
    if task is not None and task.previous_process_remains and isinstance(command, HandOut):
        outcome = decide(replace(task, gone_time=now), facts, command, now, revision)
        return changed(outcome, gone_time=None)
    return decide(task, facts, command, now, revision)


def the_delay_is_forgotten(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    later = now + timedelta(minutes=2) if isinstance(command, HandOut) and task and not task.handed_out_time else now
    return decide(task, facts, command, later, revision)


def the_event_forgets_a_field(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    outcome = decide(task, facts, command, now, revision)
    if isinstance(outcome, Accepted) and outcome.event is not None and isinstance(command, HandOut):
        told = {name: value for name, value in outcome.event.changes.items() if name != "dispatch"}
        return replace(outcome, event=replace(outcome.event, changes=told))
    return outcome


def a_new_number_for_the_same_message(
    task: Task | None, facts: Any, command: Command, now: datetime, revision: int
) -> Outcome:
    outcome = decide(task, facts, command, now, revision)
    again = task is not None and task.handed_out_time is not None and isinstance(command, HandOut)
    return changed(outcome, dispatch=task.dispatch + 1) if again and task else outcome


def attempts_without_end(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    if task is None or not isinstance(command, FinishAttempt | ExpireAttempt):
        return decide(task, facts, command, now, revision)
    return changed(
        decide(replace(task, max_attempts=99), facts, command, now, revision), max_attempts=task.max_attempts
    )


def an_error_leaves_a_result(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    outcome = decide(task, facts, command, now, revision)
    failed = isinstance(command, FinishAttempt) and command.error is not None
    return changed(outcome, result="{}", result_size=2) if failed else outcome


def a_stop_does_not_win(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    if task is not None and task.cancel is not None and isinstance(command, FinishAttempt):
        return changed(decide(replace(task, cancel=None), facts, command, now, revision), cancel=task.cancel)
    return decide(task, facts, command, now, revision)


def a_cancelled_task_may_start(
    task: Task | None, facts: Any, command: Command, now: datetime, revision: int
) -> Outcome:
    outcome = decide(task, facts, command, now, revision)
    kept = task.handed_out_time if task is not None and isinstance(command, CancelTask) else None
    return changed(outcome, handed_out_time=kept) if kept else outcome


def nobody_comes_back(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    outcome = decide(task, facts, command, now, revision)
    broken = task.suspect_until if task is not None and isinstance(command, ResumeAttempt) else None
    return changed(outcome, suspect_until=broken) if broken else outcome


def the_sweep_is_hasty(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    if task is not None and task.suspect_until is not None and isinstance(command, ExpireAttempt):
        return changed(
            decide(replace(task, suspect_until=now), facts, command, now, revision), suspect_until=task.suspect_until
        )
    return decide(task, facts, command, now, revision)


def a_confirmed_message_is_forgotten(
    task: Task | None, facts: Any, command: Command, now: datetime, revision: int
) -> Outcome:
    outcome = decide(task, facts, command, now, revision)
    return changed(outcome, handed_out_time=None) if isinstance(command, ConfirmDispatch) else outcome


def any_wait_may_be_noted(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    outcome = decide(task, facts, command, now, revision)
    if isinstance(command, NoteWait) and isinstance(outcome, Accepted) and task and not task.handed_out_time:
        outcome = decide(task, facts, HandOut(task_id=task.task_id, actor="s"), now, revision)
        return outcome if isinstance(outcome, Accepted) else decide(task, facts, command, now, revision)
    return outcome


def times_are_a_process_s_own(task: Task | None, facts: Any, command: Command, now: datetime, revision: int) -> Outcome:
    skewed = now - timedelta(hours=2) if isinstance(command, StartAttempt) else now
    return decide(task, facts, command, skewed, revision)


DECISIONS: list[Decide] = [
    no_token_check,
    no_check_of_doubles,
    stale_messages_start,
    done_may_fall,
    no_slot_limit,
    dead_replicas_start,
    slot_free_at_the_end,
    slot_taken_at_the_start,
    slot_is_never_free,
    the_end_may_move,
    the_next_attempt_does_not_wait,
    the_delay_is_forgotten,
    the_event_forgets_a_field,
    a_new_number_for_the_same_message,
    attempts_without_end,
    an_error_leaves_a_result,
    a_stop_does_not_win,
    a_cancelled_task_may_start,
    nobody_comes_back,
    the_sweep_is_hasty,
    a_confirmed_message_is_forgotten,
    any_wait_may_be_noted,
    times_are_a_process_s_own,
]


@pytest.mark.parametrize("mutant", DECISIONS, ids=lambda mutant: mutant.__name__)
def test_a_mistaken_decision_is_found(mutant: Decide, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(overlay, "decide", mutant)
    assert found_within(SEEDS)


def _report_lets_phases_fall(phases: Any, phase_id: str, done: Any, total: Any, message: Any) -> Any:
    return tuple(replace(phase, done=done) if phase.id == phase_id and done is not None else phase for phase in phases)


def _progress_beside_the_move(self: Overlay, task: Task) -> None:
    self.changes.progressed[task.task_id] = task


def _count_nothing(self: Overlay, before: Task | None, task: Task) -> None:
    return None


def _forget_that_it_ran(self: Overlay, before: Task, task: Task) -> None:
    if task.attempt != before.attempt:
        self.changes.attempts_started[task.task_id, task.attempt] = task


OTHERS: list[tuple[object, str, Any]] = [
    (progress, "report", _report_lets_phases_fall),
    (Overlay, "_replace_written", _progress_beside_the_move),
    (Overlay, "_count", _count_nothing),
    (Overlay, "_note_attempt", _forget_that_it_ran),
    (codec, "CREATED_FIELDS", codec.POLICY_FIELDS),
]


@pytest.mark.parametrize(
    ("owner", "name", "mutant"), OTHERS, ids=lambda value: str(getattr(value, "__name__", value))[:30]
)
def test_a_mistake_beside_the_decisions_is_found(
    owner: object, name: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(owner, name, mutant)
    assert found_within(SEEDS)


def found_within(seeds: int) -> bool:
    """Whether a run of one of the first seeds ends in a violation; the tables in memory refuse what tables would."""
    for seed in range(seeds):
        try:
            run(seed, 300)
        except (Violation, ValueError, KeyError):
            return True
    return False


def test_without_a_mistake_nothing_is_found():
    assert not found_within(3)
