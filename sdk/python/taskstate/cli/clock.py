"""The service's clock, so that ages are true on a machine whose own clock is wrong.

Each checkpoint of a watch brings the database's time. Between two checkpoints the time is carried on by this machine's
monotonic clock, so that ages count on and never jump or turn negative.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ServerClock:
    """The service's time in seconds since 1970; this machine's until the first checkpoint was observed."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._offset_s = wall() - monotonic()
        self._stopped_at: float | None = None

    def observe(self, server_time_s: float) -> None:
        """Takes over the service's time, as of now."""
        self._offset_s = server_time_s - self._monotonic()

    def stop(self) -> None:
        """Holds the time while the service is not heard: what ran then is not known to run on."""
        if self._stopped_at is None:
            self._stopped_at = self._monotonic()

    def go_on(self) -> None:
        """Lets the time run again."""
        self._stopped_at = None

    def now(self) -> float:
        """The service's time; while stopped, that at which it was stopped."""
        return self._offset_s + (self._monotonic() if self._stopped_at is None else self._stopped_at)

    def stopped_s(self) -> float | None:
        """For how many seconds the time has been held; None while it runs."""
        return None if self._stopped_at is None else self._monotonic() - self._stopped_at
