"""What goes to the queues, in which order, when, and what holds the others back."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from taskstate.channel import aio_channel
from taskstate.v1 import worker_service_pb2 as pb
from taskstate.v1.worker_service_pb2_grpc import WorkerServiceStub

from services.taskstate.command import Accepted, NoteWait
from services.taskstate.dispatching import Dispatching
from services.taskstate.model import EventKind, TaskState, TaskType, WaitReason
from services.taskstate.service import Replica
from tests.integration.taskstate import steps
from tests.integration.taskstate.replicas import Served, newest_revision, query, running_replica
from tests.integration.taskstate.supervisor import hello
from tests.support.waiting import await_until

HISTORIES = "select kind from event where task_id = %s order by revision"
BLOCKED: dict[str, dict[str, object]] = {
    "slot": {"group": "agent"},
    "type": {"type": "unknown"},
    "window": {},
    "process": {},
}
"""What makes a task wait for something other than its dispatch."""


@pytest.fixture
def dispatching(replica: Replica) -> Dispatching:
    return replica.maintenance.dispatching


async def acquired(dispatching: Dispatching, count: int = 100, wait_s: float = 0) -> list[str]:
    """The ids of the tasks handed out."""
    return [task.task_id for task in await dispatching.acquire(count, wait_s, "scheduler")]


async def created(replica: Replica, **fields: object) -> str:
    """The id of a new task."""
    return (await steps.put_one(replica, steps.create(**fields))).task_id


def waits_for(database_url: str, task_id: str) -> str:
    """The task's wait reason."""
    return query(database_url, "select wait_reason from task_status where task_id = %s", task_id)[0][0]


async def test_the_order_is_priority_then_age(replica: Replica, dispatching: Dispatching) -> None:
    low, first, urgent, second, most_urgent = [
        await created(replica, priority=priority) for priority in (-5, 0, 5, 0, 10)
    ]
    assert await acquired(dispatching, count=2) == [most_urgent, urgent]
    assert await acquired(dispatching) == [first, second, low]
    assert await acquired(dispatching) == []


async def test_what_is_handed_out_carries_its_number_and_queue(replica: Replica, dispatching: Dispatching) -> None:
    plain, other = await created(replica), await created(replica, queue="chat")
    tasks = await dispatching.acquire(10, 0, "scheduler:host-1")
    assert [(task.task_id, task.dispatch, task.queue) for task in tasks] == [(plain, 1, "default"), (other, 1, "chat")]
    confirmed = await dispatching.confirm([(plain, 1), (other, 2), (steps.new_id(), 1)], "scheduler:host-1")
    assert steps.accepted(confirmed[0]).state is TaskState.QUEUED
    assert [steps.refusal(outcome) for outcome in confirmed[1:]] == ["STALE_DISPATCH", "TASK_NOT_FOUND"]


async def test_a_confirmation_after_the_start_changes_nothing(replica: Replica, dispatching: Dispatching) -> None:
    task_id = await created(replica)
    await dispatching.acquire(1, 0, "scheduler")
    await steps.put_one(replica, steps.start(replica, task_id))
    (outcome,) = await dispatching.confirm([(task_id, 1)], "scheduler")
    assert isinstance(outcome, Accepted)
    assert outcome.no_op
    assert outcome.task.state is TaskState.RUNNING


async def test_a_group_has_its_limit(database_url: str) -> None:
    async with running_replica(database_url, group_limits={"pair": 2}) as replica:
        await steps.declare(replica)
        dispatching = replica.maintenance.dispatching
        singles = [await created(replica, group="agent") for _ in range(2)]
        pairs = [await created(replica, group="pair") for _ in range(3)]
        assert set(await acquired(dispatching)) == {singles[0], *pairs[:2]}
        assert await acquired(dispatching) == []
        assert waits_for(database_url, singles[1]) == waits_for(database_url, pairs[2]) == "SLOT"
        # The slot is held from the hand-out until the process has gone; ended alone does not free it.
        task = await steps.put_one(replica, steps.start(replica, singles[0]))
        assert await acquired(dispatching) == []
        await steps.put_one(replica, steps.finish(task.task_id, task.fencing_token))
        assert await acquired(dispatching) == []
        await steps.put_one(replica, steps.exited(task.task_id, task.fencing_token))
        assert await acquired(dispatching) == [singles[1]]


