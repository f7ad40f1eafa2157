"""Which stream of which replica carries an attempt: the answer of a resume, and of a start that is asked again."""

from __future__ import annotations

from datetime import datetime

from services.taskstate.command import Refused
from services.taskstate.model import EventKind, Liveness, Task
from services.taskstate.rules.common import NO_CHANGE, Change, Facts, Ruling


def carried_by(task: Task, facts: Facts, replica_id: str, stream_id: str, now: datetime) -> Ruling:
    """A running attempt whose supervisor speaks on this stream; the replica must be able to vouch for it."""
    if not facts.replica_holds_lease(replica_id):
        return holder_dead(replica_id)
    if (task.replica_id, task.stream_id) == (replica_id, stream_id) and task.suspect_until is None:
        return NO_CHANGE
    fields = {
        "replica_id": replica_id,
        "stream_id": stream_id,
        "liveness": Liveness.LIVE,
        "suspect_until": None,
        "heard_time": now,
    }
    return Change(fields, EventKind.RESUMED, f"Carried by replica {replica_id}.")


def holder_dead(replica_id: str) -> Refused:
    """The answer to what a replica may not take on, as its own lease has lapsed."""
    return Refused("HOLDER_DEAD", "This replica's own lease has lapsed; reconnect.", {"replica_id": replica_id})
