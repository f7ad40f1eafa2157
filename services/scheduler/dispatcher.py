"""Hands pending and retrying tasks to RQ.

One run: ask TaskState for what is due (it answers at once, or when something comes due), put the messages into their
queues, confirm. The order is what makes it safe. A message whose confirmation got lost is handed out again, with the
same number, and the queue drops the double; a task whose message was never enqueued was never confirmed, and is handed
out again too. Whoever confirms second is told that it has been done.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from google.protobuf import duration_pb2
from taskstate.v1 import maintenance_service_pb2 as pb

from services.scheduler.broker import Message
from services.scheduler.maintenance import Maintenance

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class DispatchResult:
    """What one run did. ``acquired`` messages were handed to us; ``enqueued`` of them were new to their queue.

    The others say what TaskState answered to the confirmation: ``queued`` now QUEUED, ``already_started`` (a worker was
    faster), ``stale`` (no longer the task's message), ``not_found`` (the task has been purged).
    """

    acquired: int = 0
    enqueued: int = 0
    queued: int = 0
    already_started: int = 0
    stale: int = 0
    not_found: int = 0

    @property
    def found_work(self) -> bool:
        """Whether to look for more at once."""
        return self.acquired > 0


class MessageQueues(Protocol):
    """What the dispatcher needs of the broker; both raise DependencyAwayError when it does not answer."""

    async def check(self) -> None:
        """Returns if messages can be put into queues now."""

    async def enqueue(self, messages: Sequence[Message]) -> int:
        """Puts the messages into their queues, each id once, and answers how many were new."""


class Dispatcher:
    """The background service that fills the queues.

    ``batch_max`` messages at most in one run (1 to 100); TaskState holds an empty answer back for ``wait_s`` seconds.
    """

    def __init__(self, maintenance: Maintenance, queues: MessageQueues, *, batch_max: int, wait_s: float) -> None:
        self._maintenance = maintenance
        self._queues = queues
        self._batch_max = batch_max
        self._wait_s = wait_s
        self._all_answer = False

    async def run_once(self) -> DispatchResult:
        """Enqueues and confirms what is due; waits up to ``wait_s`` for the first.

        Raises DependencyAwayError for Redis or TaskState. May be cancelled: what has been acquired is enqueued and
        confirmed first.
        """
        # Asked before anything is acquired: with Redis away, what we took would be of no use to anybody for 10 s.
        try:
            await self._queues.check()
            messages = await self._acquire()
            self._all_answer = True
            if not messages:
                return DispatchResult()
            return await _undisturbed(self._hand_over(messages))
        except BaseException:
            self._all_answer = False
            raise

    async def _acquire(self) -> list[Message]:
        # The first call, and the first after trouble, does not wait: its answer tells at once that TaskState is there,
        # while an idle long poll would leave the process "not ready" for all its length.
        wait_s = self._wait_s if self._all_answer else 0.0
        request = pb.AcquireDispatchesRequest(max_dispatches=self._batch_max, wait_timeout=_duration(wait_s))
        response = await self._maintenance.call("AcquireDispatches", request, wait_s)
        return [Message(item.task_id, item.dispatch, item.queue) for item in response.dispatches]

    async def _hand_over(self, messages: Sequence[Message]) -> DispatchResult:
        enqueued = await self._queues.enqueue(messages)
        request = pb.ConfirmDispatchesRequest(
            dispatches=[pb.Dispatch(task_id=m.task_id, dispatch=m.dispatch, queue=m.queue) for m in messages]
        )
        response = await self._maintenance.call("ConfirmDispatches", request)
        outcomes = Counter(confirmation.outcome for confirmation in response.confirmations)
        return DispatchResult(
            acquired=len(messages),
            enqueued=enqueued,
            queued=outcomes[pb.DISPATCH_OUTCOME_QUEUED],
            already_started=outcomes[pb.DISPATCH_OUTCOME_ALREADY_STARTED],
            stale=outcomes[pb.DISPATCH_OUTCOME_STALE],
            not_found=outcomes[pb.DISPATCH_OUTCOME_NOT_FOUND],
        )


async def _undisturbed(work: Coroutine[Any, Any, T]) -> T:
    """Awaits work to its end even when we are cancelled, and passes the cancellation on then.

    The work is bounded by its own time-outs, so this is too.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("stopped before all was confirmed; it comes again: %s", error, extra={"event": "unconfirmed"})
        raise


def _duration(seconds: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromMilliseconds(round(seconds * 1000))
    return duration