async def test_a_queue_holds_a_bounded_number_of_unstarted_messages(database_url: str) -> None:
    async with running_replica(database_url, dispatch_window=3) as replica:
        await steps.declare(replica)
        dispatching = replica.maintenance.dispatching
        ids = [await created(replica) for _ in range(5)]
        other = await created(replica, queue="chat")
        assert await acquired(dispatching) == [*ids[:3], other]
        urgent = await created(replica, priority=9)
        assert await acquired(dispatching) == []
        # A start makes room, for the most urgent.
        await steps.put(replica, steps.confirm(ids[0]), steps.start(replica, ids[0]))
        assert await acquired(dispatching) == [urgent]


async def test_a_task_of_an_unknown_type_waits_for_a_worker_that_declares_it(served: Served, database_url: str) -> None:
    dispatching = served.replica.maintenance.dispatching
    task_id = await created(served.replica, type="report", timeout_s=7.0)
    assert waits_for(database_url, task_id) == "NO_WORKER"
    assert query(database_url, "select policy_frozen, queue from task_spec") == [(False, None)]
    waiting = asyncio.create_task(dispatching.acquire(1, 20, "scheduler"))
    async with aio_channel(served.target) as channel:
        session = WorkerServiceStub(channel).Session()
        declared = pb.TaskType(name="report", queue="processing", max_attempts=4, retry_on_loss=True)
        declared.timeout.FromSeconds(99)
        declared.phases.add(id="fetch", name="Fetch")
        await session.write(pb.SessionRequest(messages=[hello(types=[declared])]))
        async with asyncio.timeout(5):
            (task,) = await waiting
        await session.done_writing()
    # The creator's own words win; the rest is the type's, for good.
    assert (task.task_id, task.queue, task.timeout_s, task.max_attempts) == (task_id, "processing", 7.0, 4)
    assert [phase.id for phase in task.phases] == ["fetch"]
    await steps.declare(served.replica, TaskType(name="report", queue="elsewhere", max_attempts=1))
    assert query(database_url, "select policy_frozen, queue, max_attempts, retry_on_loss from task_spec") == [
        (True, "processing", 4, True)
    ]


async def test_a_task_waits_until_its_time(replica: Replica, dispatching: Dispatching, database_url: str) -> None:
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    task_id = await created(replica, not_before_time=in_an_hour)
    assert waits_for(database_url, task_id) == "TIME"
    assert await acquired(dispatching) == []
    query(database_url, "update task_status set due_time = clock_timestamp()")
    assert await acquired(dispatching) == [task_id]


async def test_a_message_not_confirmed_in_time_is_handed_out_again_with_its_number(
    replica: Replica, dispatching: Dispatching, database_url: str
) -> None:
    task_id = await created(replica, group="agent")
    (first,) = await dispatching.acquire(1, 0, "scheduler:a")
    assert await acquired(dispatching) == []
    query(database_url, "update task_status set handed_out_time = handed_out_time - interval '9 seconds'")
    assert await acquired(dispatching) == []
    query(database_url, "update task_status set handed_out_time = handed_out_time - interval '1 second'")
    (again,) = await dispatching.acquire(1, 0, "scheduler:b")
    assert (again.task_id, again.dispatch) == (task_id, first.dispatch)
    assert query(database_url, "select slot from task_status") == [("default/agent",)]
    assert await acquired(dispatching) == []
    # A confirmed message is not handed out again, however old.
    await dispatching.confirm([(task_id, again.dispatch)], "scheduler:b")
    query(database_url, "update task_status set handed_out_time = handed_out_time - interval '1 hour'")
    assert await acquired(dispatching) == []


