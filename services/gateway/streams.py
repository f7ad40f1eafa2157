"""The open streams of this process: how many there are, how many there may be, and their end."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from services.gateway.errors import GatewayReason, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.gateway.metrics import Metrics


class Streams:
    """Counts streams and ends them all when the process stops. Times in seconds."""

    def __init__(self, metrics: Metrics, *, streams_max: int, write_timeout_s: float, heartbeat_s: float) -> None:
        self.stopping = asyncio.Event()
        self.write_timeout_s = write_timeout_s
        self.heartbeat_s = heartbeat_s
        self._metrics = metrics
        self._max = streams_max
        self._open = 0

    def check_room(self) -> None:
        """Raise RefusedError: 429 when as many streams are open as may be, 503 when the process stops."""
        if self.stopping.is_set():
            raise RefusedError(503, "UNAVAILABLE", GatewayReason.SHUTTING_DOWN, "This gateway is shutting down.")
        if self._open >= self._max:
            raise RefusedError(
                429,
                "RESOURCE_EXHAUSTED",
                GatewayReason.LIMIT_EXCEEDED,
                f"This gateway has {self._max} streams open, which is its limit.",
                headers={"Retry-After": "5"},
            )

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count one stream while it is open."""
        self._open += 1
        self._metrics.streams_open.set(self._open)
        try:
            yield
        finally:
            self._open -= 1
            self._metrics.streams_open.set(self._open)

    def count_stalled(self) -> None:
        """Count a reader that was cut off."""
        self._metrics.streams_stalled.inc()
