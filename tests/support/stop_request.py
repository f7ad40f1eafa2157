"""A program for tests: what `up` does about signals, without a stack. Writes "waiting", and "stopped" when it is asked."""

from __future__ import annotations

import asyncio

from services.up.__main__ import StopRequest


async def main() -> None:
    """Wait for a stop request, as `up --stop-with-make` does."""
    stop = StopRequest(asyncio.Event())
    following = asyncio.create_task(stop.follow_make())
    print("waiting", flush=True)
    await stop.event.wait()
    following.cancel()
    print("stopped", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
