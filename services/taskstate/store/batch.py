"""The pipeline's transaction: take the order, load what the commands look at, write what they decided.

The first statement is the update of the one `revision` row: its lock is the order of all changes across all replicas, and
the clock it returns is the batch's `now`; SQL's `now()` may lie before the previous revision. A batch's number is written
into its replica's marker row in the same transaction, so that a COMMIT whose answer was lost can be settled:
`pg_xact_status` lies after a crash, as transaction ids are given again (tried).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, text

from services.taskstate.model import Event, Task, TaskType
from services.taskstate.store import rows, schema
from services.taskstate.store.engine import NOTIFY_CHANNEL

_TAKE_ORDER = text("""
update revision set n = n + :count, at = greatest(clock_timestamp(), at) returning n, at
""")
_LOAD_TASKS = text(f"{rows.SELECT_TASK} where s.task_id = any(cast(:ids as uuid[]))")
_LOAD_REQUESTS = text(f"""
{rows.SELECT_TASK} where p.request_id <> '' and (p.namespace, p.request_id) in
    (select u.namespace, u.request_id from json_to_recordset(cast(:requests as json)) u(namespace text, request_id text))
""")
_LOAD_TYPES = text("""
select * from task_type t where (t.namespace, t.name) in
    (select u.namespace, u.name from json_to_recordset(cast(:types as json)) u(namespace text, name text))
