"""What the end of a stream means for its attempts, also of those that its supervisor was never told of."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from taskstate.v1 import worker_service_pb2 as pb

from services.taskstate.api.session import SessionTimes
from services.taskstate.command import CancelTask, Command, ResumeAttempt, StartAttempt, SuspectAttempt
from services.taskstate.model import Task
from services.taskstate.pipeline import Pipeline
from services.taskstate.service import Replica
from services.taskstate.store import task_query
from tests.integration.taskstate import steps
from tests.integration.taskstate.replicas import Served, query, running_replica
from tests.integration.taskstate.supervisor import Supervisor, message, start, supervising
from tests.support.waiting import await_until

LONG_AGO = datetime.min.replace(tzinfo=UTC)


async def queued(replica: Replica, **fields: object) -> str:
    """The id of a new task whose first message is in its queue."""
    command = steps.create(**fields)
    await steps.put(replica, command, steps.hand_out(command.task_id), steps.confirm(command.task_id))
    return command.task_id


async def current(replica: Replica, task_id: str) -> Task:
    """The task as it is stored."""
    _, task = await replica.database.read(task_query.read_task, task_id)
    assert task is not None
    return task


async def suspect(replica: Replica, task_id: str, after: datetime = LONG_AGO) -> datetime:
    """Wait until the task's attempt is suspect until later than `after`; answers until when."""

    async def is_suspect() -> datetime | None:
        until = (await current(replica, task_id)).suspect_until
        return until if until is not None and until > after else None

    until = await await_until(is_suspect, what="the attempt is suspect")
    assert until is not None
    return until


def resume(task_id: str, token: int) -> pb.WorkerMessage:
    """The supervisor still holds the attempt."""
    return message(resume=pb.ResumeAttempt(task_id=task_id, fencing_token=token))


