"""Which tasks may be handed out now, and what the others wait for.

The plan is only a proposal: every hand-out is decided again under the order's lock. It must not starve, so blocked tasks
(no slot, full queue, unknown type) never take a place from those that can go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from services.taskstate.model import WaitReason
from services.taskstate.store import rows

_PLAN = text("""
with due as (
    select s.task_id, s.state, s.wait_reason, s.slot, s.handed_out_time is not null as again,
        s.attempt > 0 and a.gone_time is null as process_remains,
        p.policy_frozen or t.name is not null as known,
        case when p."group" = '' then null else p.namespace || '/' || p."group" end as wanted_slot,
        p."group", p.namespace, coalesce(p.queue, t.queue) as queue, p.priority, p.create_revision
    from task_status s
    join task_spec p on p.task_id = s.task_id
    left join attempt a on a.task_id = s.task_id and a.attempt = s.attempt
    left join task_type t on not p.policy_frozen and t.namespace = p.namespace and t.name = p.type
    where s.state in ('PENDING', 'RETRYING')
        and (s.due_time is null or s.due_time <= clock_timestamp())
        and (s.handed_out_time is null or s.handed_out_time < clock_timestamp() - interval '10 seconds')
),
used as (select slot, count(*) as taken from task_status where slot is not null group by slot),
unstarted as (
    select p.namespace, p.queue, count(*) as messages
    from task_status s join task_spec p on p.task_id = s.task_id
    where s.state in ('PENDING', 'QUEUED', 'RETRYING') and (s.state = 'QUEUED' or s.handed_out_time is not null)
    group by p.namespace, p.queue
),
limits as (select * from json_to_recordset(cast(:limits as json)) as l("group" text, slots int)),
ranked as (
    select due.*,
        row_number() over (partition by wanted_slot order by priority desc, create_revision) as slot_rank,
        coalesce(limits.slots, :default_limit) - coalesce(used.taken, 0) as slots_free
    from due
    left join limits on limits."group" = due."group"
    left join used on used.slot = due.wanted_slot
    where known and not process_remains and not again
),
queued as (
    select ranked.*, row_number() over (partition by namespace, queue order by priority desc, create_revision) as place
    from ranked where wanted_slot is null or slot_rank <= slots_free
),
found as (
    select task_id, 'go' as verdict, priority, create_revision from due where again and known and not process_remains
    union all
    select q.task_id, 'go', q.priority, q.create_revision
    from queued q left join unstarted u on u.namespace = q.namespace and u.queue = q.queue
    where q.place <= :window - coalesce(u.messages, 0)
    union all
    select task_id, 'SLOT', priority, create_revision from ranked
    where wanted_slot is not null and slot_rank > slots_free and wait_reason <> 'SLOT'
    union all
    select task_id, 'NO_WORKER', priority, create_revision from due
    where not known and not process_remains and wait_reason <> 'NO_WORKER'
),
-- Those that can go and those of which something is to be noted have a limit each: neither takes the other's places.
placed as (
    select found.*, row_number() over (partition by verdict = 'go' order by priority desc, create_revision) as place
    from found
)
select task_id, verdict from placed where place <= :limit order by priority desc, create_revision
""")
_NEXT_DUE = text("""
select extract(epoch from min(due_time) - clock_timestamp()) as due_s
from task_status where state in ('PENDING', 'RETRYING') and due_time > clock_timestamp()
""")


@dataclass(frozen=True, slots=True)
class DispatchPlan:
    """Task ids to hand out, in order; task ids whose wait reason is out of date; seconds until the next comes due."""

    hand_out: Sequence[str]
    waits: Sequence[tuple[str, WaitReason]]
    next_due_s: float | None


def plan_dispatches(
    connection: Connection, limit: int, window: int, default_limit: int, group_limits: dict[str, int]
) -> DispatchPlan:
    """Propose at most `limit` hand-outs, by priority and age."""
    parameters: dict[str, Any] = {
        "limit": limit,
        "window": window,
        "default_limit": default_limit,
        "limits": rows.to_json([{"group": group, "slots": slots} for group, slots in group_limits.items()]),
    }
    found = connection.execute(_PLAN, parameters).all()
    next_due_s = connection.execute(_NEXT_DUE).scalar_one()
    return DispatchPlan(
        hand_out=[row.task_id for row in found if row.verdict == "go"],
        waits=[(row.task_id, WaitReason(row.verdict)) for row in found if row.verdict != "go"],
        next_due_s=None if next_due_s is None else float(next_due_s),
    )
