"""The HTTP side of one stream: headers, heartbeats, the reader's leaving, and its limits.

The answer's head is sent with the first bytes, or after a second: until then a refusal can still be an ordinary error.
A reader that takes nothing for the stated time is cut off, as its connection would hold memory for ever.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response
from taskstate.errors import TaskStateError

from services.gateway import sse
from services.gateway.errors import GatewayReason, RefusedError, refused_answer, upstream_answer
from services.gateway.http_protocol import TRANSPORT_EXTENSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from services.gateway.stream_session import StreamSession
    from services.gateway.streams import Streams

log = logging.getLogger(__name__)

FIRST_HEARTBEAT_S: Final = 1.0
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # Proxies like nginx would hold events back to fill their buffers.
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


class ReaderStalledError(Exception):
    """The reader took nothing for too long."""


class StreamResponse(Response):
    """An ASGI answer that runs a session until the reader leaves, stalls, or the process stops."""

    def __init__(self, make_session: Callable[[StreamResponse], StreamSession], streams: Streams) -> None:
        self._make_session = make_session
        self._streams = streams
        self._writing = asyncio.Lock()
        self._started = False
        self._send: Send | None = None
        # Response's own constructor would render a body and state its length; a stream has neither.
        self.status_code = 200
        self.body = b""
        self.background = None
        self.raw_headers = list(_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        self._send = send
        session = asyncio.create_task(self._make_session(self).run(), name="stream-session")
        others = [
            asyncio.create_task(self._heartbeats(), name="stream-heartbeats"),
            asyncio.create_task(_until_disconnected(receive), name="stream-disconnect"),
            asyncio.create_task(self._streams.stopping.wait(), name="stream-stop"),
        ]
        tasks = [session, *others]
        with self._streams.counted():
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
        await self._end(scope, receive, results)

    async def write(self, data: bytes) -> None:
        """Write some bytes; the head goes before the first. Raises ReaderStalledError."""
        async with self._writing:
            await self._start()
            await self._send_bounded({"type": "http.response.body", "body": data, "more_body": True})

    async def _start(self) -> None:
        if not self._started:
            self._started = True
            await self._send_bounded({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send_bounded({"type": "http.response.body", "body": sse.HELLO, "more_body": True})

    async def _send_bounded(self, message: dict[str, Any]) -> None:
        assert self._send is not None, "written before the answer began"  # noqa: S101
        try:
            async with asyncio.timeout(self._streams.write_timeout_s):
                await self._send(message)
        except TimeoutError:
            raise ReaderStalledError from None

    async def _heartbeats(self) -> None:
        await asyncio.sleep(FIRST_HEARTBEAT_S)
        while True:
            # The first one sends the head, if nothing was there to be told until now.
            await self.write(sse.HEARTBEAT)
            await asyncio.sleep(self._streams.heartbeat_s)

    async def _end(self, scope: Scope, receive: Receive, results: list[Any]) -> None:
        faults = [fault for fault in results if isinstance(fault, Exception)]
        stalled = any(isinstance(fault, ReaderStalledError) for fault in faults)
        if stalled:
            self._streams.count_stalled()
            log.info("a stream's reader took nothing and was cut off", extra={"event": "stream_stalled"})
            _abort(scope)
            return
        for fault in faults:
            if isinstance(fault, TaskStateError) and not self._started:
                assert self._send is not None  # noqa: S101
                await upstream_answer(fault)(scope, receive, self._send)
                return
            log.error("a stream failed", exc_info=fault, extra={"event": "stream_failed"})
        if self._started:
            # A proper end, after which an EventSource connects again and resumes.
            await self._send_bounded({"type": "http.response.body", "body": b"", "more_body": False})
        elif self._send is not None:
            refusal = RefusedError(503, "UNAVAILABLE", GatewayReason.SHUTTING_DOWN, "This gateway is shutting down.")
            await refused_answer(refusal)(scope, receive, self._send)


async def _until_disconnected(receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return


def _abort(scope: Scope) -> None:
    """Drop the connection with what is still buffered: a mere close would wait for the reader to take it."""
    transport = scope.get("extensions", {}).get(TRANSPORT_EXTENSION)
    if transport is not None:
        transport.abort()
