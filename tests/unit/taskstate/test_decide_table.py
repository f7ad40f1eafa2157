"""Every (state, command) pair: what each command does in every situation a task can be in.

A row is one command, perhaps in one of its meanings (the current message, an older one). It names each situation exactly
once, under the answer expected there: a refusal's reason, "no-op", "hot" (progress, no event), or "STATE KIND" for a
transition. A new command needs rows, a new state a situation in `situations.py` and a place in every row.
"""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest

from services.taskstate import codec, command
from services.taskstate.command import (
    Accepted,
    Command,
    Outcome,
)
from services.taskstate.decide import decide
from services.taskstate.model import EventKind, Task, TaskState
from tests.unit.taskstate.answers import answer_of
from tests.unit.taskstate.decision_rows_attempt import ATTEMPT_ROWS
from tests.unit.taskstate.decision_rows_holder import HOLDER_ROWS
from tests.unit.taskstate.decision_table import (
    Row,
)
from tests.unit.taskstate.situations import (
    NOW,
    REVISION,
    SITUATIONS,
    TASK_ID,
)

ROWS = [*ATTEMPT_ROWS, *HOLDER_ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_command_in_each_situation(row: Row):
    found = {}
    for name, situation in SITUATIONS.items():
        task = situation()
        asked = row.make(task)
        outcome = decide(task, row.facts(task), asked, NOW, REVISION)
        found[name] = answer_of(outcome)
        check_outcome(task, asked, outcome)
    assert found == row.expected()


def check_outcome(task: Task | None, asked: Command, outcome: Outcome) -> None:
    """What holds of every answer: refusals and no-ops change nothing, a transition tells all that it changed."""
    if not isinstance(outcome, Accepted):
        assert outcome.message
        return
    if outcome.no_op:
        assert outcome.event is None
        assert outcome.task is task
        return
    moved, event = outcome.task, outcome.event
    assert moved.revision == REVISION
    changed = {name for name in _status_fields() if task is None or getattr(moved, name) != getattr(task, name)}
    if event is None:
        assert changed <= codec.HOT_FIELDS | {"revision"}
        return
    assert moved.event_revision == event.revision == REVISION
    assert (event.task_id, event.namespace, event.attempt) == (TASK_ID, "default", moved.attempt)
    assert (event.actor, event.time, event.reason) == (asked.actor, NOW, moved.reason)
    assert (event.from_state, event.to_state) == (task.state if task else None, moved.state)
    if task is not None:
        assert changed - codec.EVENT_LEFT_OUT <= set(event.changes)
        folded = codec.fold(task, event.changes)
        left_out = {name: getattr(moved, name) for name in codec.EVENT_LEFT_OUT}
        assert replace(folded, **left_out) == moved


def _status_fields() -> list[str]:
    return [name for name in Task.__slots__ if name != "spec"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_row_names_each_situation_once(row: Row):
    named = [name for names in row.answers.values() for name in names.split()]
    assert sorted(named) == sorted(SITUATIONS)


def test_every_command_has_rows():
    commands = {kind for _, kind in inspect.getmembers(command, inspect.isclass) if issubclass(kind, Command)}
    bases = {base for kind in commands for base in kind.__mro__[1:]}
    in_table = {type(row.make(SITUATIONS["running"]())) for row in ROWS}
    assert in_table == commands - bases


def test_every_state_has_situations():
    reached = {task.state for make in SITUATIONS.values() if (task := make()) is not None}
    assert reached == set(TaskState)
    for name, make in SITUATIONS.items():
        task = make()
        assert name.startswith("no_task" if task is None else task.state.lower())


def test_every_kind_of_event_is_told():
    told = {answer.split()[1] for row in ROWS for answer in row.answers if " " in answer}
    assert told == set(EventKind)
