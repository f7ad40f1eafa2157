"""What workers declare about types. Outside the one order: it changes no task, only what later ones are made of."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from services.taskstate.model import TaskType
from services.taskstate.store import rows, schema

_COLUMNS = (
    "namespace", "name", "queue", "timeout_s", "stall_timeout_s", "max_attempts", "retry_on_loss", "phases",
    "description", "exclusive",
)  # fmt: skip
_DECLARED = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[2:])
_LISTED = ", ".join(_COLUMNS)
_DECLARE = text(f"""
insert into task_type ({_LISTED}, declare_time)
select {_LISTED}, clock_timestamp() from {rows.recordset(schema.task_type, "types", _COLUMNS)}
order by namespace, name
on conflict (namespace, name) do update set {_DECLARED}, declare_time = excluded.declare_time
""")


def declare(connection: Connection, types: Sequence[TaskType], namespace: str = "default") -> None:
    """Record a worker's declarations; the newest counts. Rows are taken in name order, so two workers never deadlock."""
    declared = [
        {
            "namespace": namespace,
            "name": declared.name,
            "queue": declared.queue,
            "timeout_s": declared.timeout_s,
            "stall_timeout_s": declared.stall_timeout_s,
            "max_attempts": declared.max_attempts,
            "retry_on_loss": declared.retry_on_loss,
            "phases": [{"id": phase_id, "name": name} for phase_id, name in declared.phases],
            "description": declared.description,
            "exclusive": declared.exclusive,
        }
        for declared in types
    ]
    if declared:
        connection.execute(_DECLARE, {"types": rows.to_json(declared)})
