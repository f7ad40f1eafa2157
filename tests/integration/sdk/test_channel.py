"""The client's channel against real servers that come, go and freeze."""

import asyncio
import signal
import socket

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from taskstate.channel import KeepAlive, aio_channel, sync_channel
from taskstate.errors import from_rpc_error
from taskstate.v1 import maintenance_service_pb2 as pb
from taskstate.v1.maintenance_service_pb2_grpc import MaintenanceServiceStub

from tests.support.fake_maintenance import FakeMaintenance, serving
from tests.support.waiting import await_until

ACQUIRE = pb.AcquireDispatchesRequest(max_dispatches=10)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


async def test_an_idempotent_call_survives_a_short_unavailability():
    fake = FakeMaintenance(acquire_failures=[grpc.StatusCode.UNAVAILABLE] * 2)
    fake.add(1)
    async with serving(fake) as port, aio_channel(f"127.0.0.1:{port}") as channel:
        answer = await MaintenanceServiceStub(channel).AcquireDispatches(ACQUIRE, timeout=5)
    assert len(answer.dispatches) == 1
    assert len(fake.acquire_requests) == 3


async def test_an_idempotent_call_that_a_stopping_server_dropped_is_repeated():
    fake = FakeMaintenance(acquire_failures=[grpc.StatusCode.CANCELLED])
    async with serving(fake) as port, aio_channel(f"127.0.0.1:{port}") as channel:
        await MaintenanceServiceStub(channel).AcquireDispatches(ACQUIRE, timeout=5)
    assert len(fake.acquire_requests) == 2


def test_our_own_cancellation_is_told_from_the_servers():
    with sync_channel("127.0.0.1:1") as channel:
        call = MaintenanceServiceStub(channel).AcquireDispatches.future(ACQUIRE, wait_for_ready=True)
        call.cancel()
        with pytest.raises(grpc.FutureCancelledError):
            call.result()
        assert from_rpc_error(call).code == "CANCELLED"


async def test_no_other_error_is_repeated():
    fake = FakeMaintenance(acquire_failures=[grpc.StatusCode.INTERNAL])
    async with serving(fake) as port, aio_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.RpcError) as failed:
            await MaintenanceServiceStub(channel).AcquireDispatches(ACQUIRE, timeout=5)
    assert failed.value.code() == grpc.StatusCode.INTERNAL
    assert len(fake.acquire_requests) == 1


async def test_reconnects_within_a_second_of_the_servers_return():
    port = free_port()
    async with aio_channel(f"127.0.0.1:{port}") as channel:
        stub = MaintenanceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as failed:
            await stub.AcquireDispatches(ACQUIRE, timeout=5)
        assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
        async with serving(FakeMaintenance(), port):
            # gRPC's own back-off would have grown to some seconds by now.
            await stub.AcquireDispatches(ACQUIRE, timeout=2, wait_for_ready=True)


async def test_several_targets_share_the_calls_and_cover_for_each_other():
    first, second = FakeMaintenance(), FakeMaintenance()
    async with serving(second) as second_port:
        async with serving(first) as first_port:
            target = f"127.0.0.1:{first_port},localhost:{second_port}"
            async with aio_channel(target) as channel:
                stub = MaintenanceServiceStub(channel)

                async def both_used():
                    await stub.AcquireDispatches(ACQUIRE, timeout=5)
                    return first.acquire_requests and second.acquire_requests

                await await_until(both_used)
        async with aio_channel(target) as channel:
            stub = MaintenanceServiceStub(channel)
            for _ in range(4):
                await stub.AcquireDispatches(ACQUIRE, timeout=5)


async def test_a_frozen_server_is_noticed(start_process):
    peer = start_process("tests.support.grpc_peer", "serve")
    target = f"127.0.0.1:{await asyncio.to_thread(peer.port)}"
    async with aio_channel(target, keep_alive=KeepAlive(time_s=0.5, timeout_s=0.5)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        peer.send(signal.SIGSTOP)
        with pytest.raises(grpc.RpcError) as lost:
            await asyncio.wait_for(watch.read(), 4)
        assert lost.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_the_sync_channel_works_from_a_thread():
    fake = FakeMaintenance()
    fake.add(1)

    def call(port):
        with sync_channel(f"127.0.0.1:{port}") as channel:
            return MaintenanceServiceStub(channel).AcquireDispatches(ACQUIRE, timeout=5)

    async with serving(fake) as port:
        answer = await asyncio.to_thread(call, port)
    assert len(answer.dispatches) == 1
