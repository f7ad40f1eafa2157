"""HTTP/1.1 below the application: limits that must hold before a request exists.

uvicorn's protocol has no limit on the head of a request, neither in size nor in time, and answers malformed ones in plain
text. This one bounds both, answers in the one shape of errors, and shows the connection to the application, so that a
stream's stalled reader can be dropped.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.gateway.errors import GatewayReason, error_body
from services.gateway.json_answer import encode_json

if TYPE_CHECKING:
    import asyncio

TRANSPORT_EXTENSION: Final = "taskstate.transport"
HEAD_BYTES_MAX: Final = 32 * 1024
HEADERS_MAX: Final = 100
LINGER_S: Final = 1.0


class BoundedHttpProtocol(HttpToolsProtocol):
    """See the module. The head's time is a class attribute, as uvicorn makes the instances."""

    head_timeout_s: ClassVar[float] = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = True
        self._refused = False
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection: small answers go out at once, and the head's time runs."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, as long as the head they belong to keeps its limits."""
        if self._refused:
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_timer is None:
                self._arm()
        super().data_received(data)
        # Checked after parsing: what was beyond the head is its body, which is bounded elsewhere.
        if self._in_head and self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(431, GatewayReason.HEAD_TOO_LARGE, f"the head is larger than {HEAD_BYTES_MAX} bytes")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = True
        self.scope["extensions"] = {TRANSPORT_EXTENSION: self.transport}  # type: ignore[dict-item]

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header line."""
        if len(self.headers) < HEADERS_MAX:
            super().on_header(name, value)
        elif not self._refused:
            self._refuse(431, GatewayReason.HEAD_TOO_LARGE, f"there are more than {HEADERS_MAX} headers")

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        self._disarm()
        self._in_head = False
        self._head_bytes = 0
        if not self._refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; bytes after it belong to the head of the next."""
        self._in_head = True
        if not self._refused:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        if not self._refused:
            self._refuse(400, GatewayReason.MALFORMED_REQUEST, msg)

    def _arm(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._head_is_late)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_bytes == 0:
            # A browser opens connections ahead; there is nothing to be answered on one that never spoke.
            self.transport.close()
        else:
            self._refuse(408, GatewayReason.REQUEST_TIMEOUT, f"the head took more than {self.head_timeout_s:g} s")

    def _refuse(self, status: int, reason: GatewayReason, message: str) -> None:
        self._refused = True
        self._disarm()
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started:
                # An answer is under way; to write into it would garble both.
                self.transport.close()
                return
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write(_refusal(status, reason, message))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        # Closed a little later: closed at once while the client still sends, its system would throw our answer away.
        self.loop.call_later(LINGER_S, self.transport.close)


def http_protocol(head_timeout_s: float) -> type[BoundedHttpProtocol]:
    """Answer the protocol class whose requests must have sent their head within a time."""
    return type("TimedHttpProtocol", (BoundedHttpProtocol,), {"head_timeout_s": head_timeout_s})


def _refusal(status: int, reason: GatewayReason, message: str) -> bytes:
    body = encode_json(error_body("INVALID_ARGUMENT", reason, message))
    head = b"content-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n"
    return b"%s%scontent-length: %d\r\n\r\n%s" % (STATUS_LINE[status], head, len(body), body)
