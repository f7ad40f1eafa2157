"""The process `python -m services.taskstate`: health, reflection, how it stops, and what it says when it cannot start."""

from __future__ import annotations

import asyncio
import signal
import socket

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from taskstate.channel import aio_channel
from taskstate.v1 import task_service_pb2 as service_pb
from taskstate.v1.task_service_pb2_grpc import TaskServiceStub
from taskstate.v1.worker_service_pb2_grpc import WorkerServiceStub

from services.taskstate.migrations.run import migrate, newest_migration
from services.taskstate.service import SERVICES
from services.up.port import free_port
from tests.integration.taskstate.replicas import database_away, query
from tests.integration.taskstate.supervisor import Supervisor
from tests.support.processes import ProcessStarter
from tests.support.waiting import await_until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health_of(channel: grpc.aio.Channel, service: str = "") -> int:
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
    return int(answer.status)


async def is_health(channel: grpc.aio.Channel, wanted: int) -> None:
    """Wait until the process and all of its services say so."""

    async def all_say_so() -> bool:
        return {await health_of(channel, name) for name in ("", *SERVICES)} == {wanted}

    await await_until(all_say_so, 15, f"health is {wanted}")


async def test_health_follows_the_database(empty_database_url: str, start_process: ProcessStarter) -> None:
    process = start_process("services.taskstate", env={"TASKSTATE_DATABASE_URL": empty_database_url})
    async with aio_channel(f"127.0.0.1:{process.port()}") as channel:
        # It answers, and says that it is not ready: its database has no tables.
        told = process.wait_for_event("not_ready")
        assert told["message"].endswith(f"is at migration None, this version needs {newest_migration()}")
        await is_health(channel, NOT_SERVING)
        await asyncio.to_thread(migrate, empty_database_url)
        await is_health(channel, SERVING)
        task = (await TaskServiceStub(channel).CreateTask(service_pb.CreateTaskRequest(type="canary"), timeout=5)).task
        with database_away(empty_database_url):
            await is_health(channel, NOT_SERVING)
            # Alive all the same: a restart would not bring the database back.
            assert await health_of(channel, "live") == SERVING
        await is_health(channel, SERVING)
        found = await TaskServiceStub(channel).GetTask(service_pb.GetTaskRequest(task_id=task.task_id), timeout=5)
        assert found.task == task
    process.stop()


async def test_it_stops_within_its_grace_and_tells_everybody(database_url: str, start_process: ProcessStarter) -> None:
    env = {"TASKSTATE_DATABASE_URL": database_url, "TASKSTATE_DRAIN_GRACE_SECONDS": "1"}
    process = start_process("services.taskstate", env=env)
    async with aio_channel(f"127.0.0.1:{process.port()}") as channel:
        await is_health(channel, SERVING)
        await _reflection_lists_everything(channel)
        watch = TaskServiceStub(channel).WatchTasks(service_pb.WatchTasksRequest())
        snapshot = await watch.read()
        assert snapshot.HasField("checkpoint")
        worker = Supervisor(WorkerServiceStub(channel))
        await worker.welcomed()
        health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await health.read()).status == SERVING
        process.send(signal.SIGTERM)
        assert (await health.read()).status == NOT_SERVING
        await await_until(lambda: [m for m in worker.received if m.WhichOneof("body") == "drain"], what="a drain")
        async with asyncio.timeout(5):
            assert await watch.code() is grpc.StatusCode.UNAVAILABLE
        assert await worker.ended() is grpc.StatusCode.UNAVAILABLE
        assert await asyncio.to_thread(process.wait) == 0
    # Its streams have the rest of a lease to come back elsewhere: it ends by itself.
    assert query(database_url, "select count(*) from replica where lease_until > clock_timestamp()") == [(1,)]
    assert process.events("stopped")
    assert process.events("internal_error") == []
    assert "Traceback" not in process.output


async def _reflection_lists_everything(channel: grpc.aio.Channel) -> None:
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = {service.name for service in (await call.read()).list_services_response.service}
    assert listed == {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    for name in SERVICES:
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name))
        described = (await call.read()).file_descriptor_response.file_descriptor_proto
        assert FileDescriptorProto.FromString(described[0]).package == "taskstate.v1"
    await call.done_writing()


def test_a_port_in_use_is_one_line(database_url: str, start_process: ProcessStarter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = {"TASKSTATE_DATABASE_URL": database_url, "TASKSTATE_GRPC_PORT": str(port)}
        process = start_process("services.taskstate", env=env)
        assert process.wait() == 1
    assert list(process.lines) == [f"cannot listen on 127.0.0.1:{port}: the port is in use"]


def test_all_wrong_settings_are_told_together(start_process: ProcessStarter) -> None:
    env = {
        "TASKSTATE_DATABASE_URL": "",
        "TASKSTATE_GRPC_PORT": "many",
        "TASKSTATE_BATCH_MAX": "0",
        "TASKSTATE_GROUP_LIMITS": '{"agent": "x"}',
        "MAX_CONCURRENT_TASKS": "-1",
    }
    process = start_process("services.taskstate", env=env)
    assert process.wait() == 2
    assert len(process.lines) == len(env)
    for name in env:
        assert [line for line in process.lines if line.startswith("wrong setting: ") and name in line], name


def test_a_migration_without_a_database_fails(start_process: ProcessStarter) -> None:
    url = f"postgresql://nobody:secret@127.0.0.1:{free_port()}/none"
    process = start_process("services.taskstate", "migrate", env={"TASKSTATE_DATABASE_URL": url})
    assert process.wait() == 1
    assert "secret" not in process.output
