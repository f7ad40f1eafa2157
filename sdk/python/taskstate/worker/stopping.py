"""How an attempt is stopped from outside: by order, by its deadlines, at a drain, or when its lease is in doubt.

One plan for each attempt, with two times: when its process group is sent TERM, and when KILL. Orders, limits and drains
all make such a plan; a second one only moves the times forward, so that a repeated order changes nothing and a stronger
one wins. Whatever comes first gives the cause that is told with the exit.

Nothing here waits and no clock is read but the table's: the supervisor calls ``run_due`` when it answered to.
"""

from __future__ import annotations

import logging
import math
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taskstate.v1 import work_horse_pb2, worker_service_pb2
from taskstate.worker.process import kill_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskstate.worker.horse_table import Horse, HorseTable

    Cause = worker_service_pb2.ExitCause

log = logging.getLogger(__name__)

LIMIT_TERM_GRACE_S: Final = 2.0
"""How long after TERM an attempt that ran too long, or stalled, may take to end."""
LEASE_MARGIN_S: Final = 3.0
"""How long before its lease can have ended an exclusive attempt is stopped; a third of a lease that is shorter than 9 s."""

_CAUSE_WORDS: Final = {
    worker_service_pb2.EXIT_CAUSE_ORDERED: "it was ordered",
    worker_service_pb2.EXIT_CAUSE_TIMEOUT: "it ran past its time-out",
    worker_service_pb2.EXIT_CAUSE_STALLED: "it made no progress for too long",
    worker_service_pb2.EXIT_CAUSE_LEASE_UNSURE: "its lease may have ended, and its type is exclusive",
    worker_service_pb2.EXIT_CAUSE_DRAINED: "the worker stops and the grace is over",
}


@dataclass
class Stop:
    """What is done to one work-horse, and when, by the table's clock."""

    cause: Cause
    term_s: float
    """When its group is sent TERM; never, if that is not before ``kill_s``."""
    kill_s: float
    ordered: bool = False
    """TaskState asked for it, and waits for receipts."""
    told: bool = False
    """The work-horse was told, so that the task may end by itself."""
    signalled: bool = False
    receipted: bool = False
    """TaskState was told that a signal was sent."""
    killed: bool = False

    @property
    def first_s(self) -> float:
        """When the first signal is sent."""
        return min(self.term_s, self.kill_s)

    def merge(self, other: Stop) -> None:
        """Take over what is sooner; the cause is that of the first signal."""
        if not self.signalled and other.first_s < self.first_s:
            self.cause = other.cause
        self.term_s = min(self.term_s, other.term_s)
        self.kill_s = min(self.kill_s, other.kill_s)
        self.ordered = self.ordered or other.ordered


@dataclass
class Stopping:
    """The stops of one supervisor's attempts."""

    table: HorseTable
    heartbeat_answered_s: float = -math.inf
    """When the newest heartbeat was sent that TaskState answered."""
    lease_ttl_s: float = math.inf

    # --- Who wants what.

    def cancel(self, order: worker_service_pb2.CancelOrder) -> None:
        """Ask the task to stop: tell it, then TERM, then KILL."""
        horse = self.table.find(order.task_id, order.fencing_token)
        if horse is None:
            # Its exit is on the way to TaskState, which ends the order.
            return
        term_s = self.table.clock() + order.message_grace.ToTimedelta().total_seconds()
        kill_s = term_s + order.term_grace.ToTimedelta().total_seconds()
        stop = self._plan(horse, Stop(worker_service_pb2.EXIT_CAUSE_ORDERED, term_s, kill_s, ordered=True))
        if not stop.told:
            stop.told = True
            horse.peer.send(work_horse_pb2.LocalResponse(cancel=work_horse_pb2.CancelAttempt()))

    def kill(self, order: worker_service_pb2.KillOrder) -> None:
        """End the process: TERM, then KILL; KILL at once without a grace."""
        horse = self.table.find(order.task_id, order.fencing_token)
        if horse is not None:
            now = self.table.clock()
            kill_s = now + order.term_grace.ToTimedelta().total_seconds()
            self._plan(horse, Stop(worker_service_pb2.EXIT_CAUSE_ORDERED, now, kill_s, ordered=True))

    def drain(self, rq_worker_pid: int) -> None:
        """The grace of a drain is over: kill the work-horse of an RQ worker, if it has one that has asked to start."""
        claim = self.table.claims.get(rq_worker_pid)
        if claim is not None and claim.horse is not None:
            now = self.table.clock()
            self._plan(claim.horse, Stop(worker_service_pb2.EXIT_CAUSE_DRAINED, now, now))
            self._advance(claim.horse, now)

    # --- What is done.

    def run_due(self) -> float:
        """Do what is due now; answers in how many seconds to look again, infinity when nothing will be due."""
        now = self.table.clock()
        next_s = math.inf
        for horse in self.table.horses():
            if not horse.fencing_token or horse.fenced:
                continue
            for stop in self._limits(horse):
                if stop.first_s > now:
                    next_s = min(next_s, stop.first_s)
                elif horse.stop is None or not horse.stop.killed:
                    self._plan(horse, stop)
            next_s = min(next_s, self._advance(horse, now))
        return max(0.0, next_s - now)

    def _limits(self, horse: Horse) -> Iterator[Stop]:
        """The plans that become due when nothing changes until then."""
        if horse.timeout_s is not None:
            at_s = horse.started_s + horse.timeout_s
            yield Stop(worker_service_pb2.EXIT_CAUSE_TIMEOUT, at_s, at_s + LIMIT_TERM_GRACE_S)
        if horse.stall_timeout_s is not None:
            at_s = horse.changed_s + horse.stall_timeout_s
            yield Stop(worker_service_pb2.EXIT_CAUSE_STALLED, at_s, at_s + LIMIT_TERM_GRACE_S)
        if horse.exclusive:
            vouched_s = max(self.heartbeat_answered_s, horse.asked_s)
            at_s = vouched_s + self.lease_ttl_s - min(LEASE_MARGIN_S, self.lease_ttl_s / 3)
            yield Stop(worker_service_pb2.EXIT_CAUSE_LEASE_UNSURE, at_s, at_s)

    def _plan(self, horse: Horse, stop: Stop) -> Stop:
        if horse.stop is None:
            horse.stop = stop
        else:
            horse.stop.merge(stop)
        return horse.stop

    def _advance(self, horse: Horse, now: float) -> float:
        """Send the signals that are due; answers when the next one is."""
        stop = horse.stop
        if stop is None or stop.killed:
            return math.inf
        if now < stop.first_s:
            return stop.first_s
        if now >= stop.kill_s:
            stop.killed = True
            self._signal(horse, stop, signal.SIGKILL)
        elif not stop.signalled:
            self._signal(horse, stop, signal.SIGTERM)
        if stop.ordered and stop.signalled and not stop.receipted:
            stop.receipted = True
            self.table.receipt(horse, worker_service_pb2.CANCEL_STAGE_SIGNALLED)
        return math.inf if stop.killed else stop.kill_s

    def _signal(self, horse: Horse, stop: Stop, how: signal.Signals) -> None:
        if not kill_group(horse.peer.pid, horse.peer.pidfd, how):
            # It has ended by itself, and its exit is about to be told.
            stop.killed = True
            return
        log.warning(
            "sent %s to the work-horse of task %s: %s",
            how.name,
            horse.claim.task_id,
            _CAUSE_WORDS[stop.cause],
            extra={"event": "work_horse_signalled", "task_id": horse.claim.task_id, "signal": how.name},
        )
        stop.signalled = True
