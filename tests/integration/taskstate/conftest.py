"""Fixtures on TaskState's core: replicas in the test's process, on an emptied database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.taskstate.service import Replica
from services.taskstate.store.schema import metadata
from services.up.embedded_postgres import EmbeddedPostgres
from tests.integration.taskstate.replicas import Served, query, running_replica, served_replica, terminate_backends
from tests.integration.taskstate.steps import declare

TABLES = [table.name for table in metadata.sorted_tables]


@pytest.fixture(scope="session")
def core_database(postgres_server: EmbeddedPostgres, migrated_template: str) -> str:
    """The database that these tests use one after the other: emptying one is several times faster than a clone."""
    query(postgres_server.url("postgres"), f"create database core template {migrated_template} strategy file_copy")
    url = postgres_server.url("core")
    # The few rows that the migrations themselves make are kept aside, and put back each time.
    copies = "; ".join(f'create table made."{name}" as select * from public."{name}"' for name in TABLES)
    query(url, f"create schema made; {copies}")
    return url


@pytest.fixture
def database_url(core_database: str) -> str:
    """A migrated database as the migrations leave it."""
    terminate_backends(core_database)
    emptied = ", ".join(f'public."{name}"' for name in TABLES)
    put_back = "; ".join(f'insert into public."{name}" select * from made."{name}"' for name in TABLES)
    query(core_database, f"truncate {emptied}; {put_back}")
    return core_database


@pytest.fixture
async def replica(database_url: str) -> AsyncIterator[Replica]:
    """One replica that is ready, with the type `canary` declared."""
    async with running_replica(database_url) as running:
        await declare(running)
        yield running


@pytest.fixture
async def served(database_url: str) -> AsyncIterator[Served]:
    """One replica behind a gRPC server, with the type `canary` declared."""
    async with served_replica(database_url) as running:
        await declare(running.replica)
        yield running
