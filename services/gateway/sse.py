"""Server-sent events as bytes.

An event is some `name: value` lines and an empty line. A line ends at CR, LF or both, so that data must hold neither: JSON
never needs a raw one, as in its strings they are escaped. Only what a client may resume from carries an `id`.
"""

from __future__ import annotations

from typing import Any, Final

from services.gateway.json_answer import encode_json

HEARTBEAT: Final = b": heartbeat\n\n"
UPSTREAM_LOST: Final = b": upstream lost\n\n"
UPSTREAM_BACK: Final = b": upstream back\n\n"
# How long an EventSource waits before it connects again, in milliseconds.
HELLO: Final = b"retry: 1000\n\n"


def sse_event(name: str, data: Any, cursor: int | None = None) -> bytes:
    """Write one event; with a cursor it gets an `id` to resume from."""
    head = f"event: {name}\n" if cursor is None else f"event: {name}\nid: {cursor}\n"
    return b"%sdata: %s\n\n" % (head.encode("ascii"), encode_json(data))


def reset_event(reason: str) -> bytes:
    """Tell a client that its cursor leads nowhere, and that a snapshot follows."""
    return sse_event("reset", {"reason": reason})
