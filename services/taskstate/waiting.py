"""Waiting for something, but not for ever."""

from __future__ import annotations

import asyncio


async def wait_at_most(event: asyncio.Event, timeout_s: float) -> None:
    """Wait until the event is set, or until the time has passed; which of the two, the caller sees for itself."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
