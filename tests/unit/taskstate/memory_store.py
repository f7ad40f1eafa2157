"""The tables as dicts: what a batch wrote is all that the next batch knows, as it is with PostgreSQL.

Rows come from the store's own functions and go through JSON as the store's statements do, so that a task which a batch
would write in part, twice, or not at all comes back wrong here too.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields
from typing import Any

from services.taskstate import codec
from services.taskstate.model import Event, Spec, Task
from services.taskstate.store import rows
from services.taskstate.store.batch import Changes

_SPEC_FIELDS = frozenset(item.name for item in fields(Spec))
_TASK_FIELDS = frozenset(item.name for item in fields(Task))


class MemoryStore:
    """Specs, statuses, attempts, results, events and counters, written as `store.batch.write` does."""

    def __init__(self) -> None:
        self.spec: dict[str, dict[str, Any]] = {}
        self.status: dict[str, dict[str, Any]] = {}
        self.attempt: dict[tuple[str, int], dict[str, Any]] = {}
        self.result: dict[str, dict[str, Any]] = {}
        self.events: list[Event] = []
        self.counted: Counter[tuple[str, str, str]] = Counter()

    def write(self, changes: Changes) -> None:
        """One batch, table by table in the store's order. KeyError or ValueError where PostgreSQL would fail or lose."""
        twice = (changes.created.keys() & changes.moved.keys()) | (
            changes.progressed.keys() & (changes.created.keys() | changes.moved.keys())
        )
        if twice:
            raise ValueError(f"written by two statements: {twice}")
        for task_id, task in changes.created.items():
            _insert(self.spec, task_id, rows.spec_row(task))
            _insert(self.status, task_id, rows.new_status_row(task))
        for task_id, task in changes.frozen.items():
            _update(self.spec, task_id, rows.policy_row(task))
        for task_id, task in changes.moved.items():
            _update(self.status, task_id, rows.status_row(task))
        for task_id, task in changes.progressed.items():
            _update(self.status, task_id, rows.status_row(task, rows.HOT))
        for key, task in changes.attempts_changed.items():
            _update(self.attempt, key, rows.attempt_row(task))
        for key, task in changes.attempts_started.items():
            _insert(self.attempt, key, rows.attempt_row(task))
        for task_id, task in changes.results.items():
            _insert(self.result, task_id, rows.result_row(task))
        for event in changes.events:
            rows.to_json([rows.event_row(event)])
            self.events.append(event)
        self.counted.update(changes.counted)

    def load(self, task_id: str) -> Task:
        """The task as its rows tell it."""
        spec = self.spec[task_id]
        status = self.status[task_id]
        row = spec | status | self.result.get(task_id, {}) | self.attempt.get((task_id, status["attempt"]), {})
        made = {name: row[name] for name in _SPEC_FIELDS} | {
            "create_time": codec.parse_time(row["create_time"]),
            "retry_of": row["retry_of"] or "",
        }
        values = {name: codec.decode(name, value) for name, value in row.items() if name in _TASK_FIELDS}
        return Task(spec=Spec(**made), **values)

    def running_attempts(self, task_id: str) -> int:
        """How many attempts of a task have not ended: the schema allows one."""
        return sum(
            row["attempt_end_time"] is None for (owner, _number), row in self.attempt.items() if owner == task_id
        )


def _insert(table: dict[Any, dict[str, Any]], key: Any, row: dict[str, Any]) -> None:
    if key in table:
        raise ValueError(f"inserted twice: {key}")
    table[key] = _through_json(row)


def _update(table: dict[Any, dict[str, Any]], key: Any, row: dict[str, Any]) -> None:
    table[key].update(_through_json(row))


def _through_json(row: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(rows.to_json([row]))[0]
    return read
