"""What came from attempts that no longer held their task: refused, and kept as evidence. Outside the one order.

A finish is kept whole: the work may have been done, and an operator may adopt it later. Of other reports it is kept that
they came, how often, and when last.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, text

from services.taskstate.evidence import LateReport

_KEEP = text("""
insert into late_report (task_id, fencing_token, kind, count, first_time, last_time, worker_id, body)
select cast(:task_id as uuid), :fencing_token, :kind, 1, clock_timestamp(), clock_timestamp(), :worker_id,
    cast(:body as jsonb)
where exists (select 1 from attempt where task_id = cast(:task_id as uuid) and fencing_token = :fencing_token)
on conflict (task_id, fencing_token, kind) do update
set count = late_report.count + 1, last_time = excluded.last_time, body = coalesce(late_report.body, excluded.body)
""")


def keep(connection: Connection, reports: Sequence[LateReport]) -> None:
    """Keep them, if their token was ever held. Safe to repeat: a double raises a count."""
    for report in sorted(reports, key=lambda late: (late.task_id, late.fencing_token, late.kind)):
        values = {
            "task_id": report.task_id,
            "fencing_token": report.fencing_token,
            "kind": report.kind,
            "worker_id": report.worker_id,
            "body": None if report.body is None else json.dumps(report.body, allow_nan=False),
        }
        connection.execute(_KEEP, values)
