"""Lines that tasks logged: written set-wise while the token is held, read in pages. Outside the one order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from services.taskstate.evidence import AppendedLines
from services.taskstate.model import LogLine
from services.taskstate.store import rows, schema

LINES_MAX = 10_000
"""How many lines a task may keep."""

_COLUMNS = ("sequence", "level", "time", "text", "logger")
_APPEND = text(f"""
insert into log_line (task_id, sequence, level, time, text, logger)
select cast(:task_id as uuid), u.sequence, u.level, u.time, u.text, u.logger
from (
    select v.*, row_number() over (order by v.sequence) as place
    from {rows.recordset(schema.log_line, "lines", _COLUMNS, alias="v")}
) u
where u.place <= :max - (select count(*) from log_line where task_id = cast(:task_id as uuid))
    and exists (
        select 1 from attempt a
        where a.task_id = cast(:task_id as uuid) and a.fencing_token = :fencing_token and a.attempt_end_time is null
    )
on conflict (task_id, sequence) do nothing
""")
_HELD = text("""
select exists (
    select 1 from attempt
    where task_id = cast(:task_id as uuid) and fencing_token = :fencing_token and attempt_end_time is null
)
""")


def append(connection: Connection, appended: Sequence[AppendedLines]) -> list[bool]:
    """Store lines whose token is held; doubles fall on the primary key. Answers for each whether it is held."""
    held = []
    for part in appended:
        token = {"task_id": part.task_id, "fencing_token": part.fencing_token}
        lines = [
            {
                "sequence": line.sequence,
                "level": line.level,
                "time": line.time.isoformat(),
                "text": line.text,
                "logger": line.logger,
            }
            for line in part.lines
        ]
        connection.execute(_APPEND, token | {"lines": rows.to_json(lines), "max": LINES_MAX})
        held.append(bool(connection.execute(_HELD, token).scalar_one()))
    return held


def read(
    connection: Connection, task_id: str, after_sequence: int, attempt: int, min_level: int, limit: int
) -> list[LogLine]:
    """Lines after a sequence, oldest first. `attempt` and `min_level` of zero mean all."""
    conditions = ["task_id = cast(:task_id as uuid)", "sequence > :after"]
    parameters: dict[str, Any] = {"task_id": task_id, "after": after_sequence, "limit": limit}
    if attempt:
        conditions.append("sequence >= :first and sequence < :last")
        parameters |= {"first": attempt << 32, "last": (attempt + 1) << 32}
    if min_level:
        conditions.append("level >= :min_level")
        parameters["min_level"] = min_level
    statement = f"select * from log_line where {' and '.join(conditions)} order by sequence limit :limit"
    return [
        LogLine(row.sequence, row.sequence >> 32, row.level, row.time, row.text, row.logger)
        for row in connection.execute(text(statement), parameters)
    ]
