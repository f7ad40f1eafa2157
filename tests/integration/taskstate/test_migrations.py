"""Migrations make exactly the tables of `store.schema`, any number of times, and a wrong database is never served."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from grpc_health.v1 import health, health_pb2
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from services.taskstate.migrations.run import MigrationFailed, migrate, newest_migration
from services.taskstate.service import Replica
from services.taskstate.settings import TaskStateSettings
from services.taskstate.store.schema import metadata
from tests.integration.taskstate import steps
from tests.integration.taskstate.replicas import query, running_replica
from tests.support.processes import ProcessStarter
from tests.support.waiting import await_until

CATALOG = {
    "columns": """
        select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            coalesce(pg_get_expr(d.adbin, d.adrelid), ''), coalesce(col_description(c.oid, a.attnum), '')
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace""",
    "constraints": """
        select conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        from pg_constraint where connamespace = 'public'::regnamespace""",
    "indexes": "select tablename, indexname, indexdef from pg_indexes where schemaname = 'public'",
    "storage": """
        select relname, coalesce(reloptions::text, '') from pg_class
        where relkind = 'r' and relnamespace = 'public'::regnamespace""",
}


def catalog(url: str) -> dict[str, set[tuple[object, ...]]]:
    """What the database is made of, alembic's own table apart."""
    return {
        name: {row for row in query(url, statement) if row[0] != "alembic_version"}
        for name, statement in CATALOG.items()
    }


def engine_of(url: str):
    return create_engine(make_url(url).set(drivername="postgresql+psycopg2"), poolclass=NullPool)


def test_migrations_make_what_the_metadata_says(database_url: str, empty_database_url: str) -> None:
    with engine_of(empty_database_url).begin() as connection:
        metadata.create_all(connection)
    migrated, wanted = catalog(database_url), catalog(empty_database_url)
    for name, rows in wanted.items():
        assert rows, name
        assert migrated[name] == rows, name
    # CHECK constraints among them, which alembic does not compare.
    checks = [definition for _, _, definition in wanted["constraints"] if str(definition).startswith("CHECK")]
    assert len(checks) > 10


def test_alembic_finds_no_difference(database_url: str) -> None:
    with engine_of(database_url).connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "target_metadata": metadata}
        )
        assert compare_metadata(context, metadata) == []


def test_a_second_run_changes_nothing(empty_database_url: str) -> None:
    assert migrate(empty_database_url) == newest_migration()
    made = catalog(empty_database_url)
    revision = query(empty_database_url, "select * from revision")
    assert len(revision) == 1
    assert migrate(empty_database_url) == newest_migration()
    assert catalog(empty_database_url) == made
    assert query(empty_database_url, "select * from revision") == revision


def test_two_at_once_are_harmless(empty_database_url: str, database_url: str, start_process: ProcessStarter) -> None:
    env = {"TASKSTATE_DATABASE_URL": empty_database_url}
    processes = [start_process("services.taskstate", "migrate", env=env) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    for process in processes:
        assert [record["migration"] for record in process.events("migrated")] == [newest_migration()]
    assert catalog(empty_database_url) == catalog(database_url)
    assert query(empty_database_url, "select count(*) from revision") == [(1,)]


def test_a_database_of_a_newer_version_is_refused_in_one_line(database_url: str) -> None:
    query(database_url, "update alembic_version set version_num = '9999'")
    with pytest.raises(MigrationFailed, match="9999"):
        migrate(database_url)


def test_no_database_is_one_line() -> None:
    with pytest.raises(MigrationFailed, match=r"^[^\n]*Connection refused[^\n]*$"):
        migrate("postgresql://nobody@127.0.0.1:1/nothing")


def test_the_schema_refuses_a_second_running_attempt(database_url: str) -> None:
    insert = (
        "insert into attempt (task_id, attempt, fencing_token, start_id, replica_id, stream_id, worker, start_time)"
        " values (%s, %s, %s, '', '', '', '{}', now())"
    )
    task_id = steps.new_id()
    query(database_url, insert, task_id, 1, 1)
    with pytest.raises(Exception, match="attempt_running_key"):
        query(database_url, insert, task_id, 2, 2)
    query(database_url, "update attempt set attempt_end_time = now()")
    query(database_url, insert, task_id, 2, 2)


@asynccontextmanager
async def health_of(replica: Replica) -> AsyncIterator[health.aio.HealthServicer]:
    """The health that a replica keeps while it looks after its readiness."""
    servicer = health.aio.HealthServicer()
    await servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    readiness = asyncio.create_task(replica.run_readiness(servicer))
    replica.pipeline.start()
    try:
        yield servicer
    finally:
        readiness.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await readiness
        await replica.close()


async def status(servicer: health.aio.HealthServicer) -> int:
    return (await servicer.Check(health_pb2.HealthCheckRequest(), None)).status


async def test_an_empty_database_is_not_served_until_it_is_migrated(
    empty_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    replica = Replica(TaskStateSettings(database_url=empty_database_url))
    async with health_of(replica) as servicer:
        wanted = newest_migration()
        told = f"not ready: the database is at migration None, this version needs {wanted}"
        await await_until(lambda: told in caplog.messages, what="the replica says why")
        assert await status(servicer) == health_pb2.HealthCheckResponse.NOT_SERVING
        await asyncio.to_thread(migrate, empty_database_url)
        await await_until(lambda: replica.ready, what="the replica has seen the migration")
        await await_until(lambda: _is_serving(servicer), what="health is true")
        await steps.put_one(replica, steps.create())
    # Said once, not at every look.
    assert caplog.messages.count(told) == 1


@pytest.mark.parametrize("found", ["9999", "none at all"])
async def test_a_database_of_another_version_is_not_served(
    database_url: str, caplog: pytest.LogCaptureFixture, found: str
) -> None:
    right = newest_migration()
    query(database_url, "update alembic_version set version_num = %s", found)
    try:
        replica = Replica(TaskStateSettings(database_url=database_url))
        async with health_of(replica) as servicer:
            told = f"not ready: the database is at migration {found}, this version needs {right}"
            await await_until(lambda: told in caplog.messages, what="the replica says why")
            assert not await replica.check_ready()
            assert await status(servicer) == health_pb2.HealthCheckResponse.NOT_SERVING
            assert query(database_url, "select count(*) from replica") == [(0,)]
    finally:
        query(database_url, "update alembic_version set version_num = %s", right)


async def test_a_replica_whose_database_moves_on_is_no_longer_ready(database_url: str) -> None:
    right = newest_migration()
    async with running_replica(database_url) as replica:
        assert replica.ready
        query(database_url, "update alembic_version set version_num = '9999'")
        try:
            assert not await replica.check_ready()
        finally:
            query(database_url, "update alembic_version set version_num = %s", right)
        assert await replica.check_ready()


async def _is_serving(servicer: health.aio.HealthServicer) -> bool:
    return await status(servicer) == health_pb2.HealthCheckResponse.SERVING
