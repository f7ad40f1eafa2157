"""WorkerService: the sessions a replica carries, the orders it sends them, and what it concludes when they break."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from taskstate.v1 import worker_service_pb2 as service_pb
from taskstate.v1 import worker_service_pb2_grpc

from services.taskstate.api import session_answers
from services.taskstate.api.errors import ApiError
from services.taskstate.api.session import SessionTimes, SupervisorSession
from services.taskstate.clockwork import StormBrake
from services.taskstate.command import Refused, SuspectAttempt
from services.taskstate.database import DatabaseUnavailable
from services.taskstate.feed import ORDER_KINDS, ORDERS, Feed
from services.taskstate.model import EventKind, Task
from services.taskstate.pipeline import Pipeline
from services.taskstate.reads import Reads
from services.taskstate.records import Records

log = logging.getLogger(__name__)

TRY_AGAIN_S = 0.5
TELL_S = 1.0

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class WorkerServicer(worker_service_pb2_grpc.WorkerServiceServicer):
    """What supervisors speak; the contract stands in worker_service.proto."""

    pipeline: Pipeline
    reads: Reads
    records: Records
    feed: Feed
    replica_id: str
    times: SessionTimes
    stream_grace_s: float
    sessions_max: int
    sessions: dict[str, SupervisorSession] = field(default_factory=dict)
    draining: bool = False
    _brake: StormBrake[SupervisorSession] = field(default_factory=StormBrake)
    _background: set[asyncio.Task[None]] = field(default_factory=set)

    async def Session(  # noqa: N802
        self, request_iterator: AsyncIterator[service_pb.SessionRequest], context: Context
    ) -> None:
        """See worker_service.proto."""
        if len(self.sessions) >= self.sessions_max:
            raise ApiError(
                "LIMIT_EXCEEDED",
                f"This replica carries {self.sessions_max} sessions and takes no more; try another, or later.",
                {"limit": "sessions", "max": str(self.sessions_max)},
            )
        session = SupervisorSession(
            self.pipeline, self.reads, self.records, self.feed, self.replica_id, self.times, context
        )
        self.sessions[session.stream_id] = session
        try:
            await session.run(request_iterator)
        except ApiError:
            # We end it, whatever the reason: the supervisor may well live.
            session.end()
            raise
        finally:
            # A killed supervisor's stream ends as an error, a quiet end, or the cancellation of this very coroutine
            # (tried): what follows from it runs in a task of its own, which nothing here cancels.
            del self.sessions[session.stream_id]
            self._conclude(session)

    async def drain(self) -> None:
        """Send all supervisors elsewhere; none of their attempts becomes suspect by that."""
        self.draining = True
        drain = service_pb.Drain(message=f"Replica {self.replica_id} is shutting down.")
        told = [
            asyncio.create_task(session.send([service_pb.ServerMessage(drain=drain)]))
            for session in self.sessions.values()
        ]
        if not told:
            return
        # One that takes nothing must not keep the others from being told in time; all find out when the server stops.
        done, late = await asyncio.wait(told, timeout=TELL_S)
        for telling in late:
            telling.cancel()
        for failure in filter(None, (telling.exception() for telling in done)):
            # Its stream is ending anyway; the supervisor reconnects by itself.
            log.info("a supervisor could not be told to move: %r", failure, extra={"event": "drain_untold"})

    def close(self) -> None:
        """Conclude nothing more: what is left to conclude, the end of this replica's lease does."""
        for task in self._background:
            task.cancel()

    def end_all(self) -> None:
        """End all streams from this side: this replica cannot vouch for them now, another may."""
        for session in self.sessions.values():
            session.end()

    async def run_orders(self) -> None:
        """Tell supervisors what was decided about their attempts, until cancelled."""
        await self.feed.ready()
        cursor = self.feed.revision
        subscription = self.feed.subscribe(frozenset({ORDERS}))
        try:
            while True:
                await subscription.woken.wait()
                subscription.woken.clear()
                slices = self.feed.after(cursor)
                cursor = self.feed.revision
                if slices is None:
                    # Too far behind to know what was ordered: the supervisors resume, and are told again.
                    self.end_all()
                    continue
                for piece in slices:
                    for event in piece.events:
                        if event.kind in ORDER_KINDS and event.task_id in piece.tasks:
                            # On its own: a supervisor that takes nothing must not delay the orders of the others.
                            task = piece.tasks[event.task_id]
                            suspected = event.kind is EventKind.SUSPECTED
                            self._start(self._take_back(task) if suspected else self._order(task))
        finally:
            self.feed.unsubscribe(subscription)

    async def _order(self, task: Task) -> None:
        order = session_answers.order_of(task)
        session = self.sessions.get(task.stream_id)
        if order is None or session is None:
            return
        try:
            await session.order(task.task_id, order)
        except (grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError) as error:
            # The stream is breaking; whoever resumes the attempt is told again.
            known = {"event": "order_undelivered", "task_id": task.task_id}
            log.info("an order was not delivered: %r", error, extra=known)

    async def _take_back(self, task: Task) -> None:
        """A stream broke. If its attempt is held on another one here, it was moved away by mistake: a start or a resume
        that a frozen replica carried out late. Its supervisor lives."""
        while (session := self._holder_of(task)) is not None:
            try:
                if await session.take_back(task):
                    return
            except (grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError) as error:
                known = {"event": "order_undelivered", "task_id": task.task_id}
                log.info("an attempt was taken back, and its order not delivered: %r", error, extra=known)
                return
            await asyncio.sleep(TRY_AGAIN_S)

    def _holder_of(self, task: Task) -> SupervisorSession | None:
        others = (session for session in self.sessions.values() if session.stream_id != task.stream_id)
        return next((session for session in others if session.holds(task)), None)

    def _conclude(self, session: SupervisorSession) -> None:
        """What the end of a stream means for the attempts it carried."""
        who = session.holder.worker.worker_id if session.holder else "a caller without a hello"
        log.info(
            "the session of %s ended",
            who,
            extra={"event": "session_closed", "stream_id": session.stream_id, "held": len(session.held)},
        )
        if session.holder is None or self.draining:
            return
        if session.ended_by_server.is_set():
            # Never suspect by our own doing: they have the whole lease to come back. But this replica may live on, and
            # then nobody else would ever end what did not come back.
            self._start(self._suspect(session, self.stream_grace_s, after_s=self.times.lease_ttl_s))
            return
        if session.said_good_bye:
            # It must hold nothing; if it does, nobody is left who could tell how that ends.
            self._start(self._suspect(session, self.stream_grace_s))
            return
        spared = self._brake.broke(session, len(self.sessions), time.monotonic())
        if spared:
            log.warning(
                "%d streams broke at once: they have the whole lease to come back",
                len(spared),
                extra={"event": "storm_brake", "streams": len(spared)},
            )
        grace_s = self.times.lease_ttl_s if spared else self.stream_grace_s
        for broken in spared or [session]:
            self._start(self._suspect(broken, grace_s))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _suspect(self, session: SupervisorSession, grace_s: float, after_s: float = 0.0) -> None:
        """Make the attempts that an ended stream still carries suspect, as often as it takes: else only this replica's
        own death would ever end them."""
        await asyncio.sleep(after_s)
        await session.settled()
        commands: Sequence[SuspectAttempt] = [
            SuspectAttempt(
                task_id=task_id,
                actor=f"replica:{self.replica_id}",
                replica_id=self.replica_id,
                stream_id=session.stream_id,
                grace_s=grace_s,
                lease_s=self.times.lease_ttl_s,
            )
            for task_id in await self._carried(session.stream_id)
        ]
        while commands:
            outcomes = await asyncio.gather(*self.pipeline.submit_many(commands))
            commands = [
                command
                for command, outcome in zip(commands, outcomes, strict=True)
                if isinstance(outcome, Refused) and outcome.reason in ("DATABASE_UNAVAILABLE", "LIMIT_EXCEEDED")
            ]
            if commands:
                await asyncio.sleep(TRY_AGAIN_S)

    async def _carried(self, stream_id: str) -> list[str]:
        while True:
            try:
                return await self.records.carried_task_ids(self.replica_id, stream_id)
            except DatabaseUnavailable as error:
                log.warning("an ended stream waits for the database: %s", error, extra={"event": "suspects_wait"})
                await asyncio.sleep(TRY_AGAIN_S)
