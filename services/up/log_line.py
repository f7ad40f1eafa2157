"""Read one line of a part's output: our services write JSON records, the embedded servers write plain text."""

from __future__ import annotations

import json
from dataclasses import dataclass

_SHOWN_LEVELS = frozenset({"WARNING", "ERROR", "CRITICAL"})
_TEXT_CHARACTERS_MAX = 300


@dataclass(frozen=True)
class LogLine:
    """What matters of a line: its event word (JSON records only), and the text to show a person, if any."""

    event: str | None = None
    shown: str | None = None


def parse(line: str) -> LogLine:
    """Take a line apart. Plain lines are for the log file alone, except a PostgreSQL PANIC."""
    if not line.startswith("{"):
        return LogLine(shown=printable(line) if " PANIC: " in line else None)
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return LogLine()
    if not isinstance(record, dict):
        return LogLine()
    event, level = record.get("event"), record.get("level")
    is_shown = isinstance(level, str) and level in _SHOWN_LEVELS
    shown = printable(str(record.get("message", ""))) if is_shown else None
    return LogLine(event if isinstance(event, str) else None, shown)


def printable(text: str) -> str:
    """Make foreign text safe and short for a terminal: its first line, with control characters escaped."""
    first = text.strip().partition("\n")[0]
    safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in first)
    return safe if len(safe) <= _TEXT_CHARACTERS_MAX else safe[: _TEXT_CHARACTERS_MAX - 1] + "…"
