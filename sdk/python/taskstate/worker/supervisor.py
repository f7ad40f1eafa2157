"""The supervisor's process: it puts the parts together, keeps the RQ workers alive, and drains.

One event loop in the main thread. Nothing on it waits for Redis, which a supervisor never talks to, nor for a task.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import time
import uuid
from typing import TYPE_CHECKING, Final

from taskstate.v1 import task_pb2, work_horse_pb2
from taskstate.worker import process
from taskstate.worker.drain import Drain
from taskstate.worker.horse_table import HorseTable
from taskstate.worker.leftovers import kill_leftovers
from taskstate.worker.local_server import LocalServer
from taskstate.worker.logs import configure_worker_logging
from taskstate.worker.outbox import Outbox
from taskstate.worker.rq_worker_main import EXIT_BAD_TASKS
from taskstate.worker.rq_worker_process import RqWorkerProcess, rq_worker_environment
from taskstate.worker.session import Session
from taskstate.worker.stopping import Stopping

if TYPE_CHECKING:
    from taskstate.v1 import worker_service_pb2
    from taskstate.worker.local_server import Peer
    from taskstate.worker.settings import SupervisorSettings

log = logging.getLogger(__name__)

EXIT_OK: Final = 0
EXIT_SETTINGS: Final = 2
RESTART_FIRST_S: Final = 0.2
RESTART_MAX_S: Final = 5.0
RESTART_FORGIVEN_S: Final = 10.0
"""An RQ worker that lived this long is started again without a longer wait."""
LAST_WORDS_TIMEOUT_S: Final = 1.0
"""How long a dead process's socket may take to give its end; a process that its sweep missed may hold it open."""
UNREPORTED_DEATH_TIMEOUT_S: Final = 10.0
"""How long an RQ worker may take to report its work-horse's death; its sweep takes half of it at most."""
DELIVERY_TIMEOUT_MIN_S: Final = 1.0
DELIVERY_TIMEOUT_MAX_S: Final = 5.0
"""How long a drained supervisor tries to deliver what is unanswered: as long as its grace, within these bounds."""
DISPOSALS_MAX: Final = 100


def main(settings: SupervisorSettings) -> int:
    """Run a supervisor in this process until it is told to stop; answers the exit code."""
    configure_worker_logging("worker", settings.log_level, settings.log_format)
    process.name_process("worker-super")
    process.become_subreaper()
    # Before the first message is taken: what outlived a dead supervisor may run the very attempt that is tried again.
    kill_leftovers()
    return asyncio.run(Supervisor(settings).run())


