"""What one browser's stream says: it catches up from its cursor by a watch of its own, then lives from the fan-out.

The two parts meet without a gap: the subscription collects before the own watch is opened, and the own watch is left at a
checkpoint at or after the place where collecting began. What both would tell is told once, as what lies at or before the
cursor is passed over. A reader who falls behind starts again from its cursor in the same way.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from taskstate.errors import TaskStateError

from services.gateway import sse
from services.gateway.assembler import Assembler
from services.gateway.change import Change

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from services.gateway.change import Checkpoint, StreamFilter
    from services.gateway.fan_out import FanOut, Subscription
    from services.gateway.shared_watch import Watcher

log = logging.getLogger(__name__)

BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MAX_S: Final = 2.0


class StreamSession:
    """One stream. `run()` writes until it is cancelled, or until TaskState refuses it before anything was written.

    `write` takes bytes and returns when they are on their way; it bounds how long a reader may take nothing.
    """

    def __init__(
        self,
        upstream: Watcher,
        fan_out: FanOut,
        wanted: StreamFilter,
        cursor: int | None,
        write: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self._upstream = upstream
        self._fan_out = fan_out
        self._wanted = wanted
        self._cursor = cursor
        self._write = write
        self._has_told = False
        self._told_lost = False
        self._told_checkpoint: Checkpoint | None = None

    async def run(self) -> None:
        """Write the stream. Raises TaskStateError if TaskState refuses it at its very beginning."""
        subscription = self._fan_out.join(self._wanted)
        try:
            while True:
                await self._catch_up(subscription)
                # Our own watch has just told a checkpoint; the shared one's is older, and its clock would run backwards.
                self._told_checkpoint = self._fan_out.checkpoint
                await self._live(subscription)
                self._fan_out.behind_count += 1
        finally:
            self._fan_out.leave(subscription)

    async def _catch_up(self, subscription: Subscription) -> None:
        """Follow a watch of our own until the subscription has everything that comes after the cursor."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                await self._started()
                subscription.restart(self._fan_out.revision)
                await self._read_own_watch(subscription)
            except TaskStateError as error:
                if error.code == "OUT_OF_RANGE":
                    self._cursor = None
                    await self._tell(sse.reset_event(error.reason or "COMPACTED"))
                    continue
                if not self._has_told and error.code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"):
                    raise
                await self._tell_lost(error)
                # Jitter, as all the browsers of this process come here at the same moment.
                await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
                backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
            else:
                return

    async def _started(self) -> None:
        """Wait until the shared watch has a position; without one there is nothing to join."""
        if not self._fan_out.started.is_set():
            try:
                async with asyncio.timeout(BACKOFF_MAX_S):
                    await self._fan_out.started.wait()
            except TimeoutError:
                raise TaskStateError("UNAVAILABLE", "", "the shared watch has not begun") from None

    async def _read_own_watch(self, subscription: Subscription) -> None:
        assembler = Assembler()
        async with aclosing(self._upstream.watch_tasks(self._wanted.watch_request(self._cursor))) as responses:
            async for response in responses:
                items = assembler.take(response)
                # The event's `id` is where a reader resumes, so the cursor moves with what is written, not before.
                await self._tell(b"".join(item.encoded for item in items))
                for item in items:
                    if isinstance(item, Change) and not item.is_transition:
                        continue
                    self._cursor = item.revision
                    if not isinstance(item, Change) and item.revision >= subscription.start and not subscription.behind:
                        return
                if subscription.behind:
                    # Too much came while we caught up: what was collected is gone, and is read here instead.
                    subscription.restart(self._fan_out.revision)

    async def _live(self, subscription: Subscription) -> None:
        """Write what the fan-out brings until we fall behind."""
        while not subscription.behind:
            subscription.woken.clear()
            cursor = self._cursor or 0
            changes = subscription.take(cursor)
            parts = [change.encoded for change in changes]
            for change in changes:
                if change.is_transition:
                    cursor = change.revision
            checkpoint = self._fan_out.checkpoint
            if checkpoint is not None and checkpoint is not self._told_checkpoint and checkpoint.revision >= cursor:
                self._told_checkpoint = checkpoint
                parts.append(checkpoint.encoded)
                cursor = checkpoint.revision
            if self._fan_out.connected == self._told_lost:
                self._told_lost = not self._fan_out.connected
                parts.append(sse.UPSTREAM_LOST if self._told_lost else sse.UPSTREAM_BACK)
            if parts:
                await self._tell(b"".join(parts))
                self._cursor = cursor
            else:
                await subscription.woken.wait()

    async def _tell(self, data: bytes) -> None:
        if data:
            self._has_told = True
            await self._write(data)

    async def _tell_lost(self, error: TaskStateError) -> None:
        log.debug("a stream waits for TaskState: %s", error, extra={"event": "stream_waits"})
        if not self._told_lost:
            self._told_lost = True
            await self._tell(sse.UPSTREAM_LOST)
