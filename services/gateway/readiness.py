"""Whether this gateway can serve right now, found out by trying."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from taskstate.errors import TaskStateError
from taskstate.v1 import task_service_pb2 as api

from services.gateway.agent_routes import AGENT_GROUP

if TYPE_CHECKING:
    from services.gateway.fan_out import FanOut
    from services.gateway.shared_watch import SharedWatch
    from services.gateway.upstream import Upstream

_TRY_S: Final = 2.0


class Readiness:
    """Ready means: TaskState answers a read, and the shared watch has caught up. It does not wait for workers."""

    def __init__(self, upstream: Upstream, watch: SharedWatch, fan_out: FanOut, stopping: asyncio.Event) -> None:
        self._upstream = upstream
        self._watch = watch
        self._fan_out = fan_out
        self._stopping = stopping

    async def check(self) -> dict[str, Any]:
        """Answer the state as `/readyz` shows it. Takes at most 2 s."""
        taskstate = await self._taskstate_answers()
        watch = self._watch.is_caught_up
        return {
            "ready": taskstate and watch and not self._stopping.is_set(),
            "taskstate": taskstate,
            "watch": watch,
            "revision": str(self._fan_out.revision) if self._fan_out.started.is_set() else None,
        }

    async def _taskstate_answers(self) -> bool:
        try:
            async with asyncio.timeout(_TRY_S):
                await self._upstream.get_active_task(api.GetActiveTaskRequest(group=AGENT_GROUP), "http")
        except (TaskStateError, TimeoutError):
            return False
        return True
