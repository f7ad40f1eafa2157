"""Fixtures for everybody: a fresh PostgreSQL database and an empty Redis per test, on servers started once a session.

Session-scoped and lazy: a run of unit tests alone starts no server. With xdist each worker process has its own.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
import redis

from services.up.data_folder import DataFolder
from services.up.embedded_postgres import EmbeddedPostgres
from services.up.embedded_redis import EmbeddedRedis
from tests.support.processes import Processes, ProcessStarter
from tests.support.servers import running_postgres, running_redis, temporary_data_folder

# Whoever starts the suite in the background of a script, or under nohup, makes it ignore these signals, and all it starts
# would inherit that: what they do could not be tested.
for _number, _default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)

TEMPLATE = "taskstate_template"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def session_data_folder() -> Iterator[DataFolder]:
    """A data folder for the session's servers."""
    with temporary_data_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_server(session_data_folder: DataFolder) -> Iterator[EmbeddedPostgres]:
    """The session's PostgreSQL."""
    with running_postgres(session_data_folder) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server_of_session(session_data_folder: DataFolder) -> Iterator[EmbeddedRedis]:
    """The session's Redis-compatible server."""
    with running_redis(session_data_folder) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """Name of a database that all migrations have run on; clones of it cost some ten milliseconds."""
    # Imported when it is needed: the tests of the SDK do not load the services' database code.
    from services.taskstate.migrations.run import migrate

    postgres_server.ensure_database(TEMPLATE)
    migrate(postgres_server.url(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    yield from _database(postgres_server, migrated_template)


@pytest.fixture
def empty_database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A database of the test's own without any table."""
    yield from _database(postgres_server, "template0")


def _database(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    with closing(psycopg2.connect(server.url("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"create database {name} template {template} strategy file_copy")
            try:
                yield server.url(name)
            finally:
                # Force: a process that the test has killed may not have closed its connections yet.
                cursor.execute(f"drop database {name} with (force)")


@pytest.fixture
def redis_url(redis_server_of_session: EmbeddedRedis) -> str:
    """An empty Redis database; tests of one worker process run one after the other, so they can share it."""
    url = redis_server_of_session.url()
    with closing(redis.Redis.from_url(url)) as client:
        client.flushall()
    return url


@pytest.fixture
def start_process() -> Iterator[ProcessStarter]:
    """Start real service processes; what still runs at the end of the test is killed."""
    with Processes() as processes:
        yield processes.start
