"""The one loop: runs a background service again and again until it is told to stop.

A run that found work is followed at once by the next. A run that found none is followed by the next when ``interval_s``
has passed since it began, so a service that long-polls needs no timer of its own and one that polls has its pace here.
After a failed run the loop backs off with jitter, so that many schedulers do not come back in step.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from random import SystemRandom
from typing import TYPE_CHECKING, Protocol, cast

from opentelemetry import trace

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

log = logging.getLogger(__name__)
tracer = trace.get_tracer(__name__)


class DependencyAwayError(Exception):
    """Something the service needs does not answer. Not a fault of ours: it is waited for, and named once in the log."""

    def __init__(self, dependency: str, detail: str) -> None:
        super().__init__(f"{dependency}: {detail}")
        self.dependency = dependency
        self.detail = detail


class RunResult(Protocol):
    """What one run did: a dataclass of counts, all zero if there was nothing to do."""

    @property
    def found_work(self) -> bool:
        """Whether there may be more of it, so that the next run should follow at once."""


class BackgroundService(Protocol):
    """What the loop runs: one bounded piece of work at a time."""

    async def run_once(self) -> RunResult:
        """Does what is due.

        May be cancelled at any await that loses nothing; what must not be torn apart it finishes first. Raises
        DependencyAwayError when something it needs does not answer.
        """


@dataclass(frozen=True, kw_only=True)
class BackOff:
    """How long to wait after failed runs, in seconds."""

    initial_s: float = 0.1
    limit_s: float = 2.0

    def delay_s(self, failures: int, share: float) -> float:
        """The pause after that many failed runs in a row (from 1); ``share`` in [0, 1) chooses from its upper half."""
        # The exponent is bounded before the power is taken: an outage of days must not overflow a float.
        full = min(self.limit_s, self.initial_s * 2.0 ** min(failures - 1, 30))
        return full * (0.5 + share / 2)


class Loop:
    """Runs one background service.

    ``waiting_for`` names what the service lacks ("" for nothing, "first run" until it has once succeeded);
    ``on_change`` is awaited with it each time it changes, for the health service.
    """

    def __init__(
        self,
        name: str,
        service: BackgroundService,
        *,
        interval_s: float,
        stop_grace_s: float,
        on_change: Callable[[str], Awaitable[None]] | None = None,
        back_off: BackOff | None = None,
    ) -> None:
        self.name = name
        self.waiting_for = "first run"
        self._service = service
        self._interval_s = interval_s
        self._stop_grace_s = stop_grace_s
        self._on_change = on_change
        self._back_off = back_off or BackOff()
        self._random = SystemRandom()
        self._failures = 0
        self._waiting_since_s = time.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        """Runs the service until ``stop`` is set, then gives a run that has begun its grace. Never raises for a run."""
        stopped = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                run = asyncio.create_task(self._run_once(), name=f"{self.name}.run_once")
                await asyncio.wait([run, stopped], return_when=asyncio.FIRST_COMPLETED)
                if not run.done():
                    await self._end(run)
                    return
                await asyncio.wait([stopped], timeout=run.result())
        finally:
            stopped.cancel()

    async def _run_once(self) -> float:
        """One run; answers how long to pause after it, in seconds."""
        began_s = time.monotonic()
        with tracer.start_as_current_span(f"{self.name}.run_once"):
            try:
                result = await self._service.run_once()
            except DependencyAwayError as away:
                await self._wait_for(away.dependency, away.detail)
                return self._pause_after_failure_s()
            except (
                Exception
            ):  # A fault in one run must not end the scheduler: it is logged, and the next run may succeed.
                log.exception("a run of %s failed", self.name, extra={"event": "run_failed", "background": self.name})
                await self._set_waiting_for("recovery")
                return self._pause_after_failure_s()
            await self._has_all()
            counts = asdict(cast("DataclassInstance", result))
            if any(counts.values()):
                text = ", ".join(f"{count} {key}" for key, count in counts.items() if count)
                log.info("%s: %s", self.name, text, extra={"event": self.name, **counts})
            return 0.0 if result.found_work else max(0.0, began_s + self._interval_s - time.monotonic())

    async def _end(self, run: "asyncio.Task[float]") -> None:
        run.cancel()
        _, late = await asyncio.wait([run], timeout=self._stop_grace_s)
        if late:
            log.error(
                "a run of %s did not end within %.1f s of grace",
                self.name,
                self._stop_grace_s,
                extra={"event": "stop_grace_passed", "background": self.name},
            )

    def _pause_after_failure_s(self) -> float:
        self._failures += 1
        return self._back_off.delay_s(self._failures, self._random.random())

    async def _wait_for(self, dependency: str, detail: str) -> None:
        if self.waiting_for != dependency:
            log.warning(
                "%s waits for %s: %s",
                self.name,
                dependency,
                detail,
                extra={"event": "waiting", "background": self.name, "waiting_for": dependency},
            )
        await self._set_waiting_for(dependency)

    async def _has_all(self) -> None:
        if self.waiting_for:
            log.info(
                "%s has all it needs after %.1f s",
                self.name,
                time.monotonic() - self._waiting_since_s,
                extra={"event": "ready", "background": self.name, "waited_for": self.waiting_for},
            )
        self._failures = 0
        await self._set_waiting_for("")

    async def _set_waiting_for(self, waiting_for: str) -> None:
        if waiting_for == self.waiting_for:
            return
        if not self.waiting_for:
            self._waiting_since_s = time.monotonic()
        self.waiting_for = waiting_for
        if self._on_change is not None:
            await self._on_change(waiting_for)
