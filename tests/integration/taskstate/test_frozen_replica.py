"""A replica that is frozen inside its transaction, with the order of everything in its hands."""

from __future__ import annotations

import asyncio
import json
import signal
import time

from taskstate.channel import aio_channel
from taskstate.v1 import task_service_pb2 as service_pb
from taskstate.v1.task_service_pb2_grpc import TaskServiceStub

from tests.integration.taskstate import steps
from tests.integration.taskstate.replicas import query, running_replica
from tests.support.processes import Process, ProcessStarter

PIPELINE = "taskstate pipeline"
PAYLOAD = json.dumps({"numbers": list(range(200))})


async def test_a_frozen_replica_holds_the_order_for_two_seconds_at_most(
    database_url: str, start_process: ProcessStarter
) -> None:
    process = start_process("services.taskstate", env={"TASKSTATE_DATABASE_URL": database_url})
    async with running_replica(database_url) as other, aio_channel(f"127.0.0.1:{process.port()}") as channel:
        process.wait_for_event("ready")
        load = Load(TaskServiceStub(channel))
        try:
            await _freeze_in_its_transaction(process, database_url)
            before = time.monotonic()
            await steps.put_one(other, steps.create())
            waited_s = time.monotonic() - before
        finally:
            process.send(signal.SIGCONT)
        assert 1.0 < waited_s < 5.0
        # Going on, the frozen one finds its transaction gone, and runs the batch again.
        created = await load.stop()
        stored = query(database_url, "select task_id::text from task_spec where request_id <> ''")
        assert {task_id for (task_id,) in stored} == created
        assert query(database_url, "select count(*), count(distinct task_id) from event") == [
            (len(created) + 1, len(created) + 1)
        ]


class Load:
    """Some clients that create tasks one after the other, until they are told to stop."""

    def __init__(self, stub: TaskServiceStub) -> None:
        self._stub = stub
        self._stopping = False
        self._clients = [asyncio.create_task(self._create()) for _ in range(40)]

    async def _create(self) -> set[str]:
        created = set()
        while not self._stopping:
            request = service_pb.CreateTaskRequest(type="canary", request_id=steps.new_id(), payload=PAYLOAD)
            created.add((await self._stub.CreateTask(request, timeout=20)).task.task_id)
        return created

    async def stop(self) -> set[str]:
        """The ids of all tasks that were answered."""
        self._stopping = True
        return set().union(*await asyncio.gather(*self._clients))


async def _freeze_in_its_transaction(process: Process, database_url: str) -> None:
    """SIGSTOP from outside, until it falls between two statements of a batch that holds the order."""
    # A process that stops itself at a chosen line may send its COMMIT first.
    holding = (
        "select count(*) from pg_stat_activity a join pg_locks l using (pid) where a.state = 'idle in transaction'"
        " and a.application_name = %s and l.relation = 'revision'::regclass and l.mode = 'RowExclusiveLock'"
    )
    async with asyncio.timeout(20):
        while True:
            process.send(signal.SIGSTOP)
            if query(database_url, holding, PIPELINE) == [(1,)]:
                return
            process.send(signal.SIGCONT)
            await asyncio.sleep(0)
