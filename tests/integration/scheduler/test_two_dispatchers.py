"""Two dispatchers at once, on a real TaskState and a real Redis: nothing is lost and nothing happens twice."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

from redis import Redis
from taskstate.channel import aio_channel
from taskstate.v1 import task_pb2, task_service_pb2, worker_service_pb2
from taskstate.v1.task_service_pb2_grpc import TaskServiceStub
from taskstate.v1.worker_service_pb2_grpc import WorkerServiceStub

from services.scheduler.broker import Broker
from services.scheduler.dispatcher import Dispatcher, DispatchResult
from services.scheduler.maintenance import Maintenance

TASKS = 200
QUEUES = ("default", "agent", "processing", "chat")


async def created(stub) -> list[str]:
    """200 new tasks over four queues, as TaskState hands out at most 100 unstarted messages of one queue."""
    requests = [
        task_service_pb2.CreateTaskRequest(type="sample", queue=QUEUES[number % len(QUEUES)], name=f"task {number}")
        for number in range(TASKS)
    ]
    responses = await asyncio.gather(*(stub.CreateTask(request, timeout=20) for request in requests))
    return [response.task.task_id for response in responses]


async def declare_type(channel) -> None:
    """What a supervisor does at its start; tasks of an unknown type are not handed out."""
    worker = task_pb2.Worker(worker_id="w-1", host="h", pid=1, boot_id="b", queues=QUEUES)
    hello = worker_service_pb2.Hello(worker=worker, types=[worker_service_pb2.TaskType(name="sample", queue="default")])
    call = WorkerServiceStub(channel).Session(timeout=20)
    message = worker_service_pb2.WorkerMessage(sequence=1, hello=hello)
    await call.write(worker_service_pb2.SessionRequest(messages=[message]))
    assert (await call.read()).messages[0].WhichOneof("body") == "welcome"
    call.cancel()


async def run_all(dispatchers: list[Dispatcher]) -> list[list[DispatchResult]]:
    """Lets each dispatcher run by itself until all tasks are queued; answers the runs of each that did something."""
    runs: list[list[DispatchResult]] = [[] for _ in dispatchers]

    async def keep_running(dispatcher: Dispatcher, results: list[DispatchResult]) -> None:
        while sum(result.queued for done in runs for result in done) < TASKS:
            result = await dispatcher.run_once()
            if result.acquired:
                results.append(result)

    async with asyncio.timeout(30):
        await asyncio.gather(*map(keep_running, dispatchers, runs))
    return runs


async def test_each_message_is_enqueued_once_and_each_task_is_queued_once(start_process, database_url, redis_url):
    core = start_process("services.taskstate", env={"TASKSTATE_DATABASE_URL": database_url})
    target = f"127.0.0.1:{await asyncio.to_thread(core.port)}"
    await asyncio.to_thread(core.wait_for_event, "ready")
    async with AsyncExitStack() as stack:
        taskstate = TaskServiceStub(await stack.enter_async_context(aio_channel(target)))
        dispatchers = []
        for name in ("scheduler:one", "scheduler:two"):
            channel = await stack.enter_async_context(aio_channel(target))
            broker = Broker(redis_url, timeout_s=5)
            stack.push_async_callback(broker.close)
            dispatchers.append(Dispatcher(Maintenance(channel, name), broker, batch_max=7, wait_s=0.2))
        await declare_type(channel)
        task_ids = await created(taskstate)
        runs = await run_all(dispatchers)

        # Both took part, or the test would show nothing.
        assert all(runs)
        for count in ("acquired", "enqueued", "queued"):
            assert sum(getattr(result, count) for results in runs for result in results) == TASKS, count

        with Redis.from_url(redis_url, decode_responses=True) as client:
            messages = [message for queue in QUEUES for message in client.lrange(f"rq:queue:{queue}", 0, -1)]
        assert Counter(messages) == Counter(f"{task_id}_1" for task_id in task_ids)

        kinds = Counter()
        for task_id in task_ids:
            request = task_service_pb2.ListTaskEventsRequest(task_id=task_id)
            events = (await taskstate.ListTaskEvents(request, timeout=10)).events
            kinds.update((task_id, event.kind) for event in events)
            assert events[-1].to == task_pb2.TASK_STATE_QUEUED
            assert events[-1].actor in {"scheduler:one", "scheduler:two"}
    for kind in (task_pb2.TASK_EVENT_KIND_HANDED_OUT, task_pb2.TASK_EVENT_KIND_QUEUED):
        assert {kinds[task_id, kind] for task_id in task_ids} == {1}
    await asyncio.to_thread(core.stop)
