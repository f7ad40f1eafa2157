"""Which attempts a stream carries, as the tables know it."""

from __future__ import annotations

from sqlalchemy import Connection, text

_TAKE_TURN = text("select n from revision for update")
_CARRIED = text("""
select task_id from attempt
where replica_id = :replica_id and stream_id = :stream_id and attempt_end_time is null
union all
select task_id from attempt
where replica_id = :replica_id and stream_id = :stream_id and attempt_end_time is not null and gone_time is null
""")


def carried_task_ids(connection: Connection, replica_id: str, stream_id: str) -> list[str]:
    """The tasks whose attempts this stream carries and whose processes have not been seen to go.

    Takes the order's lock for a moment: a batch whose COMMIT was lost has then been committed or never will be.
    """
    connection.execute(_TAKE_TURN)
    found = connection.execute(_CARRIED, {"replica_id": replica_id, "stream_id": stream_id})
    return [row.task_id for row in found]
