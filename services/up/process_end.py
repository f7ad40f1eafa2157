"""Learn of a child's end on the event loop, by pidfd: no thread, no polling, and the child is not reaped by it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable


def call_at_end(pid: int, callback: Callable[[], None]) -> None:
    """Call `callback` on the running loop once the child has ended. It is a zombie then: reap it in the callback."""
    loop = asyncio.get_running_loop()
    watch = os.pidfd_open(pid)

    def ended() -> None:
        loop.remove_reader(watch)
        os.close(watch)
        callback()

    loop.add_reader(watch, ended)


def end_of(pid: int) -> asyncio.Event:
    """Return an event that is set when the child has ended."""
    event = asyncio.Event()
    call_at_end(pid, event.set)
    return event
