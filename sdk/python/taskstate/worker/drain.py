"""The end of a supervisor's RQ workers: idle ones at once, busy ones when their attempt has ended or the grace is over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taskstate.v1 import work_horse_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from taskstate.worker.horse_table import HorseTable
    from taskstate.worker.local_server import Peer
    from taskstate.worker.rq_worker_process import RqWorkerProcess
    from taskstate.worker.stopping import Stopping

log = logging.getLogger(__name__)

RQ_WORKER_STOP_TIMEOUT_S: Final = 2.0
"""How long an RQ worker without a work-horse may take to end; it hangs when Redis is away."""
KILLED_TIMEOUT_S: Final = 6.0


@dataclass
class Drain:
    """Needs neither Redis nor TaskState, and ends in a bounded time: the grace and a few seconds."""

    table: HorseTable
    stopping: Stopping
    rq_workers: Mapping[int, RqWorkerProcess]
    """Those not reaped yet, by pid."""
    ready: Mapping[int, Peer]
    """Those that have imported the tasks, by pid."""
    changed: asyncio.Event
    """Set whenever a work-horse has gone or an RQ worker has ended."""

    async def run(self, grace_s: float) -> None:
        """End every RQ worker; returns when all have been reaped."""
        deadline = time.monotonic() + grace_s
        self.table.send_home_unsent()
        for pid, rq_worker in self.rq_workers.items():
            if pid in self.ready:
                self.ready[pid].send(work_horse_pb2.LocalResponse(stop=work_horse_pb2.StopOrder()))
            else:
                # It is still importing, and holds nothing.
                rq_worker.kill()
        await asyncio.gather(*(self._end(pid, deadline) for pid in list(self.rq_workers)))

    async def _end(self, pid: int, deadline: float) -> None:
        """See one RQ worker to its end, in a bounded time."""
        if not await self._until(lambda: pid not in self.table.claims, deadline - time.monotonic()):
            log.warning("the grace is over; killed a running attempt", extra={"event": "drain_killed"})
            self.stopping.drain(pid)
            await self._until(lambda: pid not in self.table.claims, KILLED_TIMEOUT_S)
        if not await self._until(lambda: pid not in self.rq_workers, RQ_WORKER_STOP_TIMEOUT_S):
            self.rq_workers[pid].kill()
            await self._until(lambda: pid not in self.rq_workers, KILLED_TIMEOUT_S)

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until the condition holds, looking again at each change; answers whether it does."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), left_s)
        return True
