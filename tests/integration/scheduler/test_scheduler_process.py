"""``python -m services.scheduler`` as a process: what it does, says and answers while its neighbours come and go."""

import asyncio
import signal
import socket
from urllib.parse import urlsplit

from grpc_health.v1 import health_pb2, health_pb2_grpc
from redis import Redis
from taskstate.channel import aio_channel

from tests.support.fake_maintenance import FakeMaintenance, serving
from tests.support.waiting import await_until


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


async def started(start_process, **env):
    process = start_process("services.scheduler", env={"TASKSTATE_SCHEDULER_PORT": "0", **env})
    return process, await asyncio.to_thread(process.port)


async def health(port, service=""):
    async with aio_channel(f"127.0.0.1:{port}") as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        return (await health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)).status


def said_by(background, events, key):
    return [event[key] for event in events if event["background"] == background]


async def is_ready(port):
    return await health(port) == health_pb2.HealthCheckResponse.SERVING


async def test_dispatches_says_so_and_ends_well(start_process, redis_url):
    fake = FakeMaintenance()
    ids = fake.add(3, queue="agent")
    async with serving(fake) as port:
        target = f"127.0.0.1:{port}"
        process, health_port = await started(start_process, TASKSTATE_TARGET=target, TASKSTATE_REDIS_URL=redis_url)
        await await_until(lambda: len(fake.confirmed) == 3)
        with Redis.from_url(redis_url, decode_responses=True) as client:
            assert client.lrange("rq:queue:agent", 0, -1) == ids
        await await_until(lambda: is_ready(health_port))
        assert await health(health_port, "scheduler.dispatcher") == health_pb2.HealthCheckResponse.SERVING
        await await_until(lambda: fake.waiting)
        # In the middle of a long poll it ends at once.
        await asyncio.wait_for(asyncio.to_thread(process.stop, signal.SIGTERM), 5)
    (run,) = process.events("dispatcher")
    assert (run["acquired"], run["enqueued"], run["queued"]) == (3, 3, 3)
    assert len(run["trace_id"]) == 32
    assert process.events("stopping")[0]["signal"] == "SIGTERM"


async def test_waits_for_taskstate_and_says_so_once(start_process, redis_url):
    port = free_port()
    target = f"127.0.0.1:{port}"
    process, health_port = await started(start_process, TASKSTATE_TARGET=target, TASKSTATE_REDIS_URL=redis_url)
    await await_until(lambda: said_by("dispatcher", process.events("waiting"), "waiting_for"))
    assert not await is_ready(health_port)
    assert await health(health_port, "live") == health_pb2.HealthCheckResponse.SERVING
    fake = FakeMaintenance()
    fake.add(1)
    async with serving(fake, port):
        await await_until(lambda: fake.confirmed)
        await await_until(lambda: is_ready(health_port))
        await asyncio.to_thread(process.stop, signal.SIGINT)
    assert said_by("dispatcher", process.events("waiting"), "waiting_for") == ["TaskState"]
    assert said_by("dispatcher", process.events("ready"), "waited_for") == ["TaskState"]
    assert len(said_by("sweeper", process.events("waiting"), "waiting_for")) <= 1


async def test_waits_for_redis_and_acquires_nothing_meanwhile(start_process):
    fake = FakeMaintenance()
    fake.add(1)
    async with serving(fake) as port:
        process, health_port = await started(
            start_process, TASKSTATE_TARGET=f"127.0.0.1:{port}", TASKSTATE_REDIS_URL="redis://127.0.0.1:1/0"
        )
        await await_until(lambda: process.events("waiting"))
        assert not await is_ready(health_port)
        await asyncio.to_thread(process.stop)
    assert [event["waiting_for"] for event in process.events("waiting")] == ["Redis"]
    assert fake.acquire_requests == []


class Link:
    """A TCP link to Redis that can be cut and mended, on one port all the time."""

    def __init__(self, redis_url: str) -> None:
        parts = urlsplit(redis_url)
        self._redis = (parts.hostname, parts.port)
        self.port = free_port()
        self.url = parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{self.port}").geturl()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _carry(self, reader, writer) -> None:
        onward_reader, onward_writer = await asyncio.open_connection(*self._redis)
        self._writers |= {writer, onward_writer}
        await asyncio.gather(self._copy(reader, onward_writer), self._copy(onward_reader, writer))

    async def _copy(self, source, sink) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
        except ConnectionError:
            pass
        finally:
            sink.close()


async def test_redis_goes_and_comes_back_and_nothing_is_lost(start_process, redis_url):
    fake = FakeMaintenance()
    link = Link(redis_url)
    await link.mend()
    async with serving(fake) as port:
        process, health_port = await started(
            start_process, TASKSTATE_TARGET=f"127.0.0.1:{port}", TASKSTATE_REDIS_URL=link.url
        )
        ids = fake.add(2)
        await await_until(lambda: len(fake.confirmed) == 2)
        await await_until(lambda: fake.waiting)
        await link.cut()
        # It learns of the cut when it wants to enqueue what the running long poll brings; that is handed out again.
        ids += fake.add(3)
        await await_until(lambda: process.events("waiting"))
        assert not await is_ready(health_port)
        assert len(fake.confirmed) == 2
        fake.end_leases()
        await link.mend()
        await await_until(lambda: len(fake.confirmed) == 5)
        await await_until(lambda: is_ready(health_port))
        await asyncio.to_thread(process.stop)
    await link.cut()
    with Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.lrange("rq:queue:default", 0, -1) == ids
    assert [event["waiting_for"] for event in process.events("waiting")] == ["Redis"]


async def test_its_log_is_json_lines_also_when_taskstate_ends_in_the_middle_of_a_call(
    start_process, redis_url, monkeypatch
):
    # gRPC's core by itself writes lines of its own form about it, unless it is told not to before it is loaded. We have
    # been told already, and the process must tell itself.
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
    fake = FakeMaintenance()
    async with serving(fake) as port:
        process, _ = await started(start_process, TASKSTATE_TARGET=f"127.0.0.1:{port}", TASKSTATE_REDIS_URL=redis_url)
        await await_until(lambda: fake.waiting)
    await await_until(lambda: process.events("waiting"))
    await asyncio.to_thread(process.stop)
    assert [line for line in process.lines if not line.startswith("{")] == []


async def test_a_port_in_use_is_one_line_and_code_1(start_process):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start_process("services.scheduler", env={"TASKSTATE_SCHEDULER_PORT": str(port)})
        assert await asyncio.to_thread(process.wait) == 1
    assert process.output == f"cannot listen on 127.0.0.1:{port}: the port is in use"


async def test_wrong_settings_are_one_line_each_and_code_2(start_process):
    env = {"TASKSTATE_SCHEDULER_PORT": "x", "TASKSTATE_REDIS_URL": "http://x"}
    process = start_process("services.scheduler", env=env)
    assert await asyncio.to_thread(process.wait) == 2
    assert sorted(line.split("=")[0] for line in process.lines) == [
        "wrong setting: TASKSTATE_REDIS_URL",
        "wrong setting: TASKSTATE_SCHEDULER_PORT",
    ]
