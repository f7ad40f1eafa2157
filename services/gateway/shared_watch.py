"""The one watch of this process: follows all tasks and publishes what it hears into the fan-out.

It ends only with the process. When TaskState is away it connects again and resumes; browsers stay connected meanwhile.
It resumes from its last checkpoint and passes over the transitions it has published since: a checkpoint covers progress as
well, which a transition's cursor does not.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, Protocol

from taskstate.errors import TaskStateError

from services.gateway.assembler import Assembler
from services.gateway.change import Change, StreamFilter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from taskstate.v1 import task_service_pb2 as api

    from services.gateway.fan_out import FanOut

log = logging.getLogger(__name__)

# A checkpoint comes every 2 s. Silence this long, and what we show is old; this long again, and we connect anew.
SILENCE_MAX_S: Final = 5.0
RECONNECT_AFTER_S: Final = 10.0
BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MAX_S: Final = 1.0


class Watcher(Protocol):
    """Where changes come from: `Upstream`, or a script in tests."""

    def watch_tasks(self, request: api.WatchTasksRequest) -> AsyncGenerator[api.WatchTasksResponse, None]:
        """See `Upstream.watch_tasks`."""
        ...


class SharedWatch:
    """See the module. Run `run()` as one task of the event loop."""

    def __init__(self, upstream: Watcher, fan_out: FanOut, silence_max_s: float = RECONNECT_AFTER_S) -> None:
        self._upstream = upstream
        self._fan_out = fan_out
        self._silence_max_s = silence_max_s
        # The newest checkpoint, to resume from; and the newest transition or checkpoint published.
        self._resume_from: int | None = None
        self._cursor = 0
        self._heard: float | None = None

    @property
    def age_s(self) -> float | None:
        """Seconds since TaskState was last heard on the watch; None before the first time."""
        return None if self._heard is None else time.monotonic() - self._heard

    @property
    def is_caught_up(self) -> bool:
        """Whether what was published is the present, as far as anybody can tell."""
        age = self.age_s
        return self._fan_out.started.is_set() and self._fan_out.connected and age is not None and age < SILENCE_MAX_S

    async def run(self) -> None:
        """Follow TaskState until cancelled."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            heard_before = self._heard
            try:
                await self._follow()
            except TaskStateError as error:
                if error.code == "OUT_OF_RANGE":
                    self._start_over(error)
                else:
                    self._lost(error)
            if self._heard != heard_before:
                backoff_s = BACKOFF_FIRST_S
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    async def _follow(self) -> None:
        assembler = Assembler()
        request = StreamFilter().watch_request(self._resume_from)
        async with aclosing(_bounded(self._upstream.watch_tasks(request), self._silence_max_s)) as responses:
            async for response in responses:
                self._heard = time.monotonic()
                self._fan_out.set_connected(True)
                for item in assembler.take(response):
                    if isinstance(item, Change):
                        self._publish(item)
                    else:
                        self._resume_from = item.revision
                        self._cursor = max(self._cursor, item.revision)
                        if not self._fan_out.started.is_set():
                            self._fan_out.begin(item.revision)
                            log.info(
                                "following tasks from revision %d",
                                item.revision,
                                extra={"event": "watch_started", "revision": item.revision},
                            )
                        self._fan_out.advance(item)

    def _publish(self, change: Change) -> None:
        if not self._fan_out.started.is_set():
            # The snapshot: whoever needs one reads its own.
            return
        if change.is_transition:
            if change.revision <= self._cursor:
                return
            self._cursor = change.revision
        self._fan_out.publish(change)

    def _lost(self, error: TaskStateError) -> None:
        if self._fan_out.connected or self._heard is None:
            log.warning(
                "the watch of TaskState ended: %s", error, extra={"event": "watch_lost", "revision": self._cursor}
            )
        self._fan_out.set_connected(False)

    def _start_over(self, error: TaskStateError) -> None:
        log.warning("the watch starts over: %s", error, extra={"event": "watch_reset", "revision": self._cursor})
        self._resume_from = None
        self._cursor = 0
        self._fan_out.interrupt()


async def _bounded(
    responses: AsyncGenerator[api.WatchTasksResponse, None], silence_max_s: float
) -> AsyncGenerator[api.WatchTasksResponse, None]:
    """End a watch that says nothing: a frozen peer whose connection stays open looks just so."""
    async with aclosing(responses):
        while True:
            try:
                async with asyncio.timeout(silence_max_s):
                    response = await anext(responses)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise TaskStateError("UNAVAILABLE", "", f"nothing heard for {silence_max_s:g} s") from None
            yield response
