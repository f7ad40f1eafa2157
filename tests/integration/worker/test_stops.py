"""How attempts are stopped from outside: by order, and by their limits."""

from __future__ import annotations

import signal

import pytest
from taskstate.worker.stopping import LIMIT_TERM_GRACE_S

from tests.integration.worker.conftest import Stage
from tests.integration.worker.fake_taskstate import FakeTask
from tests.support.kernel import has_ended
from tests.support.waiting import await_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = {"seconds": 60, "steps": 600}


@pytest.fixture
def stage(shared_stage: Stage) -> Stage:
    """One supervisor for all: what one test leaves must not disturb the next."""
    return shared_stage


async def hanging(stage: Stage, task: FakeTask) -> FakeTask:
    """Wait until the task holds the interpreter lock: it says so a moment before it takes it, for 0.2 s."""
    await stage.fake.running(task)
    await await_until(lambda: stage.fake.age_of(task) > 0.4)
    return task


# --- Orders.


@pytest.mark.parametrize("mode", ["sleep", "spin", "stall"])
async def test_a_task_that_is_cancelled_ends_by_itself(stage: Stage, mode: str) -> None:
    task = stage.canary(mode=mode, **LONG)
    await await_until(lambda: task.log_texts)
    stage.fake.cancel(task)
    stage.fake.cancel(task)
    await stage.fake.ended(task)
    [finish] = task.bodies("finish")
    assert (finish.error.type, finish.final) == ("taskstate.TaskCancelled", True)
    assert finish.error.message == "the task was asked to stop"
    assert task.stages == ["DELIVERED"]
    assert task.order.index("cancel_receipt") < task.order.index("finish") == len(task.order) - 2
    assert (task.cause, task.bodies("exited")[0].exit.exit_code) == ("UNSPECIFIED", 0)


async def test_a_task_that_catches_the_cancel_and_returns_has_finished(stage: Stage) -> None:
    task = await stage.fake.running(stage.create("odd.stubborn"))
    stage.fake.cancel(task)
    await stage.fake.ended(task)
    assert task.bodies("finish")[0].result == '"stopped: True"'


async def test_a_task_that_goes_on_is_sent_term(stage: Stage) -> None:
    task = await stage.fake.running(stage.create("odd.stubborn", goes_on=True))
    stage.fake.cancel(task, message_grace=0.3)
    await stage.fake.ended(task)
    assert task.stages == ["DELIVERED", "SIGNALLED"]
    assert (task.cause, task.bodies("exited")[0].exit.signal) == ("ORDERED", signal.SIGTERM)
    assert task.bodies("finish") == []


async def test_a_task_that_ignores_term_is_killed(stage: Stage) -> None:
    task = await stage.fake.running(stage.create("odd.stubborn", goes_on=True, deaf_to_term=True))
    stage.fake.cancel(task, message_grace=0.2, term_grace=0.4)
    await stage.fake.ended(task)
    assert task.stages == ["DELIVERED", "SIGNALLED"]
    assert (task.cause, task.bodies("exited")[0].exit.signal) == ("ORDERED", signal.SIGKILL)
    assert task.bodies("progress")[-1].done == 2


async def test_a_task_that_holds_the_interpreter_lock_is_never_told(stage: Stage) -> None:
    task = await hanging(stage, stage.canary(mode="hang_c", **LONG))
    stage.fake.cancel(task, message_grace=0.3)
    await stage.fake.ended(task)
    assert task.stages == ["SIGNALLED"]
    assert task.bodies("exited")[0].exit.signal == signal.SIGTERM


@pytest.mark.parametrize("mode", ["spin", "hang_c"])
async def test_a_kill_order_ends_the_process(stage: Stage, mode: str) -> None:
    task = await stage.fake.running(stage.canary(mode=mode, **LONG))
    stage.fake.kill(task)
    stage.fake.kill(task)
    await stage.fake.ended(task, timeout=5)
    assert task.stages == ["SIGNALLED"]
    assert (task.cause, task.bodies("exited")[0].exit.signal) == ("ORDERED", signal.SIGTERM)


async def test_a_kill_order_ends_all_that_the_task_started(stage: Stage) -> None:
    task = stage.canary(mode="children", **LONG)
    children = await stage.children_of(task)
    assert not any(map(has_ended, children))
    stage.fake.kill(task, term_grace=0)
    await stage.fake.ended(task, timeout=5)
    assert task.bodies("exited")[0].exit.signal == signal.SIGKILL
    # Gone with the report of the exit, the one in its own session too.
    assert all(map(has_ended, children))


async def test_a_stronger_order_wins(stage: Stage) -> None:
    task = await hanging(stage, stage.canary(mode="hang_c", **LONG))
    stage.fake.cancel(task)
    stage.fake.kill(task, term_grace=0)
    await stage.fake.ended(task, timeout=4)
    assert task.bodies("exited")[0].exit.signal == signal.SIGKILL


async def test_an_order_outlasts_the_stream_it_came_on(stage: Stage) -> None:
    task = await stage.fake.running(stage.create("odd.stubborn", goes_on=True))
    streams = len(stage.fake.streams)
    stage.fake.cancel(task, message_grace=1)
    await await_until(lambda: task.stages == ["DELIVERED"])
    stage.fake.break_streams()
    await await_until(lambda: len(stage.fake.streams) > streams and stage.fake.live[-1].resumed == [task.task_id])
    # As TaskState does for an attempt that is resumed.
    stage.fake.cancel(task, message_grace=30)
    await stage.fake.ended(task, timeout=5)
    assert task.stages == ["DELIVERED", "SIGNALLED"]
    assert task.bodies("exited")[0].exit.signal == signal.SIGTERM


async def test_an_order_about_an_attempt_that_has_gone_is_harmless(stage: Stage) -> None:
    task = await stage.fake.ended(stage.canary())
    stage.fake.cancel(task)
    stage.fake.kill(task)
    await stage.fake.ended(stage.canary())
    assert task.stages == []


# --- Limits.


@pytest.mark.parametrize("mode", ["sleep", "hang_c"])
async def test_an_attempt_that_runs_too_long_is_ended(stage: Stage, mode: str) -> None:
    task = stage.enqueue(FakeTask("canary", {"mode": mode, **LONG}, timeout_s=0.5))
    await stage.fake.ended(task, timeout=0.5 + LIMIT_TERM_GRACE_S + 2)
    assert (task.cause, task.bodies("exited")[0].exit.signal) == ("TIMEOUT", signal.SIGTERM)
    assert task.stages == []


@pytest.mark.parametrize("mode", ["stall", "hang_c"])
async def test_an_attempt_without_progress_is_ended(stage: Stage, mode: str) -> None:
    task = stage.enqueue(FakeTask("canary", {"mode": mode, **LONG}, stall_timeout_s=0.5))
    await stage.fake.ended(task)
    assert (task.cause, task.bodies("exited")[0].exit.signal) == ("STALLED", signal.SIGTERM)


async def test_an_attempt_with_progress_does_not_stall(stage: Stage) -> None:
    task = stage.enqueue(FakeTask("canary", {"seconds": 1.5, "steps": 15}, stall_timeout_s=0.5))
    await stage.fake.ended(task)
    assert (task.cause, len(task.bodies("finish"))) == ("UNSPECIFIED", 1)
