"""Deaths with short settings, on the real TaskState, scheduler and workers; see tests/drills for the drills themselves."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from taskstate.client import TaskStateClient
from taskstate.v1 import task_pb2 as pb

from tests.drills import deaths, outages
from tests.drills.stack import Stack, descendants, is_gone
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e


def running(client: TaskStateClient, seconds: float = 60, **fields: Any) -> pb.Task:
    """A canary that runs and has reported progress."""
    task = client.create("canary", {"seconds": seconds, "steps": max(10, int(seconds * 10))}, **fields)
    return wait_until(lambda: (now := client.get(task.task_id)).progress.done > 0 and now, 30, what="progress")


def late_reports(stack: Stack, task_id: str) -> dict[str, Any]:
    """What came from the task's attempt after it was over: each kind of message, with its kept words."""
    with closing(psycopg2.connect(stack.env["TASKSTATE_DATABASE_URL"])) as connection, connection.cursor() as cursor:
        cursor.execute("select kind, body from late_report where task_id = %s", (task_id,))
        return dict(cursor.fetchall())


def test_a_killed_work_horse_five_times(stack: Stack) -> None:
    assert max(deaths.kill_work_horse(stack, 5)) <= 4


def test_a_second_attempt_after_the_first_has_gone(stack: Stack) -> None:
    deaths.retry_after_loss(stack)


def test_a_killed_worker_tree(stack: Stack) -> None:
    assert deaths.kill_worker_tree(stack, stack.workers[-1]) <= 4
    stack.start_worker("default=4")
    stack.wait_ready()


def test_a_frozen_worker_and_what_it_says_too_late(stack: Stack) -> None:
    """The host freezes, but for one work-horse, which finishes meanwhile: both are lost, and its finish is kept."""
    worker = stack.workers[-1]
    with stack.client() as client:
        frozen, finishing = running(client), running(client, seconds=1.5)
        tree = [pid for pid in descendants(worker.pid) if pid != finishing.worker.horse_pid]
        for pid in tree:
            os.kill(pid, signal.SIGSTOP)
        try:
            lost = [client.wait(task.task_id, timeout=15) for task in (frozen, finishing)]
        finally:
            for pid in reversed(tree):
                os.kill(pid, signal.SIGCONT)
        assert [(task.state, task.reason) for task in lost] == [(pb.TASK_STATE_LOST, pb.TASK_REASON_WORKER_LOST)] * 2, (
            lost
        )

        horses = [task.worker.horse_pid for task in (frozen, finishing)]
        wait_until(lambda: all(map(is_gone, horses)), 10, what="the end of the fenced work-horses")
        kept = wait_until(lambda: (kept := late_reports(stack, finishing.task_id)).get("finish") and kept)
        assert '"mode":"sleep"' in kept["finish"]["result"].replace(" ", "")
        wait_until(lambda: late_reports(stack, frozen.task_id), what="what the frozen attempt said too late")
        # The worker lives on, and nothing came back to life.
        stack.wait_ready()
        assert [client.get(task.task_id).state for task in (frozen, finishing)] == [pb.TASK_STATE_LOST] * 2


def test_neither_a_held_interpreter_lock_nor_a_busy_loop_is_death(stack: Stack) -> None:
    deaths.hold_the_lock(stack, 3)


def test_taskstate_killed_twice_under_running_tasks(stack: Stack) -> None:
    def harm() -> None:
        for _ in range(2):
            stack.replicas[0].kill()
            stack.start_replica(0)
            stack.replicas[0].wait_for_event("ready")

    assert outages.through(stack, 4, harm) >= 8


@pytest.mark.parametrize("may_be_tried_again", [False, True])
def test_a_drained_worker(stack: Stack, may_be_tried_again: bool) -> None:
    """Beyond the grace: lost, or tried again at once by another worker, without counting against its attempts."""
    queue = f"drained-{may_be_tried_again}".lower()
    worker = stack.start_worker(queue)
    with stack.client() as client:
        fields = {"retry_on_loss": True, "max_attempts": 2} if may_be_tried_again else {}
        task = running(client, seconds=2.5, queue=queue, **fields)
        assert worker.stop() == 0
        stack.workers.remove(worker)
        if may_be_tried_again:
            stack.start_worker(queue)
            ended = client.wait(task.task_id, timeout=30)
            assert (ended.state, ended.attempt) == (pb.TASK_STATE_SUCCEEDED, 2), ended
        else:
            ended = client.wait(task.task_id, timeout=5)
            assert (ended.state, ended.reason) == (pb.TASK_STATE_LOST, pb.TASK_REASON_WORKER_DRAINED), ended
            assert ended.exit.signal == signal.SIGKILL
