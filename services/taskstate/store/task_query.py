"""Reads for people and frontends: one task, lists by keyset, the active task of a group, the audit trail.

Lists run over `create_revision`, which is unique, never falls as time passes, and ends every index of a filter. Counts
over state and type come from the counters; other counts are counted.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from services.taskstate.filters import ListFilter
from services.taskstate.model import Event, Task
from services.taskstate.store import rows

_ONE = text(f"{rows.SELECT_TASK_WHOLE} where s.task_id = cast(:task_id as uuid)")
_EXISTS = text("select exists (select 1 from task_spec where task_id = cast(:task_id as uuid))")
_REVISION = text("select n from revision")
_EVENTS = text("""
select * from event where task_id = cast(:task_id as uuid) and revision > :after order by revision limit :limit
""")
_RUNNING = text(f"""
{rows.SELECT_TASK}
where p.namespace = :namespace and p."group" = :group and s.state = 'RUNNING' order by a.start_time limit 1
""")
_WAITING = text(f"""
{rows.SELECT_TASK}
where p.namespace = :namespace and p."group" = :group and s.state in ('PENDING', 'QUEUED', 'RETRYING')
order by p.create_revision limit 1
""")
_QUEUE_SIZE = text("""
select count(*) from task_status s join task_spec p on p.task_id = s.task_id
where p.namespace = :namespace and p."group" = :group and s.state in ('PENDING', 'QUEUED', 'RETRYING')
""")


def read_revision(connection: Connection) -> int:
    """The newest revision of this read."""
    return int(connection.execute(_REVISION).scalar_one())


def read_task(connection: Connection, task_id: str) -> tuple[int, Task | None]:
    """One task with its whole result, and the revision of the read."""
    revision = read_revision(connection)
    row = connection.execute(_ONE, {"task_id": task_id}).one_or_none()
    return revision, None if row is None else rows.task_from_row(row)


def read_active(connection: Connection, group: str, namespace: str = "default") -> tuple[int, Task | None, int]:
    """The revision, the group's oldest running task (else its oldest waiting one), and how many wait."""
    revision = read_revision(connection)
    parameters = {"namespace": namespace, "group": group}
    row = connection.execute(_RUNNING, parameters).one_or_none()
    if row is None:
        row = connection.execute(_WAITING, parameters).one_or_none()
    size = int(connection.execute(_QUEUE_SIZE, parameters).scalar_one())
    return revision, None if row is None else rows.task_from_row(row), size


def list_tasks(
    connection: Connection, wanted: ListFilter, newest_first: bool, after: int | None, offset: int, limit: int
) -> tuple[int, list[Task]]:
    """One page by creation; `after` is the create_revision of the last task of the page before."""
    conditions, parameters = _conditions(wanted)
    if after is not None:
        conditions.append(f"p.create_revision {'<' if newest_first else '>'} :after")
        parameters["after"] = after
    order = "desc" if newest_first else "asc"
    statement = text(
        f"{rows.SELECT_TASK} where {' and '.join(conditions)} "
        f"order by p.create_revision {order} limit :limit offset :offset"
    )
    revision = read_revision(connection)
    found = connection.execute(statement, parameters | {"limit": limit, "offset": offset})
    return revision, [rows.task_from_row(row) for row in found]


def count_tasks(connection: Connection, wanted: ListFilter) -> int:
    """How many match."""
    if wanted.is_counted:
        conditions = ["namespace = :namespace"]
        parameters: dict[str, Any] = {"namespace": wanted.namespace}
        for column, values in (("state", [str(state) for state in wanted.states]), ("type", list(wanted.types))):
            if values:
                conditions.append(f"{column} = any(cast(:{column} as text[]))")
                parameters[column] = values
        statement = f"select coalesce(sum(n), 0) from task_counter where {' and '.join(conditions)}"
        return int(connection.execute(text(statement), parameters).scalar_one())
    conditions, parameters = _conditions(wanted)
    statement = "select count(*) from task_status s join task_spec p on p.task_id = s.task_id where " + " and ".join(
        conditions
    )
    return int(connection.execute(text(statement), parameters).scalar_one())


def read_events(connection: Connection, task_id: str, after: int, limit: int) -> tuple[int, list[Event] | None]:
    """The task's transitions after a revision, oldest first; None if there is no such task."""
    revision = read_revision(connection)
    parameters = {"task_id": task_id, "after": after, "limit": limit}
    events = [rows.event_from_row(row) for row in connection.execute(_EVENTS, parameters)]
    if not events and not task_exists(connection, task_id):
        return revision, None
    return revision, events


def task_exists(connection: Connection, task_id: str) -> bool:
    """Whether there is such a task."""
    return bool(connection.execute(_EXISTS, {"task_id": task_id}).scalar_one())


def _conditions(wanted: ListFilter) -> tuple[list[str], dict[str, Any]]:
    conditions = ["p.namespace = :namespace"]
    parameters: dict[str, Any] = {"namespace": wanted.namespace}

    def add(condition: str, **values: Any) -> None:
        conditions.append(condition)
        parameters.update(values)

    if wanted.states:
        add("s.state = any(cast(:states as text[]))", states=[str(state) for state in wanted.states])
    if wanted.types:
        add("p.type = any(cast(:types as text[]))", types=list(wanted.types))
    if wanted.queue:
        add("p.queue = :queue", queue=wanted.queue)
    if wanted.group:
        add('p."group" = :group', group=wanted.group)
    if wanted.job_type:
        add("p.job_type = :job_type", job_type=wanted.job_type)
    if wanted.since_time:
        add("p.create_time >= :since_time", since_time=wanted.since_time)
    if wanted.until_time:
        add("p.create_time < :until_time", until_time=wanted.until_time)
    if wanted.text:
        # A person's text is text: its %, _ and \ are not wildcards.
        escaped = wanted.text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        add(
            "(p.name ilike :text or p.type ilike :text or cast(p.task_id as text) ilike :text or s.message ilike :text)",
            text=f"%{escaped}%",
        )
    return conditions, parameters
