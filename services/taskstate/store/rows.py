"""A task to and from its rows, and the set-wise statements that write many rows with one parameter.

Of the forms tried, `json_to_recordset` with one JSON document a table was the shortest and as fast as hand-made arrays
from 100 rows on: typed by its record definition, NULLs and jsonb for nothing, escaping by `json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Row, Table
from sqlalchemy.dialects import postgresql

from services.taskstate import codec
from services.taskstate.model import Event, EventKind, Liveness, Reason, Spec, Task, TaskState, TaskType, WaitReason
from services.taskstate.store import schema

RESULT_SHOWN_MAX = 16 * 1024
"""Lists, watches and the pipeline leave larger results out; only a read of the one task carries them."""

_SPEC = (
    "task_id", "namespace", "type", "create_time", "create_revision", "group", "name", "job_type", "trigger_source",
    "payload", "request_id", "request_hash", "priority",
)  # fmt: skip
_STATUS = (
    "state", "reason", "wait_reason", "dispatch", "handed_out_time", "due_time", "slot", "attempt", "uncounted",
    "liveness", "suspect_until", "cancel", "end_time",
    "event_revision", "revision", "sequence", "done", "total", "message", "phase", "phases", "items_processed",
    "items_failed", "heard_time",
)  # fmt: skip
_ATTEMPT = (
    "fencing_token", "start_id", "replica_id", "stream_id", "worker", "start_time", "attempt_end_time", "gone_time",
    "exit", "error",
)  # fmt: skip
HOT = (
    "revision", "sequence", "done", "total", "message", "phase", "phases", "items_processed", "items_failed",
    "heard_time",
)  # fmt: skip


def _listed(alias: str, names: Iterable[str]) -> str:
    return ", ".join(f'{alias}."{name}"' for name in names)


_RESULT_SHOWN = f"case when r.result_size <= {RESULT_SHOWN_MAX} then r.result end as result"
_COLUMNS = ", ".join(
    [
        _listed("p", (*_SPEC, "retry_of", *codec.POLICY_FIELDS)),
        _listed("s", _STATUS),
        _listed("a", _ATTEMPT),
        "coalesce(r.result_size, 0) as result_size",
    ]
)
FROM = """
from task_status s
join task_spec p on p.task_id = s.task_id
left join attempt a on a.task_id = s.task_id and a.attempt = s.attempt
left join task_result r on r.task_id = s.task_id
"""
SELECTED = f"{_COLUMNS}, {_RESULT_SHOWN}"
SELECT_TASK = f"select {SELECTED} {FROM}"
SELECT_TASK_WHOLE = f"select {_COLUMNS}, r.result {FROM}"

_DECODED: dict[str, Callable[[Any], Any]] = {
    "state": TaskState,
    "reason": Reason,
    "wait_reason": WaitReason,
    "liveness": Liveness,
    "phases": codec.decode_phases,
}
_DECODED_IF_SET: dict[str, Callable[[Any], Any]] = {
    "cancel": codec.decode_cancel,
    "worker": codec.decode_worker,
    "exit": codec.decode_exit,
    "error": codec.decode_error,
}


def task_from_row(row: Row[Any]) -> Task:
    """A task from a row of SELECT_TASK."""
    return task_from_values(row._asdict())


def task_from_values(values: dict[str, Any]) -> Task:
    """A task from the columns of SELECT_TASK; takes them out of `values`."""
    spec = Spec(**{name: values.pop(name) for name in _SPEC}, retry_of=values.pop("retry_of") or "")
    for name, decode in _DECODED.items():
        values[name] = decode(values[name])
    for name, decode in _DECODED_IF_SET.items():
        if values[name] is not None:
            values[name] = decode(values[name])
    if values["fencing_token"] is None:
        for name in _ATTEMPT:
            del values[name]
    return Task(spec=spec, **values)


def spec_row(task: Task) -> dict[str, Any]:
    """The row of task_spec."""
    row = {name: codec.encode(getattr(task.spec, name)) for name in _SPEC}
    return row | {"retry_of": task.spec.retry_of or None} | policy_row(task)


def policy_row(task: Task) -> dict[str, Any]:
    """The columns of task_spec that are frozen once the type is known."""
    return {"task_id": task.task_id} | {name: getattr(task, name) for name in codec.POLICY_FIELDS}


def status_row(task: Task, columns: Sequence[str] = _STATUS) -> dict[str, Any]:
    """The row of task_status, or only some columns of it."""
    return {"task_id": task.task_id} | {name: codec.encode(getattr(task, name)) for name in columns}


def new_status_row(task: Task) -> dict[str, Any]:
    """The row of task_status of a new task."""
    return status_row(task) | {"create_revision": task.spec.create_revision}


def attempt_row(task: Task) -> dict[str, Any]:
    """The row of the task's newest attempt."""
    row = {name: codec.encode(getattr(task, name)) for name in _ATTEMPT}
    return {"task_id": task.task_id, "attempt": task.attempt} | row


def result_row(task: Task) -> dict[str, Any]:
    """The row of task_result."""
    return {"task_id": task.task_id, "result": task.result, "result_size": task.result_size}


def event_row(event: Event) -> dict[str, Any]:
    """The row of event."""
    return {column.name: codec.encode(getattr(event, column.name)) for column in schema.event.columns}


def event_from_row(row: Row[Any]) -> Event:
    """An event from a row of the event table."""
    values = row._asdict()
    from_state = values["from_state"]
    values["kind"] = EventKind(values["kind"])
    values["from_state"] = TaskState(from_state) if from_state else None
    values["to_state"] = TaskState(values["to_state"])
    values["reason"] = Reason(values["reason"])
    return Event(**values)


def type_from_row(row: Row[Any]) -> TaskType:
    """A declared type from a row of task_type."""
    return TaskType(
        name=row.name,
        queue=row.queue,
        timeout_s=row.timeout_s,
        stall_timeout_s=row.stall_timeout_s,
        max_attempts=row.max_attempts,
        retry_on_loss=row.retry_on_loss,
        phases=tuple((phase["id"], phase["name"]) for phase in row.phases),
        description=row.description,
        exclusive=row.exclusive,
    )


def insert_many(table: Table, parameter: str, columns: Sequence[str]) -> str:
    """The statement that inserts the rows of one JSON parameter."""
    names = ", ".join(f'"{name}"' for name in columns)
    return f'insert into "{table.name}" ({names}) select {names} from {recordset(table, parameter, columns)}'


def update_many(table: Table, parameter: str, columns: Sequence[str], keys: Sequence[str]) -> str:
    """The statement that updates rows by their keys from one JSON parameter; `columns` includes the keys."""
    assigned = ", ".join(f'"{name}" = u."{name}"' for name in columns if name not in keys)
    matched = " and ".join(f't."{key}" = u."{key}"' for key in keys)
    return f'update "{table.name}" t set {assigned} from {recordset(table, parameter, columns)} where {matched}'


def recordset(table: Table, parameter: str, columns: Sequence[str], alias: str = "u") -> str:
    """`json_to_recordset(...) as u(...)` with the columns' own types."""
    typed = ", ".join(f'"{name}" {table.columns[name].type.compile(_dialect())}' for name in columns)
    return f"json_to_recordset(cast(:{parameter} as json)) as {alias}({typed})"


def to_json(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as one JSON parameter. Raises ValueError on NaN and infinities, which JSON has not."""
    return json.dumps(rows, allow_nan=False, separators=(",", ":"))


def _dialect() -> Any:
    return postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy left this one without types.
