"""WorkerService: the sessions a replica carries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from taskstate.v1 import worker_service_pb2 as service_pb
from taskstate.v1 import worker_service_pb2_grpc

from services.taskstate.api.errors import ApiError
from services.taskstate.api.session import Session
from services.taskstate.database import Database
from services.taskstate.feed import Feed
from services.taskstate.pipeline import Pipeline

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class WorkerServicer(worker_service_pb2_grpc.WorkerServiceServicer):
    """What supervisors speak; the contract stands in worker_service.proto."""

    pipeline: Pipeline
    database: Database
    feed: Feed
    replica_id: str
    heartbeat_interval_s: float
    sessions_max: int
    sessions: dict[str, Session] = field(default_factory=dict)

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
        session = Session(self.pipeline, self.database, self.feed, self.replica_id, self.heartbeat_interval_s, context)
        self.sessions[session.stream_id] = session
        try:
            await session.run(request_iterator)
        finally:
            del self.sessions[session.stream_id]
            who = session.holder.worker.worker_id if session.holder else "a caller without a hello"
            log.info("the session of %s ended", who, extra={"event": "session_closed", "stream_id": session.stream_id})

    async def drain(self) -> None:
        """Send all supervisors elsewhere."""
        sessions = list(self.sessions.values())
        told = await asyncio.gather(*(session.drain() for session in sessions), return_exceptions=True)
        for failure in told:
            if isinstance(failure, BaseException):
                # Its stream is ending anyway; the supervisor reconnects by itself.
                log.info("a supervisor could not be told to move: %r", failure, extra={"event": "drain_untold"})
