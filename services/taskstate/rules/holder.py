"""Who holds an attempt, and whether the holder lives: heartbeats, broken streams, returns, and the sweep's verdicts.

There is no lease per task. An attempt is held while the replica that carries its supervisor's stream is alive, and while
the attempt is not suspect beyond its grace. The token is held until the change that ends the attempt commits: an expired
attempt that nobody has swept may still report.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from services.taskstate.command import ExpireAttempt, HearAttempt, Refused, ResumeAttempt, SuspectAttempt
from services.taskstate.model import CancelOutcome, EventKind, Liveness, Reason, Task, TaskState, WaitReason
from services.taskstate.rules.carrying import carried_by
from services.taskstate.rules.common import NO_CHANGE, Change, Facts, Ruling, holds, token_lost
from services.taskstate.rules.ending import ended_badly, receipt, stop_is_asked

UNRESPONSIVE_AFTER_S = 15.0
"""A sign of life older than this, while the supervisor lives, is shown as a doubt. It is not death."""


def hear(task: Task, _facts: Facts, command: HearAttempt, now: datetime, _revision: int) -> Ruling:
    """A heartbeat: when the process was last heard of, and whether it is responsive."""
    if task.fencing_token == command.fencing_token and _ended_by_itself(task):
        # It crossed the attempt's own last word on the way.
        return NO_CHANGE
    if not holds(task, command):
        return token_lost(task, command)
    silent = command.age_s > UNRESPONSIVE_AFTER_S
    heard_time = now - timedelta(seconds=command.age_s)
    if task.heard_time is not None:
        heard_time = max(heard_time, task.heard_time)
    if silent and task.liveness is Liveness.LIVE:
        fields = {"heard_time": heard_time, "liveness": Liveness.UNRESPONSIVE}
        told = f"Its process has given no sign of life for {command.age_s:.0f} s; its supervisor lives."
        return Change(fields, EventKind.LIVENESS, told)
    if not silent and task.liveness is Liveness.UNRESPONSIVE:
        fields = {"heard_time": heard_time, "liveness": Liveness.LIVE}
        return Change(fields, EventKind.LIVENESS, "Its process gives signs of life again.")
    return NO_CHANGE if heard_time == task.heard_time else Change({"heard_time": heard_time})


def suspect(task: Task, _facts: Facts, command: SuspectAttempt, now: datetime, _revision: int) -> Ruling:
    """The stream broke: a grace begins, or is extended. Only if this very stream still carries the attempt."""
    carried = (task.replica_id, task.stream_id) == (command.replica_id, command.stream_id)
    present = task.attempt > 0 and task.gone_time is None
    # An exclusive attempt is stopped by its own supervisor before its lease ends: until then it may still be running.
    grace_s = max(command.grace_s, command.lease_s) if task.exclusive else command.grace_s
    until = now + timedelta(seconds=grace_s)
    if not carried or not present or (task.suspect_until is not None and task.suspect_until >= until):
        return NO_CHANGE
    fields: dict[str, Any] = {"suspect_until": until}
    if task.state is TaskState.RUNNING:
        fields["liveness"] = Liveness.SUSPECT
    who = task.worker.worker_id if task.worker else "its worker"
    told = f"The stream of {who} ended without a good-bye; it has {grace_s:g} s to come back."
    return Change(fields, EventKind.SUSPECTED, told)


def resume(task: Task, facts: Facts, command: ResumeAttempt, now: datetime, _revision: int) -> Ruling:
    """The supervisor is back: this stream carries the attempt from here on."""
    if not holds(task, command):
        return token_lost(task, command)
    return carried_by(task, facts, command.replica_id, command.stream_id, now)


def expire(task: Task, facts: Facts, command: ExpireAttempt, now: datetime, _revision: int) -> Ruling:
    """End what is over. Whoever sweeps must itself hold its lease, and nobody is given up while we make up for an outage."""
    if not facts.replica_holds_lease(command.replica_id):
        return Refused(
            "HOLDER_DEAD", "The sweeping replica's own lease has lapsed.", {"replica_id": command.replica_id}
        )
    if facts.hold_until is not None and now < facts.hold_until:
        return NO_CHANGE
    if task.state is not TaskState.RUNNING:
        return _give_up(task, facts, now)
    who = task.worker.worker_id if task.worker else "the worker"
    if stop_is_asked(task) and task.cancel is not None and task.cancel.deadline_time <= now:
        told = "The request to stop was not carried out in time; nobody saw the process go."
    elif task.suspect_until is not None and task.suspect_until <= now:
        told = f"The stream of {who} ended without a good-bye and did not come back in time."
    elif not facts.replica_holds_lease(task.replica_id):
        told = f"The replica that vouched for {who} is gone, and the worker did not move to another."
    else:
        return NO_CHANGE
    ending = ended_badly(task, now, Reason.WORKER_LOST, told, TaskState.LOST, retry=bool(task.retry_on_loss))
    if stop_is_asked(task):
        ending |= receipt(task, CancelOutcome.UNCONFIRMED)
    return Change(ending, EventKind.EXPIRED, told)


def holder_is_dead(task: Task, facts: Facts, now: datetime) -> bool:
    """Whether nobody is left who could tell that the attempt's process has gone."""
    broken = task.suspect_until is not None and task.suspect_until <= now
    return broken or not facts.replica_holds_lease(task.replica_id)


def _ended_by_itself(task: Task) -> bool:
    """Whether the attempt's end was its own word, so that its process is leaving by itself."""
    gave_way = (
        task.state is TaskState.CANCELLED
        and task.gone_time is None
        and task.cancel is not None
        and task.cancel.outcome is not CancelOutcome.UNCONFIRMED
    )
    told_error = task.error is not None and task.attempt_end_time is not None
    return task.state is TaskState.SUCCEEDED or gave_way or told_error


def _give_up(task: Task, facts: Facts, now: datetime) -> Ruling:
    """An ended attempt's process was never seen to go, and nobody is left to tell: its slot is free again."""
    deadline = task.kill_deadline
    if deadline is None or deadline > now or not holder_is_dead(task, facts, now):
        return NO_CHANGE
    fields: dict[str, Any] = {"gone_time": now, "slot": None}
    if task.state is TaskState.RETRYING:
        due_later = task.due_time is not None and task.due_time > now
        fields["wait_reason"] = WaitReason.TIME if due_later else WaitReason.DISPATCH
    if stop_is_asked(task):
        fields |= receipt(task, CancelOutcome.UNCONFIRMED)
    told = "Its process was never seen to go, and its worker is gone: given up."
    return Change(fields, EventKind.GIVEN_UP, told)
