"""Outages: what the service itself stands on goes away and comes back, and nobody's work is called lost for it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

from taskstate.v1 import task_pb2 as pb

from tests.drills.stack import Stack, eventually
from tests.drills.watcher import DrillWatcher
from tests.support.waiting import wait_until

TASKS = 2


def through(stack: Stack, seconds: float, harm: Callable[[], None]) -> int:
    """Run tasks of `seconds` through a harm: all finish as attempt 1, a watcher misses nothing. Answers what it saw."""
    with stack.client() as client, DrillWatcher(stack.targets) as watcher:
        payload = {"seconds": seconds, "steps": int(seconds * 10)}
        tasks = [eventually(lambda: client.create("canary", payload)).task_id for _ in range(TASKS)]
        wait_until(lambda: all(client.get(task_id).progress.done > 0 for task_id in tasks), 60, what="first progress")
        harm()
        for task_id in tasks:
            ended = eventually(lambda task_id=task_id: client.wait(task_id, timeout=seconds + 120), 120)  # type: ignore[misc]
            assert ended.state == pb.TASK_STATE_SUCCEEDED, ended
            assert ended.attempt == 1, ended
            # The exit is the last word of its audit trail; a trail read before it would be compared too early.
            wait_until(lambda task_id=task_id: eventually(lambda: client.get(task_id)).gone, 30, what="the exit")  # type: ignore[misc]
        return watcher.check(client, tasks)


def kill_taskstate_twice(stack: Stack, seconds: float) -> int:
    """kill -9 of every replica, one after the other, and a start on the same port."""

    def harm() -> None:
        for index in range(len(stack.replicas)):
            stack.replicas[index].kill()
            stack.start_replica(index)
            stack.replicas[index].wait_for_event("ready")

    return through(stack, seconds, harm)


def stop_taskstate(stack: Stack, seconds: float) -> int:
    """SIGTERM to one replica, as a rollout does: its supervisors move, and nothing is suspect."""

    def harm() -> None:
        stack.replicas[0].stop()
        stack.start_replica(0)
        stack.replicas[0].wait_for_event("ready")

    return through(stack, seconds, harm)


def postgres_away(stack: Stack, away_s: float, seconds: float) -> int:
    """PostgreSQL ends as in a crash, stays away, and comes back."""

    def harm() -> None:
        stack.postgres.stop(signal.SIGQUIT)
        threading.Event().wait(away_s)
        stack.postgres.start()

    return through(stack, seconds, harm)


def redis_away(stack: Stack, away_s: float, seconds: float) -> int:
    """Redis is killed and comes back: running tasks do not notice, and one created meanwhile runs afterwards."""
    created: list[str] = []

    def harm() -> None:
        stack.redis.stop(signal.SIGKILL)
        with stack.client() as client:
            created.append(client.create("canary", {"seconds": 0, "steps": 1}).task_id)
            threading.Event().wait(away_s)
            assert client.get(created[0]).state in (pb.TASK_STATE_PENDING, pb.TASK_STATE_QUEUED)
        stack.redis.start()

    seen = through(stack, seconds, harm)
    with stack.client() as client:
        began = time.monotonic()
        ended = client.wait(created[0], timeout=60)
        assert ended.state == pb.TASK_STATE_SUCCEEDED, (ended, time.monotonic() - began)
    return seen
