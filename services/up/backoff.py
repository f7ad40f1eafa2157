"""How long to wait before a part that died is started again. Pure: time comes in as an argument."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_DELAY_S = 0.2
DELAY_S_MAX = 5.0
# A part that lived this long has recovered: its next death is a new story.
STEADY_AFTER_S = 10.0


@dataclass
class Backoff:
    """0.2 s, doubled at each death up to 5 s; a life of 10 s or more sets it back."""

    _next_s: float = field(default=FIRST_DELAY_S)

    def delay_s(self, lived_s: float) -> float:
        """Return the wait before the next start, given how long the part has just lived."""
        if lived_s >= STEADY_AFTER_S:
            self._next_s = FIRST_DELAY_S
        delay = self._next_s
        self._next_s = min(DELAY_S_MAX, delay * 2)
        return delay
