"""Which tasks a sweep has to look at, the longest overdue first: a page of what is not due never hides what is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from services.taskstate.model import Task
from services.taskstate.store import rows

_DUE = text("""
select task_id from (
    select s.task_id, s.suspect_until as due
    from task_status s where s.state = 'RUNNING' and s.suspect_until <= clock_timestamp()
    union all
    select s.task_id, r.lease_until
    from attempt a
    join task_status s on s.task_id = a.task_id and s.attempt = a.attempt and s.state = 'RUNNING'
    left join replica r on r.replica_id = a.replica_id
    where a.attempt_end_time is null and (r.replica_id is null or r.lease_until <= clock_timestamp())
    union all
    select s.task_id, cast(s.cancel ->> 'deadline_time' as timestamptz)
    from task_status s
    where s.state = 'RUNNING' and s.cancel is not null and s.cancel ->> 'outcome' is null
        and cast(s.cancel ->> 'deadline_time' as timestamptz) <= clock_timestamp()
    union all
    select a.task_id, a.attempt_end_time
    from attempt a
    join task_status s on s.task_id = a.task_id and s.attempt = a.attempt
    left join replica r on r.replica_id = a.replica_id
    where a.gone_time is null and a.attempt_end_time <= clock_timestamp() - interval '15 seconds'
        and (s.suspect_until <= clock_timestamp() or r.replica_id is null or r.lease_until <= clock_timestamp())
) found
group by task_id order by min(due) nulls first limit :limit
""")
_DOUBTFUL = text(f"""
select {rows.SELECTED}, v.lease_until, clock_timestamp() as now, cluster.hold_until {rows.FROM}
cross join cluster
left join replica v on v.replica_id = a.replica_id
where s.task_id > cast(:after as uuid) and (
    (s.state = 'RUNNING' and (
        s.suspect_until is not null or v.replica_id is null or v.lease_until <= clock_timestamp()
        or (s.cancel is not null and s.cancel ->> 'outcome' is null)
        or a.start_time <= clock_timestamp() - make_interval(secs => :max_age_s)
    ))
    or (a.gone_time is null and a.attempt_end_time is not null)
)
order by s.task_id limit :limit
""")
NO_MAX_AGE_S = 1e9


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A task that a sweep may concern, when the lease of the replica that vouches for it ends, and until when an outage of
    our own spares everybody."""

    task: Task
    lease_until: datetime | None
    now: datetime
    hold_until: datetime | None = None


def due_task_ids(connection: Connection, limit: int) -> list[str]:
    """The tasks that a sweep has to judge now."""
    return [row.task_id for row in connection.execute(_DUE, {"limit": limit})]


def read_doubtful(connection: Connection, after: str, max_age_s: float | None, limit: int) -> Sequence[Doubtful]:
    """A page, by id, of the tasks about which there is a doubt, or which run longer than `max_age_s`."""
    parameters: dict[str, Any] = {"after": after, "max_age_s": max_age_s or NO_MAX_AGE_S, "limit": limit}
    found = []
    for row in connection.execute(_DOUBTFUL, parameters):
        values = row._asdict()
        known = {name: values.pop(name) for name in ("lease_until", "now", "hold_until")}
        found.append(Doubtful(rows.task_from_values(values), **known))
    return found
