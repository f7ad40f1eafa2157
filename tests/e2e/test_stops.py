"""Stops with short settings, on the real TaskState, scheduler and workers: asked, forced, and by a task's own limits."""

from __future__ import annotations

import signal

import pytest
from taskstate.v1 import task_pb2 as pb

from tests.drills import deaths
from tests.drills.stack import Stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e


def test_a_task_that_sleeps_hears_a_cancel(stack: Stack) -> None:
    assert deaths.cancel(stack) <= 3


@pytest.mark.parametrize("mode", ["spin", "hang_c", "children"])
def test_a_forced_cancel_leaves_no_process(stack: Stack, mode: str) -> None:
    assert deaths.force_cancel(stack, mode) <= 5


def test_a_task_that_runs_too_long(stack: Stack) -> None:
    with stack.client() as client:
        task = client.create("canary", {"seconds": 60, "mode": "hang_c"}, timeout=0.5)
        ended = client.wait(task.task_id, timeout=10)
        assert (ended.state, ended.reason) == (pb.TASK_STATE_FAILED, pb.TASK_REASON_TIMEOUT), ended
        assert ended.exit.signal == signal.SIGTERM


def test_a_task_that_makes_no_progress_is_tried_again(stack: Stack) -> None:
    with stack.client() as client:
        task = client.create("canary", {"seconds": 60, "mode": "stall"}, stall_timeout=0.5, max_attempts=2)
        ended = client.wait(task.task_id, timeout=15)
        assert (ended.state, ended.reason) == (pb.TASK_STATE_FAILED, pb.TASK_REASON_STALLED), ended
        assert ended.attempt == 2


def test_a_group_waits_until_a_forced_task_has_gone(stack: Stack) -> None:
    with stack.client() as client:
        first = client.create("canary", {"seconds": 60, "mode": "hang_c"}, group="one-at-a-time")
        wait_until(lambda: client.get(first.task_id).state == pb.TASK_STATE_RUNNING, 10)
        second = client.create("canary", {"seconds": 0, "steps": 1}, group="one-at-a-time")
        client.cancel(first.task_id, force=True)
        ended = client.wait(second.task_id, timeout=15)
        gone = client.get(first.task_id).cancel.exit_time
        assert gone.ToNanoseconds() > 0
        assert ended.start_time.ToNanoseconds() >= gone.ToNanoseconds()
