"""What the broker writes is what RQ itself would have written, once per id, and an outage is named."""

import asyncio
import socket
import uuid

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from taskstate.worker import entry

from services.scheduler.broker import ENTRY_FUNCTION, Broker, Message
from services.scheduler.loop import DependencyAwayError

VOLATILE = {b"created_at", b"enqueued_at"}


@pytest.fixture
async def broker(redis_url):
    broker = Broker(redis_url, timeout_s=2)
    yield broker
    await broker.close()


@pytest.fixture
def client(redis_url):
    with Redis.from_url(redis_url) as client:
        yield client


def new_messages(count, queue="default"):
    return [Message(str(uuid.uuid4()), 1, queue) for _ in range(count)]


async def test_writes_what_rq_writes(broker, client):
    ours, theirs = new_messages(2)
    await broker.enqueue([ours])
    queue = Queue("default", connection=client, serializer=JSONSerializer)
    queue.enqueue_call(
        ENTRY_FUNCTION,
        job_id=theirs.job_id,
        description=theirs.job_id,
        timeout=-1,
        result_ttl=0,
        failure_ttl=60,
        unique=True,
    )

    def stored(message):
        fields = client.hgetall(Job.key_for(message.job_id))
        assert fields.keys() >= VOLATILE
        return {k: v.replace(message.job_id.encode(), b"ID") for k, v in fields.items() if k not in VOLATILE}

    assert stored(ours) == stored(theirs)
    assert client.ttl(Job.key_for(ours.job_id)) == client.ttl(Job.key_for(theirs.job_id)) == -1
    assert client.lrange("rq:queue:default", 0, -1) == [ours.job_id.encode(), theirs.job_id.encode()]
    assert [q.name for q in Queue.all(connection=client)] == ["default"]


async def test_rq_reads_it_with_nothing_to_act_on(broker, client):
    (message,) = new_messages(1)
    await broker.enqueue([message])
    job = Job.fetch(message.job_id, connection=client, serializer=JSONSerializer)
    assert (job.func_name, job.args, job.kwargs) == (ENTRY_FUNCTION, [], {})
    assert (job.timeout, job.result_ttl, job.failure_ttl) == (-1, 0, 60)
    assert (job.origin, job.description, job.get_status()) == ("default", message.job_id, "queued")
    assert (job.retries_left, job.repeats_left, job.webhooks, job.dependency_ids) == (None, None, [], [])
    assert (job.success_callback, job.failure_callback, job.stopped_callback) == (None, None, None)


def test_the_entry_function_is_the_sdks():
    assert f"{entry.__name__}.{entry.run.__name__}" == ENTRY_FUNCTION


async def test_an_id_is_taken_in_once(broker, client):
    messages = new_messages(3)
    assert await broker.enqueue(messages) == 3
    assert await broker.enqueue([*messages, *new_messages(1)]) == 1
    assert client.llen("rq:queue:default") == 4


async def test_keeps_the_order_in_each_queue(broker, client):
    mixed = [Message(str(uuid.uuid4()), 1, ("agent", "default")[number % 2]) for number in range(100)]
    assert await broker.enqueue(mixed) == 100
    for queue in ("agent", "default"):
        expected = [message.job_id.encode() for message in mixed if message.queue == queue]
        assert client.lrange(f"rq:queue:{queue}", 0, -1) == expected


async def test_works_on_after_redis_has_lost_everything(broker, client):
    await broker.enqueue(new_messages(1))
    client.flushall()
    client.script_flush()
    messages = new_messages(2)
    assert await broker.enqueue(messages) == 2
    assert client.llen("rq:queue:default") == 2


async def test_works_on_after_redis_has_closed_an_idle_connection(broker, client):
    await broker.check()
    client.client_kill_filter(_type="normal", skipme=True)
    await broker.check()
    assert await broker.enqueue(new_messages(1)) == 1


async def test_redis_that_refuses_is_named(broker, client):
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(DependencyAwayError, match=r"Redis: .*maxmemory"):
            await broker.enqueue(new_messages(1))
    finally:
        client.config_set("maxmemory", "0")
    assert await broker.enqueue(new_messages(1)) == 1


async def test_redis_away_is_named():
    broker = Broker("redis://127.0.0.1:1/0", timeout_s=1)
    with pytest.raises(DependencyAwayError, match=r"Redis: .*refused"):
        await broker.check()
    await broker.close()


async def test_a_redis_that_does_not_answer_blocks_neither_the_loop_nor_for_long():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        broker = Broker(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout_s=0.1)
        turns = 0

        async def count_turns():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count_turns())
        with pytest.raises(DependencyAwayError, match="Redis: "):
            await asyncio.wait_for(broker.check(), 5)
        counting.cancel()
        await broker.close()
    assert turns > 100
