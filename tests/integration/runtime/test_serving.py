"""The gRPC server on real sockets: health, reflection, ports, signals, and a client that freezes."""

import asyncio
import os
import signal
import socket
from collections import Counter

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from taskstate.channel import aio_channel, sync_channel

from services.runtime.serving import (
    LIVE_SERVICE,
    KeepAlive,
    add_health_and_reflection,
    bind,
    install_stop_event,
    new_grpc_server,
    run,
    set_health,
)
from tests.support.waiting import await_until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
NAME = "taskstate.v1.TaskService"


@pytest.fixture
async def server():
    server = new_grpc_server()
    server.health = await add_health_and_reflection(server, (NAME,))
    server.port = bind(server, "127.0.0.1", 0)
    await server.start()
    yield server
    await server.stop(0)


async def test_health_follows_what_is_set(server):
    async with aio_channel(f"127.0.0.1:{server.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def statuses():
            names = ("", NAME, LIVE_SERVICE)
            return [(await stub.Check(health_pb2.HealthCheckRequest(service=n), timeout=5)).status for n in names]

        assert await statuses() == [NOT_SERVING, NOT_SERVING, SERVING]
        await set_health(server.health, (NAME,), serving=True)
        assert await statuses() == [SERVING, SERVING, SERVING]
        await set_health(server.health, (NAME,), serving=False)
        assert await statuses() == [NOT_SERVING, NOT_SERVING, SERVING]


async def test_reflection_lists_the_services(server):
    async with aio_channel(f"127.0.0.1:{server.port}") as channel:
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        answer = await call.read()
        await call.done_writing()
        names = {service.name for service in answer.list_services_response.service}
    assert names == {NAME, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


async def test_a_port_in_use_is_one_clear_line(server):
    second = new_grpc_server()
    with pytest.raises(SystemExit) as ended:
        bind(second, "127.0.0.1", server.port)
    assert ended.value.code == f"cannot listen on 127.0.0.1:{server.port}: the port is in use"
    await second.stop(0)


async def test_a_port_somebody_took_since_we_looked_is_one_clear_line_too(server, monkeypatch):
    monkeypatch.setattr("services.runtime.serving._why_not_bindable", lambda host, port: None)
    second = new_grpc_server()
    with pytest.raises(SystemExit, match=f"cannot listen on 127.0.0.1:{server.port}: "):
        bind(second, "127.0.0.1", server.port)
    await second.stop(0)


async def test_an_address_of_another_host_is_refused():
    server = new_grpc_server()
    with pytest.raises(SystemExit, match=r"cannot listen on 192\.0\.2\.1:0: "):
        bind(server, "192.0.2.1", 0)
    await server.stop(0)


async def test_a_port_with_connections_in_time_wait_can_be_had_again():
    # A restart must not have to wait a minute: the side that closes first keeps its port in TIME_WAIT.
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)) as client:
        listener.accept()[0].close()
        assert client.recv(1) == b""
    listener.close()
    server = new_grpc_server()
    assert bind(server, "127.0.0.1", port) == port
    await server.stop(0)


async def test_a_message_over_4_mib_is_refused(server):
    async with aio_channel(f"127.0.0.1:{server.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            await stub.Check(health_pb2.HealthCheckRequest(service="x" * (4 * 1024 * 1024)), timeout=5)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_burst_of_calls_is_answered_whole(server):
    # By default gRPC drops some of more than 1,000 calls that wait to be taken up, as CANCELLED.
    with sync_channel(f"127.0.0.1:{server.port}") as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        await asyncio.to_thread(check, health_pb2.HealthCheckRequest(), timeout=10)
        # Sent from the server's own event loop, so that it takes none up before all are on their way.
        calls = [check.future(health_pb2.HealthCheckRequest(), timeout=30) for _ in range(2500)]
        codes = await asyncio.to_thread(lambda: Counter(call.code() for call in calls))
    assert codes == {grpc.StatusCode.OK: 2500}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_set_the_stop_event_once(number, caplog):
    caplog.set_level("INFO")
    loop = asyncio.get_running_loop()
    stop = install_stop_event(loop)
    try:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 5)
        os.kill(os.getpid(), number)
        # The second one goes the same way, so it has been handled when a call behind it in the loop runs.
        handled = asyncio.Event()
        await asyncio.to_thread(lambda: None)
        loop.call_soon(handled.set)
        await handled.wait()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)
    stopping = [record for record in caplog.records if record.__dict__.get("event") == "stopping"]
    assert [record.__dict__["signal"] for record in stopping] == [number.name]


@pytest.mark.parametrize(("answer", "code"), [(None, 0), (0, 0), (4, 4)])
def test_run_exits_with_the_code_of_the_main_coroutine(answer, code):
    async def main():
        return answer

    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == code


async def test_a_frozen_client_is_noticed(start_process):
    # Without grpc.http2.ping_timeout_ms this takes a minute, whatever the keep-alive time-out says.
    ended = asyncio.Event()

    class Noticing(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation, details):
            handler = await continuation(details)

            async def watch(request, context):
                try:
                    await handler.unary_stream(request, context)
                finally:
                    ended.set()

            return grpc.unary_stream_rpc_method_handler(
                watch,
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )

    server = new_grpc_server([Noticing()], keep_alive=KeepAlive(time_s=0.5, timeout_s=0.5, peer_interval_min_s=0.1))
    await add_health_and_reflection(server, (), serving=True)
    port = bind(server, "127.0.0.1", 0)
    await server.start()
    client = start_process("tests.support.grpc_peer", "watch", f"127.0.0.1:{port}")
    try:
        await await_until(lambda: client.events("watching"), timeout=20)
        # Longer than two pings: a silent stream of a client that lives must stay.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ended.wait(), 1.3)
        client.send(signal.SIGSTOP)
        await asyncio.wait_for(ended.wait(), 3)
    finally:
        client.kill()
        await server.stop(0)
