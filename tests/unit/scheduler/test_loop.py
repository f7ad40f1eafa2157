"""The loop: pace, back-off, what it logs, what it tells health, how it stops."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.loop import BackOff, DependencyAwayError, Loop
from tests.support.waiting import await_until


@dataclass(frozen=True)
class Counts:
    done: int = 0
    failed: int = 0

    @property
    def found_work(self) -> bool:
        return self.done > 0


class Scripted:
    """Runs the given steps one after the other, then sets `stop` and answers nothing to do."""

    def __init__(self, *steps: Callable[[], Awaitable[Counts]]) -> None:
        self.steps = list(steps)
        self.runs = 0
        self.stop = asyncio.Event()

    async def run_once(self) -> Counts:
        self.runs += 1
        if not self.steps:
            self.stop.set()
            return Counts()
        return await self.steps.pop(0)()


def answers(counts: Counts) -> Callable[[], Awaitable[Counts]]:
    async def step() -> Counts:
        return counts

    return step


def raises(error: Exception) -> Callable[[], Awaitable[Counts]]:
    async def step() -> Counts:
        raise error

    return step


def loop_of(service: Scripted, changes: list[str] | None = None, stop_grace_s: float = 5.0) -> Loop:
    async def on_change(waiting_for: str) -> None:
        if changes is not None:
            changes.append(waiting_for)

    return Loop(
        "sample",
        service,
        interval_s=0.001,
        stop_grace_s=stop_grace_s,
        on_change=on_change,
        back_off=BackOff(initial_s=0.001, limit_s=0.002),
    )


def events(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.__dict__.get("event") == event]


async def test_logs_a_run_only_if_it_did_something(caplog):
    caplog.set_level(logging.INFO)
    service = Scripted(answers(Counts(done=2)), answers(Counts()), answers(Counts(failed=1)))
    await loop_of(service).run(service.stop)
    assert [record.getMessage() for record in events(caplog, "sample")] == ["sample: 2 done", "sample: 1 failed"]
    assert events(caplog, "sample")[0].__dict__["done"] == 2


async def test_names_what_it_waits_for_once_per_change(caplog):
    caplog.set_level(logging.INFO)
    redis, taskstate = DependencyAwayError("Redis", "refused"), DependencyAwayError("TaskState", "UNAVAILABLE")
    changes: list[str] = []
    steps = [raises(redis)] * 5 + [raises(taskstate)] * 5 + [answers(Counts(done=1))] * 2 + [raises(redis)]
    service = Scripted(*steps)
    loop = loop_of(service, changes)
    await loop.run(service.stop)
    waited = [record.__dict__["waiting_for"] for record in events(caplog, "waiting")]
    assert waited == ["Redis", "TaskState", "Redis"]
    assert "sample waits for Redis: refused" in caplog.text
    assert len(events(caplog, "ready")) == 2
    assert changes == ["Redis", "TaskState", "", "Redis", ""]
    assert loop.waiting_for == ""


async def test_is_not_ready_before_the_first_run_has_succeeded():
    service = Scripted()
    changes: list[str] = []
    loop = loop_of(service, changes)
    assert loop.waiting_for == "first run"
    await loop.run(service.stop)
    assert changes == [""]


async def test_a_fault_is_logged_with_its_traceback_and_the_loop_goes_on(caplog):
    service = Scripted(raises(ZeroDivisionError("scripted")), answers(Counts(done=1)))
    changes: list[str] = []
    await loop_of(service, changes).run(service.stop)
    (record,) = events(caplog, "run_failed")
    assert record.exc_info is not None
    assert changes == ["recovery", ""]
    assert service.runs == 3


async def test_stop_cancels_a_run_that_waits():
    entered = asyncio.Event()
    cancelled = asyncio.Event()

    async def wait_for_ever() -> Counts:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Counts()

    service = Scripted(wait_for_ever)
    running = asyncio.create_task(loop_of(service).run(service.stop))
    await entered.wait()
    service.stop.set()
    await running
    assert cancelled.is_set()


async def test_stop_gives_a_run_its_grace_and_no_more(caplog):
    entered, let_go = asyncio.Event(), asyncio.Event()

    async def stubborn() -> Counts:
        entered.set()
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        return Counts()

    service = Scripted(stubborn)
    running = asyncio.create_task(loop_of(service, stop_grace_s=0.01).run(service.stop))
    await entered.wait()
    service.stop.set()
    await running
    assert len(events(caplog, "stop_grace_passed")) == 1
    let_go.set()
    await await_until(lambda: not [t for t in asyncio.all_tasks() if t.get_name() == "sample.run_once"])


async def test_stop_ends_a_pause():
    service = Scripted(answers(Counts()))
    loop = Loop("sample", service, interval_s=3600, stop_grace_s=1)
    running = asyncio.create_task(loop.run(service.stop))
    await await_until(lambda: loop.waiting_for == "")
    service.stop.set()
    await asyncio.wait_for(running, 1)
    assert service.runs == 1


async def test_work_is_followed_at_once_and_anything_else_at_the_interval():
    service = Scripted(*[answers(Counts(done=1))] * 3, answers(Counts(failed=1)))
    loop = Loop("sample", service, interval_s=3600, stop_grace_s=1)
    running = asyncio.create_task(loop.run(service.stop))
    await await_until(lambda: service.runs == 4)
    service.stop.set()
    await asyncio.wait_for(running, 1)
    assert service.runs == 4


@given(failures=st.integers(min_value=1, max_value=10**9), share=st.floats(min_value=0, max_value=1, exclude_max=True))
def test_back_off_grows_to_its_limit_and_is_spread(failures, share):
    back_off = BackOff(initial_s=0.1, limit_s=2.0)
    full = min(2.0, 0.1 * 2 ** min(failures - 1, 30))
    assert full / 2 <= back_off.delay_s(failures, share) <= full