@contextmanager
def held_back(kind: type[Command], monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Batches with a command of this kind wait inside the pipeline until the block ends; the event tells of the first."""
    reached, go = threading.Event(), threading.Event()
    transact = Pipeline._transact

    def waits(pipeline: Pipeline, commands: Sequence[Command]) -> Any:
        if any(isinstance(command, kind) for command in commands):
            reached.set()
            assert go.wait(10)
        return transact(pipeline, commands)

    monkeypatch.setattr(Pipeline, "_transact", waits)
    try:
        yield reached
    finally:
        go.set()


async def test_a_start_whose_answer_never_left_is_suspect(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = await queued(served.replica)
    with held_back(StartAttempt, monkeypatch) as reached:
        async with supervising(served.target) as worker:
            await worker.say(start(task_id))
            await await_until(reached.is_set, what="the start is in the pipeline")
        # The supervisor was killed: its stream is gone before its start is committed.
        await await_until(lambda: not served.replica.workers.sessions, what="the session has ended")
    await suspect(served.replica, task_id)
    assert str((await current(served.replica, task_id)).state) == "RUNNING"


async def test_a_resume_whose_answer_never_left_is_suspect(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = await queued(served.replica)
    async with supervising(served.target) as worker:
        token = (await worker.started(task_id)).fencing_token
    first = await suspect(served.replica, task_id)
    with held_back(ResumeAttempt, monkeypatch) as reached:
        async with supervising(served.target) as worker:
            await worker.say(resume(task_id, token))
            await await_until(reached.is_set, what="the resume is in the pipeline")
        await await_until(lambda: not served.replica.workers.sessions, what="the session has ended")
    await suspect(served.replica, task_id, after=first)


async def test_a_start_asked_again_is_carried_by_the_new_stream_and_told_its_orders(served: Served) -> None:
    replica = served.replica
    task_id = await queued(replica)
    ask = start(task_id)
    async with supervising(served.target) as worker:
        token = (await worker.started_by(ask)).fencing_token
    await suspect(replica, task_id)
    await steps.put_one(replica, CancelTask(task_id=task_id, actor="test"))
    async with supervising(served.target) as worker:
        assert (await worker.started_by(ask)).fencing_token == token
        assert (await current(replica, task_id)).suspect_until is None
        assert (await current(replica, task_id)).stream_id in replica.workers.sessions
        await await_until(lambda: _cancels(worker), what="the order to stop")
        assert [order.fencing_token for order in _cancels(worker)] == [token]
    # And its end is the end of the new stream, not of the first.
    await suspect(replica, task_id)


def _cancels(worker: Supervisor) -> list[pb.CancelOrder]:
    return [received.cancel for received in worker.received if received.WhichOneof("body") == "cancel"]


async def test_what_does_not_come_back_to_a_replica_that_ended_the_stream_is_suspect_after_a_lease(
    served: Served,
) -> None:
    replica = served.replica
    lost_id, moved_id = await queued(replica), await queued(replica)
    async with supervising(served.target) as worker:
        await worker.started(lost_id)
        token = (await worker.started(moved_id)).fencing_token
        replica.workers.times = SessionTimes(5, lease_ttl_s=0.5)
        ended_at = asyncio.get_running_loop().time()
        replica.workers.end_all()
        assert await worker.ended() is grpc.StatusCode.UNAVAILABLE
    async with supervising(served.target) as back:
        await back.acked(resume(moved_id, token))
        await suspect(replica, lost_id)
        assert asyncio.get_running_loop().time() - ended_at >= 0.5
        assert (await current(replica, moved_id)).suspect_until is None


async def test_a_stream_that_a_lapsed_lease_ends_makes_nothing_suspect(served: Served, database_url: str) -> None:
    replica = served.replica
    running_id, other_id = await queued(replica), await queued(replica)
    async with supervising(served.target) as worker:
        token = (await worker.started(running_id)).fencing_token
        query(database_url, "update replica set lease_until = clock_timestamp()")
        await worker.say(start(other_id))
        assert await worker.ended() is grpc.StatusCode.UNAVAILABLE
    assert await replica.leases.renew_once()
    async with supervising(served.target) as back:
        await back.acked(resume(running_id, token))
        assert (await current(replica, running_id)).suspect_until is None
    kinds = query(database_url, "select count(*) from event where kind = 'SUSPECTED'")
    assert kinds == [(0,)]


async def test_a_good_bye_with_an_attempt_in_hand_leaves_it_suspect(served: Served) -> None:
    task_id = await queued(served.replica)
    async with supervising(served.target) as worker:
        await worker.started(task_id)
        await worker.acked(message(good_bye=pb.GoodBye(message="done")))
        assert await worker.ended() is grpc.StatusCode.OK
    await suspect(served.replica, task_id)


async def test_a_supervisor_that_takes_nothing_delays_no_order_to_another(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = served.replica
    stuck_id, other_id = await queued(replica), await queued(replica)
    async with supervising(served.target) as stuck, supervising(served.target) as other:
        await stuck.started(stuck_id)
        await other.started(other_id)
        session = replica.workers.sessions[(await current(replica, stuck_id)).stream_id]
        async with session._sending:  # As a write that flow control holds back.
            for task_id in (stuck_id, other_id):
                await steps.put_one(replica, CancelTask(task_id=task_id, actor="test"))
            await await_until(lambda: _cancels(other), what="the order to the other")
            monkeypatch.setattr("services.taskstate.api.worker_service.TELL_S", 0.05)
            await replica.workers.drain()
            assert _cancels(stuck) == []
        await await_until(lambda: _cancels(stuck), what="the order held back")


async def test_an_attempt_that_a_frozen_replica_moved_away_late_is_taken_back(
    served: Served, database_url: str
) -> None:
    replica = served.replica
    task_id = await queued(replica)
    ask = start(task_id)
    async with running_replica(database_url) as frozen, supervising(served.target) as worker:
        token = (await worker.started_by(ask)).fencing_token
        stream_id = (await current(replica, task_id)).stream_id
        # The same start, sent before to the other replica, which stood still and goes on now; its stream is long gone.
        late = steps.start(frozen, task_id, start_id=ask.start.start_id, stream_id="gone")
        await steps.put_one(frozen, late)
        broken = SuspectAttempt(
            task_id=task_id,
            actor="test",
            replica_id=frozen.replica_id,
            stream_id="gone",
            grace_s=2,
            lease_s=20,
        )
        assert (await steps.put_one(frozen, broken)).suspect_until is not None

        async def is_back() -> bool:
            task = await current(replica, task_id)
            return (task.stream_id, task.suspect_until, task.fencing_token) == (stream_id, None, token)

        await await_until(is_back, what="the stream that holds the attempt carries it again")
