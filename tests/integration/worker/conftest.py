"""A fake TaskState and a real supervisor on a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.integration.worker.fake_taskstate import FakeTask, FakeTaskState
from tests.support.processes import Process, ProcessStarter
from tests.support.waiting import await_until

SupervisorStarter = Callable[..., Process]


@pytest.fixture
async def fake() -> AsyncIterator[FakeTaskState]:
    """A TaskState that serves."""
    service = FakeTaskState()
    await service.serve()
    yield service
    await service.stop()


@pytest.fixture
def start_supervisor(fake: FakeTaskState, redis_url: str, start_process: ProcessStarter) -> SupervisorStarter:
    """Starts `python -m workers` against the fake TaskState."""

    def start(
        queues: str = "default",
        *,
        tasks: str = "workers.canary,tests.integration.worker.odd_tasks",
        grace: float = 5,
        redis: str = redis_url,
    ) -> Process:
        return start_process(
            "workers",
            "--queues",
            queues,
            env={
                "TASKSTATE_TARGET": f"127.0.0.1:{fake.port}",
                "TASKSTATE_REDIS_URL": redis,
                "TASKSTATE_TASKS": tasks,
                "TASKSTATE_WORKER_ID": "w-test",
                "TASKSTATE_DRAIN_GRACE_SECONDS": str(grace),
            },
        )

    return start


@pytest.fixture
async def supervisor(fake: FakeTaskState, start_supervisor: SupervisorStarter) -> Process:
    """A supervisor with one RQ worker for the queue default, in session."""
    process = start_supervisor()
    await await_until(lambda: fake.live, what="a session")
    return process


@pytest.fixture
def canary(fake: FakeTaskState, redis_url: str) -> Callable[..., FakeTask]:
    """Creates a canary and puts its message into the queue."""

    def create(queue: str = "default", **payload: object) -> FakeTask:
        return fake.enqueue(redis_url, FakeTask("canary", {"seconds": 0.2, "steps": 4, **payload}), queue)

    return create