@pytest.fixture
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what wakes a long poll ends it: its own look at the table would come too late."""
    monkeypatch.setattr("services.taskstate.dispatching.POLL_S", 60.0)


async def test_a_long_poll_wakes_at_once_for_a_new_task(
    replica: Replica, dispatching: Dispatching, no_polling: None
) -> None:
    waiting = asyncio.create_task(dispatching.acquire(10, 20, "scheduler"))
    await await_until(lambda: "dispatchable" in replica.feed._subscribers, what="it waits")
    task_id = await created(replica)
    (task,) = await waiting
    assert task.task_id == task_id


async def test_a_long_poll_wakes_when_a_task_comes_due(
    replica: Replica, dispatching: Dispatching, database_url: str, no_polling: None
) -> None:
    due = datetime.now(UTC) + timedelta(seconds=0.4)
    task_id = await created(replica, not_before_time=due)
    (task,) = await dispatching.acquire(10, 20, "scheduler")
    assert task.task_id == task_id
    ((late,),) = query(
        database_url, "select extract(epoch from handed_out_time - %s::timestamptz) from task_status", due
    )
    assert late >= 0


async def test_a_long_poll_ends_empty_in_time(dispatching: Dispatching) -> None:
    began = time.monotonic()
    assert await dispatching.acquire(10, 0.2, "scheduler") == []
    assert time.monotonic() - began >= 0.2


async def test_a_long_poll_ends_when_the_replica_stops(replica: Replica, dispatching: Dispatching) -> None:
    waiting = asyncio.create_task(dispatching.acquire(10, 20, "scheduler"))
    await await_until(lambda: "dispatchable" in replica.feed._subscribers, what="it waits")
    replica.feed.close()
    async with asyncio.timeout(2):
        assert await waiting == []


async def test_two_acquirers_on_two_replicas_never_get_the_same_task(replica: Replica, database_url: str) -> None:
    async with running_replica(database_url) as other:
        ids = [task.task_id for task in await steps.put(replica, *(steps.create() for _ in range(60)))]
        acquirers = [replica.maintenance.dispatching, other.maintenance.dispatching] * 3
        got = [asyncio.create_task(_take_all(acquirer, f"scheduler:{n}")) for n, acquirer in enumerate(acquirers)]
        handed_out = [task_id for taken in await asyncio.gather(*got) for task_id in taken]
    assert sorted(handed_out) == sorted(ids)
    assert query(database_url, "select count(*) from event where kind = 'HANDED_OUT'") == [(60,)]


async def _take_all(dispatching: Dispatching, actor: str) -> list[str]:
    """Take 7 at a time until nothing is left."""
    taken: list[str] = []
    while tasks := await dispatching.acquire(7, 0.3, actor):
        taken.extend(task.task_id for task in tasks)
    return taken


@pytest.mark.parametrize("blocked_by", BLOCKED)
async def test_blocked_tasks_do_not_starve_others(database_url: str, blocked_by: str) -> None:
    async with running_replica(database_url, dispatch_window=1) as replica:
        await steps.declare(replica)
        dispatching = replica.maintenance.dispatching
        blocked = await steps.put(replica, *(steps.create(priority=9, **BLOCKED[blocked_by]) for _ in range(30)))
        if blocked_by == "process":
            # Attempts that ended, whose processes have not gone.
            for task in blocked:
                await steps.put(replica, steps.hand_out(task.task_id))
                running = await steps.put_one(replica, steps.start(replica, task.task_id))
                await steps.put_one(replica, steps.fail(task.task_id, running.fencing_token))
            query(database_url, "update task_status set due_time = clock_timestamp()")
        else:
            await acquired(dispatching)
            # As if it had been said of none of them yet what they wait for.
            query(database_url, "update task_status set wait_reason = 'DISPATCH' where state = 'PENDING'")
        free = await created(replica, queue="chat", priority=-9)
        assert await acquired(dispatching, count=1) == [free]


async def test_wait_reasons_are_noted_once(replica: Replica, dispatching: Dispatching, database_url: str) -> None:
    first, second = [await created(replica, group="agent") for _ in range(2)]
    assert waits_for(database_url, second) == "DISPATCH"
    assert await acquired(dispatching) == [first]
    assert waits_for(database_url, second) == "SLOT"
    at = newest_revision(database_url)
    for _ in range(3):
        assert await acquired(dispatching) == []
    assert newest_revision(database_url) == at
    assert query(database_url, HISTORIES, second) == [("CREATED",), ("WAITING",)]


async def test_a_noted_reason_that_no_longer_holds_changes_nothing(replica: Replica, database_url: str) -> None:
    task_id = await created(replica)
    note = NoteWait(task_id=task_id, wait_reason=WaitReason.SLOT, actor="scheduler")
    outcome = await replica.pipeline.submit(note)
    assert isinstance(outcome, Accepted)
    assert outcome.no_op
    assert query(database_url, HISTORIES, task_id) == [(str(EventKind.CREATED),)]
