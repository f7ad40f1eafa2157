"""Tells health what the background services wait for."""

from collections.abc import Awaitable, Callable, Sequence

from grpc_health.v1 import health

from services.runtime.serving import set_health


class Readiness:
    """Health of each background service under its own name, and of the process: ready when all of them are."""

    def __init__(self, servicer: health.aio.HealthServicer, names: Sequence[str]) -> None:
        self._servicer = servicer
        self._ready = dict.fromkeys(names, False)

    def reporter(self, name: str) -> Callable[[str], Awaitable[None]]:
        """What a loop calls with what its service waits for ("" for nothing)."""

        async def on_change(waiting_for: str) -> None:
            self._ready[name] = not waiting_for
            # One by one, as each call also sets the process's own health; the last of them says what is true for all.
            await set_health(self._servicer, (name,), serving=self._ready[name])
            await set_health(self._servicer, (), serving=all(self._ready.values()))

        return on_change

    async def stop(self) -> None:
        """Says that no work is taken on any more."""
        await set_health(self._servicer, tuple(self._ready), serving=False)
