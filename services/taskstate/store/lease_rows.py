"""The rows of replicas: their leases, and their marker rows for the pipeline. Outside the one order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_REGISTER = text("""
insert into replica (replica_id, host, pid, start_time, renew_time, lease_until)
values (:replica_id, :host, :pid, clock_timestamp(), clock_timestamp(), clock_timestamp() + make_interval(secs => :ttl))
on conflict (replica_id) do nothing
""")
_MARK = text("insert into writer (replica_id, batch) values (:replica_id, 0) on conflict (replica_id) do nothing")
_CREDIT = text("""
update cluster set hold_until = greatest(hold_until, clock_timestamp() + make_interval(secs => :ttl))
where (select max(renew_time) from replica) < clock_timestamp() - make_interval(secs => :gap)
""")
_RENEW = text("""
update replica set renew_time = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => :ttl)
where replica_id = :replica_id
returning lease_until
""")
_FORGET = text("""
with old as (
    delete from replica where lease_until < clock_timestamp() - interval '1 day' returning replica_id
)
delete from writer where replica_id in (select replica_id from old)
""")


@dataclass(frozen=True, slots=True)
class ReplicaIdentity:
    """Who a replica is; its id is new at each start."""

    replica_id: str
    host: str
    pid: int


def register(connection: Connection, replica: ReplicaIdentity, ttl_s: float) -> None:
    """Make the replica's rows, with a lease; forget those that have been gone for a day. Safe to repeat.

    Counts as a renewal: what the outage credit is, is settled before this replica can sweep.
    """
    _credit(connection, ttl_s)
    connection.execute(_FORGET)
    values = {"replica_id": replica.replica_id, "host": replica.host, "pid": replica.pid, "ttl": ttl_s}
    connection.execute(_REGISTER, values)
    connection.execute(_MARK, {"replica_id": replica.replica_id})


def renew(connection: Connection, replica_id: str, ttl_s: float) -> datetime | None:
    """Renew the lease from the database's clock. Answers its new end; None if the row is gone.

    Before that the newest renewal of any replica is read. If it is more than half a lease old, supervisors had nobody to
    come back to: they get a whole lease to do so. Reading it in the sweep would be too late, as this very renewal hides
    the gap.
    """
    _credit(connection, ttl_s)
    until: datetime | None = connection.execute(_RENEW, {"replica_id": replica_id, "ttl": ttl_s}).scalar_one_or_none()
    return until


def _credit(connection: Connection, ttl_s: float) -> None:
    connection.execute(_CREDIT, {"ttl": ttl_s, "gap": ttl_s / 2})
