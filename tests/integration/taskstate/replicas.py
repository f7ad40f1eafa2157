"""Replicas of TaskState inside the test's own process, as many on one database as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg2
from grpc_health.v1 import health
from taskstate.v1.maintenance_service_pb2_grpc import add_MaintenanceServiceServicer_to_server
from taskstate.v1.task_service_pb2_grpc import add_TaskServiceServicer_to_server
from taskstate.v1.worker_service_pb2_grpc import add_WorkerServiceServicer_to_server

from services.runtime import serving
from services.taskstate.api.interceptors import ErrorInterceptor
from services.taskstate.feed import FeedSettings
from services.taskstate.service import SERVICES, Replica
from services.taskstate.settings import TaskStateSettings
from tests.support.waiting import await_until


class DeafListener:
    """Stands for a LISTEN connection that never hears anything."""

    async def run(self) -> None:
        await asyncio.Event().wait()


@asynccontextmanager
async def running_replica(
    database_url: str,
    *,
    feed: FeedSettings | None = None,
    pipeline: dict[str, Any] | None = None,
    listening: bool = True,
    until_ready: bool = True,
    **settings: Any,
) -> AsyncIterator[Replica]:
    """A replica whose parts run on the test's loop: pipeline, feed, lease and listener, without a port."""
    replica = Replica(TaskStateSettings(database_url=database_url, **settings))
    if feed is not None:
        replica.feed.settings = feed
    if not listening:
        replica.listener = DeafListener()  # type: ignore[assignment]
    replica.pipeline.settings = replace(replica.pipeline.settings, **pipeline or {})
    replica.pipeline.start()
    readiness = asyncio.create_task(replica.run_readiness(health.aio.HealthServicer()))
    try:
        if until_ready:
            await await_until(lambda: replica.ready or readiness.done(), what="the replica is ready")
            assert not readiness.done()
        yield replica
    finally:
        await replica.stop()
        readiness.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await readiness
        await replica.close()


@dataclass(frozen=True)
class Served:
    """A replica with a port."""

    replica: Replica
    target: str


@asynccontextmanager
async def served_replica(database_url: str, **settings: Any) -> AsyncIterator[Served]:
    """A replica behind a real gRPC server, as the process composes it."""
    async with running_replica(database_url, **settings) as replica:
        server = serving.new_grpc_server((ErrorInterceptor(),))
        add_TaskServiceServicer_to_server(replica.tasks, server)
        add_WorkerServiceServicer_to_server(replica.workers, server)
        add_MaintenanceServiceServicer_to_server(replica.maintenance, server)
        await serving.add_health_and_reflection(server, SERVICES, serving=True)
        port = serving.bind(server, "127.0.0.1", 0)
        await server.start()
        try:
            yield Served(replica, f"127.0.0.1:{port}")
        finally:
            await server.stop(0)


def query(database_url: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Run one statement on a connection of its own, commit, and answer its rows."""
    with closing(psycopg2.connect(database_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []


def newest_revision(database_url: str) -> int:
    """The newest revision, as the database has it."""
    return int(query(database_url, "select n from revision")[0][0])


def terminate_backends(database_url: str, application_name: str = "%") -> int:
    """Kill the connections to this database whose application name is like this; answers how many there were."""
    found = query(
        database_url,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid() and application_name like %s",
        application_name,
    )
    return len(found)


@contextmanager
def database_away(database_url: str) -> Iterator[None]:
    """Cut everybody off this database, and let nobody in until the end of the block."""
    server, _, name = database_url.rpartition("/")
    postgres = f"{server}/postgres"
    query(postgres, f'alter database "{name}" with allow_connections false')
    try:
        query(postgres, "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", name)
        yield
    finally:
        query(postgres, f'alter database "{name}" with allow_connections true')
