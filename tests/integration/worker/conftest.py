"""A fake TaskState and a real supervisor on a real Redis: one for each test, or one for a module's tests together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

import pytest
import pytest_asyncio
import redis

from services.up.embedded_redis import EmbeddedRedis
from tests.integration.worker.fake_taskstate import FakeTask, FakeTaskState
from tests.support.processes import Process, Processes, ProcessStarter
from tests.support.waiting import await_until

SupervisorStarter = Callable[..., Process]


@dataclass(frozen=True)
class Stage:
    """What a test of one supervisor needs."""

    fake: FakeTaskState
    supervisor: Process
    redis_url: str

    def canary(self, queue: str = "default", **payload: object) -> FakeTask:
        """Create a canary and put its message into the queue."""
        return self.create("canary", queue, **{"seconds": 0.2, "steps": 4, **payload})

    def create(self, type_name: str, queue: str = "default", **payload: object) -> FakeTask:
        """Create a task and put its message into the queue."""
        return self.enqueue(FakeTask(type_name, payload), queue)

    def enqueue(self, task: FakeTask, queue: str = "default") -> FakeTask:
        """Put a task's message into the queue."""
        return self.fake.enqueue(self.redis_url, task, queue)

    async def children_of(self, task: FakeTask) -> list[int]:
        """The processes that a canary has started."""
        return await self.fake.children_of(task)

    def redis(self) -> closing[redis.Redis]:
        """A client, closed at the end of the block."""
        return closing(redis.Redis.from_url(self.redis_url))


def start_workers(
    start: ProcessStarter,
    fake: FakeTaskState,
    redis_url: str,
    queues: str = "default",
    *,
    tasks: str = "workers.canary,tests.integration.worker.odd_tasks",
    grace: float = 5,
) -> Process:
    """Start `python -m workers` against the fake TaskState."""
    return start(
        "workers",
        "--queues",
        queues,
        env={
            "TASKSTATE_TARGET": f"127.0.0.1:{fake.port}",
            "TASKSTATE_REDIS_URL": redis_url,
            "TASKSTATE_TASKS": tasks,
            "TASKSTATE_WORKER_ID": "w-test",
            "TASKSTATE_DRAIN_GRACE_SECONDS": str(grace),
        },
    )


@asynccontextmanager
async def serving() -> AsyncIterator[FakeTaskState]:
    """A TaskState that serves until the end of the block."""
    fake = FakeTaskState()
    await fake.serve()
    try:
        yield fake
    finally:
        await fake.stop()


@pytest.fixture
async def fake() -> AsyncIterator[FakeTaskState]:
    """A TaskState of the test's own."""
    async with serving() as service:
        yield service


@pytest.fixture
def start_supervisor(fake: FakeTaskState, redis_url: str, start_process: ProcessStarter) -> SupervisorStarter:
    """Starts `python -m workers` against the test's TaskState."""

    def start(queues: str = "default", *, redis_url: str = redis_url, **others: object) -> Process:
        return start_workers(start_process, fake, redis_url, queues, **others)  # type: ignore[arg-type]

    return start


@pytest.fixture
async def stage(fake: FakeTaskState, start_supervisor: SupervisorStarter, redis_url: str) -> Stage:
    """A supervisor of the test's own, with one RQ worker for the queue default, in session."""
    supervisor = start_supervisor()
    await await_until(lambda: fake.live, what="a session")
    return Stage(fake, supervisor, redis_url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage(redis_server_of_session: EmbeddedRedis) -> AsyncIterator[Stage]:
    """A supervisor for all tests of a module."""
    redis_url = redis_server_of_session.url()
    with closing(redis.Redis.from_url(redis_url)) as client:
        client.flushall()
    async with serving() as fake:
        with Processes() as processes:
            supervisor = start_workers(processes.start, fake, redis_url)
            await await_until(lambda: fake.live, what="a session")
            yield Stage(fake, supervisor, redis_url)
            # Not killed: however it was treated, it must still end well.
            await asyncio.to_thread(supervisor.stop)
