"""Decisions about time that concern streams and not tasks: pure, with the time as an argument."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

STORM_WINDOW_S = 2.0
STORM_LEAST = 4
STORM_SHARE = 0.25


@dataclass(slots=True)
class StormBrake(Generic[T]):
    """Tells mass loss of connections from deaths.

    A load balancer's reset breaks many streams at once, and their workers live. If at least 4 and more than a quarter of a
    replica's streams break within 2 s, it is a storm: all of them get the whole lease to come back.
    """

    _times: deque[float] = field(default_factory=deque)
    _not_spared: deque[tuple[float, T]] = field(default_factory=deque)

    def broke(self, stream: T, open_still: int, now_s: float) -> list[T]:
        """Note one broken stream; answers the streams that a storm spares now, each once: empty without a storm."""
        self._times.append(now_s)
        self._not_spared.append((now_s, stream))
        while self._times[0] < now_s - STORM_WINDOW_S:
            self._times.popleft()
        while self._not_spared[0][0] < now_s - STORM_WINDOW_S:
            self._not_spared.popleft()
        count = len(self._times)
        if count < STORM_LEAST or count <= STORM_SHARE * (open_still + count):
            return []
        spared = [broken for _, broken in self._not_spared]
        self._not_spared.clear()
        return spared