class Supervisor:
    """All of one supervisor. It listens to its session and to its Unix socket."""

    def __init__(self, settings: SupervisorSettings) -> None:
        self._settings = settings
        self._boot_id = str(uuid.uuid4())
        self._outbox = Outbox()
        self._table = HorseTable(self._outbox, time.monotonic)
        self._stopping = Stopping(self._table)
        self._server = LocalServer(self)
        self._session: Session | None = None
        self._rq_workers: dict[int, RqWorkerProcess] = {}
        """Those not reaped yet, by pid."""
        self._queues: dict[int, str] = {}
        """The queue of each of them."""
        self._ready: dict[int, Peer] = {}
        """The RQ workers that have imported the tasks, by pid."""
        self._disposals: dict[str, list[work_horse_pb2.DisposeMessage]] = {}
        """By queue: messages of RQ workers that died, for the next one of that queue to dispose of."""
        self._types: list[worker_service_pb2.TaskType] = []
        """What the first RQ worker that was ready declared."""
        self._types_known = asyncio.Event()
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        """Set whenever a work-horse has gone or an RQ worker has ended."""
        self._stopping_changed = asyncio.Event()
        """Set whenever something may have to be done sooner than was known."""
        self._bad_tasks = False

    async def run(self) -> int:
        """Work until told to stop by SIGTERM or SIGINT, then drain; answers the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        socket_path = await self._server.start()
        environment = rq_worker_environment(self._settings, socket_path, self._boot_id)
        slots = [
            asyncio.create_task(self._keep_rq_worker(queue, slot, environment))
            for slot, queue in enumerate(self._settings.queue_of_each_slot)
        ]
        serving = asyncio.create_task(self._hold_session())
        watching = asyncio.create_task(self._watch_limits())
        stopping = asyncio.create_task(self._stopped())
        try:
            # Only the stop is expected; anything else that ends is a fault of ours, and ends the process.
            await asyncio.wait([stopping, serving, watching, *slots], return_when=asyncio.FIRST_COMPLETED)
            for task in (serving, watching, *slots):
                if task.done():
                    task.result()
            drain = Drain(self._table, self._stopping, self._rq_workers, self._ready, self._changed)
            await drain.run(self._settings.drain_grace_s)
            await asyncio.gather(*slots)
            await self._take_leave(serving)
        finally:
            for rq_worker in self._rq_workers.values():
                rq_worker.kill()
            for task in (stopping, serving, watching, *slots):
                task.cancel()
            await asyncio.gather(stopping, serving, watching, *slots, return_exceptions=True)
            await self._server.close()
        return EXIT_SETTINGS if self._bad_tasks else EXIT_OK

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            log.info("already stopping", extra={"event": "stopping"})
            return
        log.info(
            "%s: stopping; running attempts get %g s",
            number.name,
            self._settings.drain_grace_s,
            extra={"event": "stopping"},
        )
        self._stop.set()

    async def _stopped(self) -> None:
        await self._stop.wait()

    # --- The session.

    async def _hold_session(self) -> None:
        """Say hello once the first RQ worker has told which types there are, and hold the session from there on."""
        await self._types_known.wait()
        worker = task_pb2.Worker(
            worker_id=self._settings.worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            boot_id=self._boot_id,
            queues=[queue for queue, _ in self._settings.queues],
        )
        self._session = Session(self._settings.target, worker, self._types, self._outbox, self)
        await self._session.run()

    def session_up(self, lease_ttl_s: float) -> None:
        """TaskState answers: messages may be taken."""
        self._stopping.lease_ttl_s = lease_ttl_s
        self._order_pop(allowed=True)

    def session_down(self) -> None:
        """TaskState is away: a start could not be asked for, so no message is taken."""
        self._order_pop(allowed=False)

    def started(self, answer: worker_service_pb2.AttemptStarted) -> None:
        """A start was granted."""
        self._table.started(answer)
        self._stopping_changed.set()
        self._wake_session()

    def refused(self, answer: worker_service_pb2.Refused) -> None:
        """A message was refused."""
        self._table.refused(answer)

    def fenced(self, answer: worker_service_pb2.Fenced) -> None:
        """An attempt is over for us."""
        self._table.fenced(answer)
        self._wake_session()

    def cancel(self, order: worker_service_pb2.CancelOrder) -> None:
        """A task is to be asked to stop."""
        self._stopping.cancel(order)
        self._stopping_changed.set()

    def kill(self, order: worker_service_pb2.KillOrder) -> None:
        """An attempt's process is to be ended."""
        self._stopping.kill(order)
        self._stopping_changed.set()

    def heartbeat_answered(self, sent_s: float) -> None:
        """TaskState vouched for our attempts then."""
        self._stopping.heartbeat_answered_s = max(self._stopping.heartbeat_answered_s, sent_s)

    async def _watch_limits(self) -> None:
        """Carry out orders, and stop what passes its limits."""
        while True:
            self._stopping_changed.clear()
            wait_s = self._stopping.run_due()
            self._wake_session()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping_changed.wait(), None if math.isinf(wait_s) else wait_s)

    def heartbeat(self) -> worker_service_pb2.Heartbeat:
        """What is known of the attempts."""
        return self._table.heartbeat()

    def held(self) -> list[worker_service_pb2.ResumeAttempt]:
        """The attempts whose processes have not gone."""
        return self._table.held()

    @property
    def _is_in_session(self) -> bool:
        return self._session is not None and self._session.is_up

    def _order_pop(self, *, allowed: bool) -> None:
        for peer in self._ready.values():
            peer.send(work_horse_pb2.LocalResponse(pop=work_horse_pb2.PopOrder(allowed=allowed)))

    def _wake_session(self) -> None:
        if self._session is not None:
            self._session.wake()

    # --- The Unix socket.

    def is_rq_worker(self, pid: int) -> bool:
        """Whether an RQ worker of ours has this pid now."""
        return pid in self._rq_workers

    def connected(self, peer: Peer) -> None:
        """A process has connected. A work-horse's death is watched from here on."""
        if not peer.is_rq_worker:
            loop = asyncio.get_running_loop()
            loop.add_reader(peer.pidfd, self._on_horse_death, peer)

    def disconnected(self, peer: Peer) -> None:
        """A connection has ended."""
        asyncio.get_running_loop().remove_reader(peer.pidfd)
        if self._ready.get(peer.pid) is peer:
            del self._ready[peer.pid]

    async def received(self, peer: Peer, request: work_horse_pb2.LocalRequest) -> None:
        """A process said something."""
        body = request.WhichOneof("body")
        if peer.is_rq_worker:
            if body == "ready":
                self._on_ready(peer, request.ready)
            elif body == "taken":
                self._table.taken(peer.pid, request.taken)
            elif body == "gone":
                await self._on_gone(peer, request.gone)
        elif body == "start":
            self._table.ask_to_start(peer, request.start)
        elif body is not None:
            self._table.say(peer, request)
        self._wake_session()

    def _on_ready(self, peer: Peer, ready: work_horse_pb2.RqWorkerReady) -> None:
        if not self._types_known.is_set():
            self._types = list(ready.types)
            self._table.exclusive_types = frozenset(declared.name for declared in ready.types if declared.exclusive)
            self._types_known.set()
        self._ready[peer.pid] = peer
        for disposal in self._disposals.pop(self._queue_of(peer.pid), []):
            peer.send(work_horse_pb2.LocalResponse(dispose=disposal))
        if self._stop.is_set():
            peer.send(work_horse_pb2.LocalResponse(stop=work_horse_pb2.StopOrder()))
        else:
            pop = work_horse_pb2.PopOrder(allowed=self._is_in_session)
            peer.send(work_horse_pb2.LocalResponse(pop=pop))

    async def _on_gone(self, peer: Peer, gone: work_horse_pb2.HorseGone) -> None:
        """An RQ worker reports that its work-horse has gone: its last words are taken in first, then its end is told."""
        claim = self._table.claims.get(peer.pid)
        if claim is not None and claim.horse is not None:
            await self._last_words(claim.horse.peer)
        disposal = self._table.gone(peer.pid, gone.exit if gone.HasField("exit") else None)
        if disposal is None:
            disposal = work_horse_pb2.DisposeMessage(task_id=gone.task_id, dispatch=gone.dispatch, put_back=True)
        if gone.orphans_killed:
            log.warning(
                "task %s left %d processes behind, which were killed",
                gone.task_id,
                gone.orphans_killed,
                extra={"event": "orphans_killed", "task_id": gone.task_id},
            )
        peer.send(work_horse_pb2.LocalResponse(dispose=disposal))
        self._changed.set()

    async def _last_words(self, dead: Peer) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(dead.ended.wait(), LAST_WORDS_TIMEOUT_S)

    def _on_horse_death(self, peer: Peer) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(peer.pidfd)
        loop.call_later(UNREPORTED_DEATH_TIMEOUT_S, self._kill_silent_rq_worker, peer)

    def _kill_silent_rq_worker(self, horse: Peer) -> None:
        """An RQ worker that does not report its work-horse's death is broken or stopped; its own end tells the rest."""
        claim = self._table.claims.get(horse.rq_worker_pid)
        rq_worker = self._rq_workers.get(horse.rq_worker_pid)
        if rq_worker is not None and claim is not None and claim.horse is not None and claim.horse.peer is horse:
            log.error(
                "RQ worker %d did not report a death; killed it", rq_worker.pid, extra={"event": "rq_worker_stuck"}
            )
            rq_worker.kill()

    # --- The RQ workers.

    async def _keep_rq_worker(self, queue: str, slot: int, environment: dict[str, str]) -> None:
        """Keep one RQ worker running until we stop. Any end that was not asked for is a crash."""
        wait_s = RESTART_FIRST_S
        while not self._stop.is_set():
            rq_worker = RqWorkerProcess(queue, slot, environment)
            self._rq_workers[rq_worker.pid] = rq_worker
            self._queues[rq_worker.pid] = queue
            start_s = time.monotonic()
            code = await rq_worker.ended()
            await self._bury(rq_worker.pid)
            if self._stop.is_set():
                return
            if code == EXIT_BAD_TASKS and not self._types_known.is_set():
                self._bad_tasks = True
                self._stop.set()
                return
            wait_s = RESTART_FIRST_S if time.monotonic() - start_s > RESTART_FORGIVEN_S else wait_s
            log.error(
                "RQ worker %d of queue %s ended with %s; the next one starts in %g s",
                rq_worker.pid,
                queue,
                _end_in_words(code),
                wait_s,
                extra={"event": "rq_worker_ended", "queue": queue, "exit_code": code},
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait_s)
            wait_s = min(wait_s * 2, RESTART_MAX_S)

    async def _bury(self, pid: int) -> None:
        """An RQ worker has been reaped: sweep what it left, which is now our child, and tell its work-horse's end."""
        if pid in self._ready:
            # It may have said a moment before its death that it took a message.
            await self._last_words(self._ready[pid])
        del self._rq_workers[pid]
        queue = self._queues.pop(pid)
        sweep = process.Sweep(keep=self._rq_workers.keys())
        deadline = time.monotonic() + process.SWEEP_TIMEOUT_S
        while not sweep.step() and time.monotonic() < deadline:  # noqa: ASYNC110 - there is no event to wait on.
            await asyncio.sleep(process.SWEEP_INTERVAL_S)
        claim = self._table.claims.get(pid)
        exited = None
        if claim is not None and claim.horse is not None:
            exited = sweep.exits.get(claim.horse.peer.pid)
            await self._last_words(claim.horse.peer)
        disposal = self._table.gone(pid, exited, with_rq_worker=True)
        if disposal is not None:
            waiting = self._disposals.setdefault(queue, [])
            waiting.append(disposal)
            del waiting[:-DISPOSALS_MAX]
        self._changed.set()
        self._wake_session()

    # --- The end.

    async def _take_leave(self, serving: asyncio.Task[None]) -> None:
        """Deliver what is unanswered, say good-bye, and close the session; all of it bounded."""
        if self._session is None:
            return
        timeout_s = min(max(self._settings.drain_grace_s, DELIVERY_TIMEOUT_MIN_S), DELIVERY_TIMEOUT_MAX_S)
        try:
            await asyncio.wait_for(self._session.delivered(), timeout_s)
        except TimeoutError:
            log.error("TaskState did not take the last words in time", extra={"event": "undelivered"})  # noqa: TRY400
        self._session.close("the worker stops")
        await asyncio.wait([serving], timeout=DELIVERY_TIMEOUT_MAX_S)

    def _queue_of(self, pid: int) -> str:
        return self._queues.get(pid, "")


def _end_in_words(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"