""")
_COUNT_SLOTS = text("""
select slot, count(*) as taken from task_status where slot = any(cast(:slots as text[])) group by slot
""")
_COUNT_UNSTARTED = text("""
select p.namespace, p.queue, count(*) as unstarted
from task_status s join task_spec p on p.task_id = s.task_id
where s.state in ('PENDING', 'QUEUED', 'RETRYING') and (s.state = 'QUEUED' or s.handed_out_time is not null)
group by p.namespace, p.queue
""")
_LIVE_REPLICAS = text("""
select replica_id from replica where replica_id = any(cast(:ids as text[])) and lease_until > :now
""")
_HOLD_UNTIL = text("select hold_until from cluster")
_SETTLE = text("select n from revision for update")
_MARKER = text("select batch from writer where replica_id = :replica_id")


def take_order(connection: Connection, count: int) -> tuple[int, datetime]:
    """Take the revision row until the transaction ends. Answers the newest revision after `count` more, and `now`."""
    row = connection.execute(_TAKE_ORDER, {"count": count}).one()
    return row.n, row.at


def load_tasks(connection: Connection, task_ids: Iterable[str]) -> dict[str, Task]:
    """The tasks with these ids, as far as they exist."""
    found = connection.execute(_LOAD_TASKS, {"ids": "{" + ",".join(task_ids) + "}"})
    return {task.task_id: task for task in map(rows.task_from_row, found)}


def load_requests(connection: Connection, requests: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Task]:
    """The tasks that these (namespace, request_id) made."""
    asked = rows.to_json([{"namespace": namespace, "request_id": request_id} for namespace, request_id in requests])
    found = connection.execute(_LOAD_REQUESTS, {"requests": asked})
    return {(task.spec.namespace, task.spec.request_id): task for task in map(rows.task_from_row, found)}


def load_types(connection: Connection, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], TaskType]:
    """The declared types with these (namespace, name)."""
    asked = rows.to_json([{"namespace": namespace, "name": name} for namespace, name in names])
    found = connection.execute(_LOAD_TYPES, {"types": asked})
    return {(row.namespace, row.name): rows.type_from_row(row) for row in found}


def count_slots(connection: Connection, slots: Iterable[str]) -> dict[str, int]:
    """How many slots of each name are taken."""
    return {row.slot: row.taken for row in connection.execute(_COUNT_SLOTS, {"slots": list(slots)})}


def count_unstarted(connection: Connection) -> dict[tuple[str, str], int]:
    """How many messages of each (namespace, queue) are handed out or queued, and not started."""
    return {(row.namespace, row.queue): row.unstarted for row in connection.execute(_COUNT_UNSTARTED)}


def live_replicas(connection: Connection, replica_ids: Iterable[str], now: datetime) -> set[str]:
    """Which of these replicas hold their lease."""
    found = connection.execute(_LIVE_REPLICAS, {"ids": list(replica_ids), "now": now})
    return {row.replica_id for row in found}


def hold_until(connection: Connection) -> datetime | None:
    """Until when nobody is given up, because no replica was there to be reached; None if that never happened."""
    until: datetime | None = connection.execute(_HOLD_UNTIL).scalar_one()
    return until


@dataclass(slots=True)
class Changes:
    """What a batch writes, as final values: a task that moved twice stands here once."""

    created: dict[str, Task] = field(default_factory=dict)
    moved: dict[str, Task] = field(default_factory=dict)
    progressed: dict[str, Task] = field(default_factory=dict)
    frozen: dict[str, Task] = field(default_factory=dict)
    attempts_started: dict[tuple[str, int], Task] = field(default_factory=dict)
    attempts_changed: dict[tuple[str, int], Task] = field(default_factory=dict)
    results: dict[str, Task] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    counted: dict[tuple[str, str, str], int] = field(default_factory=dict)


def write(connection: Connection, changes: Changes, replica_id: str, batch: int, revision: int) -> None:
    """Write everything in one round trip, mark the batch, and notify the other replicas."""
    counters = [
        {"namespace": namespace, "type": type_name, "state": state, "n": n}
        for (namespace, type_name, state), n in changes.counted.items()
        if n
    ]
    written: list[tuple[str, list[dict[str, Any]]]] = [
        ("insert_spec", [rows.spec_row(task) for task in changes.created.values()]),
        ("insert_status", [rows.new_status_row(task) for task in changes.created.values()]),
        ("update_spec", [rows.policy_row(task) for task in changes.frozen.values()]),
        ("update_status", [rows.status_row(task) for task in changes.moved.values()]),
        ("update_hot", [rows.status_row(task, rows.HOT) for task in changes.progressed.values()]),
        ("update_attempt", [rows.attempt_row(task) for task in changes.attempts_changed.values()]),
        ("insert_attempt", [rows.attempt_row(task) for task in changes.attempts_started.values()]),
        ("insert_result", [rows.result_row(task) for task in changes.results.values()]),
        ("insert_event", [rows.event_row(event) for event in changes.events]),
        ("add_counter", counters),
    ]
    statements = [_statement(name, values[0].keys()) for name, values in written if values]
    parameters: dict[str, Any] = {name: rows.to_json(values) for name, values in written if values}
    # Not a plain update: before a replica has registered, or after it was forgotten, its row is not there.
    statements.append(
        "insert into writer (replica_id, batch) values (:replica_id, :batch)"
        " on conflict (replica_id) do update set batch = excluded.batch"
    )
    statements.append(f"select pg_notify('{NOTIFY_CHANNEL}', cast(:revision as text))")
    parameters |= {"batch": batch, "replica_id": replica_id, "revision": revision}
    connection.execute(text(";\n".join(statements)), parameters)


def settle(connection: Connection, replica_id: str) -> int:
    """The replica's newest committed batch, read once nobody else, dead backends included, holds the order."""
    connection.execute(_SETTLE)
    return int(connection.execute(_MARKER, {"replica_id": replica_id}).scalar_one_or_none() or 0)


_TABLES: dict[str, tuple[Table, Sequence[str]]] = {
    "insert_spec": (schema.task_spec, ()),
    "insert_status": (schema.task_status, ()),
    "update_spec": (schema.task_spec, ("task_id",)),
    "update_status": (schema.task_status, ("task_id",)),
    "update_hot": (schema.task_status, ("task_id",)),
    "update_attempt": (schema.attempt, ("task_id", "attempt")),
    "insert_attempt": (schema.attempt, ()),
    "insert_result": (schema.task_result, ()),
    "insert_event": (schema.event, ()),
}


def _statement(name: str, columns: Iterable[str]) -> str:
    return _built(name, tuple(columns))


@cache
def _built(name: str, columns: tuple[str, ...]) -> str:
    if name == "add_counter":
        added = rows.insert_many(schema.task_counter, name, columns)
        return f"{added} on conflict (namespace, type, state) do update set n = task_counter.n + excluded.n"
    table, keys = _TABLES[name]
    build: Callable[..., str] = rows.update_many if keys else rows.insert_many
    return build(table, name, columns, keys) if keys else build(table, name, columns)
