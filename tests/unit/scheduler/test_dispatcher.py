"""The dispatcher against a TaskState in memory and queues that fail when told to."""

import asyncio
from collections.abc import Sequence

import grpc
import pytest
from taskstate.channel import aio_channel
from taskstate.errors import TaskStateError
from taskstate.v1 import maintenance_service_pb2 as pb

from services.scheduler.broker import Message
from services.scheduler.dispatcher import Dispatcher, DispatchResult
from services.scheduler.loop import DependencyAwayError
from services.scheduler.maintenance import Maintenance
from tests.support.fake_maintenance import FakeMaintenance, serving
from tests.support.waiting import await_until


class MemoryQueues:
    """Takes each id once, as RQ does."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.away = False
        self.away_at_enqueue = False

    async def check(self) -> None:
        if self.away:
            raise DependencyAwayError("Redis", "scripted")

    async def enqueue(self, messages: Sequence[Message]) -> int:
        if self.away_at_enqueue:
            raise DependencyAwayError("Redis", "scripted")
        new = [message.job_id for message in messages if message.job_id not in self.ids]
        self.ids.extend(new)
        return len(new)


@pytest.fixture
async def taskstate():
    fake = FakeMaintenance()
    async with serving(fake) as port:
        fake.port = port
        yield fake


@pytest.fixture
def queues():
    return MemoryQueues()


@pytest.fixture
async def dispatcher(taskstate, queues):
    async with aio_channel(f"127.0.0.1:{taskstate.port}") as channel:
        yield Dispatcher(Maintenance(channel, "scheduler:test"), queues, batch_max=10, wait_s=20)


async def test_enqueues_in_order_and_confirms(dispatcher, taskstate, queues):
    ids = taskstate.add(3)
    assert await dispatcher.run_once() == DispatchResult(acquired=3, enqueued=3, queued=3)
    assert queues.ids == ids
    assert [f"{task_id}_{number}" for task_id, number in taskstate.confirmed] == ids
    assert taskstate.actors == {"scheduler:test"}


async def test_takes_no_more_than_a_batch(dispatcher, taskstate, queues):
    taskstate.add(25)
    counts = [(await dispatcher.run_once()).acquired for _ in range(3)]
    assert counts == [10, 10, 5]
    assert {request.max_dispatches for request in taskstate.acquire_requests} == {10}


async def test_first_call_does_not_wait_and_later_ones_do(dispatcher, taskstate):
    assert await dispatcher.run_once() == DispatchResult()
    idle = asyncio.create_task(dispatcher.run_once())
    await await_until(lambda: taskstate.waiting)
    taskstate.add(1)
    assert (await idle).queued == 1
    assert [request.wait_timeout.seconds for request in taskstate.acquire_requests] == [0, 20]


async def test_does_not_wait_again_after_trouble(dispatcher, taskstate, queues):
    await dispatcher.run_once()
    queues.away = True
    with pytest.raises(DependencyAwayError):
        await dispatcher.run_once()
    queues.away = False
    await dispatcher.run_once()
    assert [request.wait_timeout.seconds for request in taskstate.acquire_requests] == [0, 0]


async def test_acquires_nothing_while_redis_is_away(dispatcher, taskstate, queues):
    taskstate.add(2)
    queues.away = True
    with pytest.raises(DependencyAwayError, match="Redis"):
        await dispatcher.run_once()
    assert taskstate.acquire_requests == []
    assert len(taskstate.due) == 2


async def test_confirms_nothing_that_was_not_enqueued_and_gets_it_again(dispatcher, taskstate, queues):
    ids = taskstate.add(2)
    queues.away_at_enqueue = True
    with pytest.raises(DependencyAwayError):
        await dispatcher.run_once()
    assert taskstate.confirmed == []
    queues.away_at_enqueue = False
    taskstate.end_leases()
    assert (await dispatcher.run_once()).queued == 2
    assert queues.ids == ids


async def test_a_lost_confirmation_makes_no_second_message(dispatcher, taskstate, queues):
    ids = taskstate.add(2)
    taskstate.confirm_failures = [grpc.StatusCode.DEADLINE_EXCEEDED]
    with pytest.raises(DependencyAwayError, match="TaskState"):
        await dispatcher.run_once()
    taskstate.end_leases()
    assert await dispatcher.run_once() == DispatchResult(acquired=2, enqueued=0, queued=2)
    assert queues.ids == ids


async def test_rides_over_a_short_unavailability_by_itself(dispatcher, taskstate):
    taskstate.add(1)
    taskstate.acquire_failures = [grpc.StatusCode.UNAVAILABLE]
    taskstate.confirm_failures = [grpc.StatusCode.UNAVAILABLE]
    assert (await dispatcher.run_once()).queued == 1


async def test_counts_every_outcome(dispatcher, taskstate):
    task_ids = [job_id.partition("_")[0] for job_id in taskstate.add(4)]
    taskstate.outcomes = {
        task_ids[1]: pb.DISPATCH_OUTCOME_ALREADY_STARTED,
        task_ids[2]: pb.DISPATCH_OUTCOME_STALE,
        task_ids[3]: pb.DISPATCH_OUTCOME_NOT_FOUND,
    }
    assert await dispatcher.run_once() == DispatchResult(
        acquired=4, enqueued=4, queued=1, already_started=1, stale=1, not_found=1
    )


async def test_a_refusal_of_taskstate_is_a_fault_and_not_an_outage(dispatcher, taskstate):
    taskstate.acquire_failures = [grpc.StatusCode.INVALID_ARGUMENT]
    with pytest.raises(TaskStateError, match="INVALID_ARGUMENT"):
        await dispatcher.run_once()


async def test_taskstate_away_is_named(queues):
    # Nothing listens on port 1; the channel's own retries are part of what is tested here.
    async with aio_channel("127.0.0.1:1") as channel:
        dispatcher = Dispatcher(Maintenance(channel, "scheduler:test"), queues, batch_max=10, wait_s=20)
        with pytest.raises(DependencyAwayError, match="TaskState: UNAVAILABLE"):
            await dispatcher.run_once()


async def test_cancelled_while_idle_ends_at_once(dispatcher, taskstate):
    await dispatcher.run_once()
    idle = asyncio.create_task(dispatcher.run_once())
    await await_until(lambda: taskstate.waiting)
    idle.cancel()
    with pytest.raises(asyncio.CancelledError):
        await idle


async def test_cancelled_in_the_middle_confirms_first(dispatcher, taskstate, queues):
    ids = taskstate.add(2)
    taskstate.confirm_gate = asyncio.Event()
    run = asyncio.create_task(dispatcher.run_once())
    await await_until(lambda: queues.ids == ids)
    run.cancel()
    taskstate.confirm_gate.set()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert len(taskstate.confirmed) == 2
