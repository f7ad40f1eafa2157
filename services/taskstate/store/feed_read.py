"""What the watch reads: the state at a revision, and everything after one.

Each read is one REPEATABLE READ transaction, so that the revision row, the transitions and the progress agree. Transitions
are rows of the event table; progress has no rows, so it is the active tasks whose own revision lies in the span.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from services.taskstate.filters import TaskFilter
from services.taskstate.model import Event, Task
from services.taskstate.store import rows
from services.taskstate.store.schema import ACTIVE

_HEAD = text("select n, compacted, clock_timestamp() as now from revision")
_EVENTS = text("select * from event where revision > :after order by revision limit :limit")
_EVENTS_OF = text("""
select * from event where task_id = any(cast(:ids as uuid[])) and revision > :after order by revision limit :limit
""")
_TASKS = text(f"{rows.SELECT_TASK} where s.task_id = any(cast(:ids as uuid[]))")
_IS_PROGRESS = f"s.{ACTIVE} and s.revision > s.event_revision and s.revision > :after and s.revision <= :upto"
_PROGRESSED = text(f"{rows.SELECT_TASK} where {_IS_PROGRESS} order by s.revision")
_PROGRESSED_OF = text(f"""
{rows.SELECT_TASK} where s.task_id = any(cast(:ids as uuid[])) and {_IS_PROGRESS} order by s.revision
""")
"""Where the newest change is a transition there is no progress to tell: the transition brings its whole task."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest revision, up to where history is not kept, and the database's clock."""

    revision: int
    compacted: int
    time: datetime


@dataclass(frozen=True, slots=True)
class FeedRead:
    """Everything after a revision up to `head.revision`, or a first page of it up to `to_revision`."""

    head: Head
    to_revision: int
    events: Sequence[Event]
    tasks: dict[str, Task]
    progressed: Sequence[str]


def read_head(connection: Connection) -> Head:
    """The newest revision."""
    row = connection.execute(_HEAD).one()
    return Head(row.n, row.compacted, row.now)


def read_after(
    connection: Connection, after: int, progress_after: int, limit: int, task_ids: frozenset[str] = frozenset()
) -> FeedRead:
    """What came after a revision: at most `limit` transitions; progress only when no transition was left for later.

    Progress has a cursor of its own, `progress_after`, which stays where it was until the last page brings it. With
    `task_ids` only of these: thousands that watch one task each must not each read about all.
    """
    only = {"ids": _array(task_ids)} if task_ids else {}
    head = read_head(connection)
    if head.revision <= progress_after:
        return FeedRead(head, head.revision, (), {}, ())
    found = connection.execute(_EVENTS_OF if only else _EVENTS, {"after": after, "limit": limit} | only)
    events = [rows.event_from_row(row) for row in found]
    upto = events[-1].revision if len(events) == limit else head.revision
    progressed = []
    tasks: dict[str, Task] = {}
    if upto == head.revision:
        span = {"after": progress_after, "upto": upto}
        for row in connection.execute(_PROGRESSED_OF if only else _PROGRESSED, span | only):
            task = rows.task_from_row(row)
            tasks[task.task_id] = task
            progressed.append(task.task_id)
    missing = {event.task_id for event in events} - tasks.keys()
    tasks |= _tasks(connection, missing)
    return FeedRead(head, upto, events, tasks, progressed)


def read_snapshot(connection: Connection, wanted: TaskFilter) -> tuple[Head, list[Task]]:
    """The current state: all non-terminal tasks that match and, if ids are named, those in any state; by creation."""
    head = read_head(connection)
    conditions = ["p.namespace = :namespace"]
    parameters: dict[str, Any] = {"namespace": wanted.namespace}
    if wanted.task_ids:
        conditions.append("s.task_id = any(cast(:ids as uuid[]))")
        parameters["ids"] = _array(wanted.task_ids)
    else:
        conditions.append(f"s.{ACTIVE}")
    if wanted.group:
        conditions.append('p."group" = :group')
        parameters["group"] = wanted.group
    if wanted.types:
        conditions.append("p.type = any(cast(:types as text[]))")
        parameters["types"] = list(wanted.types)
    if wanted.queue:
        conditions.append("p.queue = :queue")
        parameters["queue"] = wanted.queue
    statement = f"{rows.SELECT_TASK} where {' and '.join(conditions)} order by p.create_revision"
    return head, [rows.task_from_row(row) for row in connection.execute(text(statement), parameters)]


def _tasks(connection: Connection, task_ids: set[str]) -> dict[str, Task]:
    if not task_ids:
        return {}
    found = map(rows.task_from_row, connection.execute(_TASKS, {"ids": _array(task_ids)}))
    return {task.task_id: task for task in found}


def _array(task_ids: set[str] | frozenset[str]) -> str:
    return "{" + ",".join(task_ids) + "}"
