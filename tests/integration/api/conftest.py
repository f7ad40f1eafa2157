"""One real TaskState for all tests here: they mostly send what changes nothing, and check that nothing changed."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import grpc
import psycopg2
import pytest
from taskstate.channel import sync_channel

from services.up.embedded_postgres import EmbeddedPostgres
from tests.support.processes import Processes

DATABASE = "api_bad_input"


@dataclass(frozen=True)
class Core:
    """A running TaskState and the door to its database."""

    target: str
    channel: grpc.Channel
    database: psycopg2.extensions.connection

    def counts(self) -> tuple[int, ...]:
        """The newest revision, and how many tasks and events there are."""
        statement = "select (select n from revision), (select count(*) from task_spec), (select count(*) from event)"
        with self.database.cursor() as cursor:
            cursor.execute(statement)
            return tuple(cursor.fetchone())

    def execute(self, statement: str, *parameters: object) -> None:
        """Does by hand what there is no API for yet."""
        with self.database.cursor() as cursor:
            cursor.execute(statement, parameters)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Fails if the block changes anything."""
        before = self.counts()
        yield
        assert self.counts() == before


@pytest.fixture(scope="session")
def core(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[Core]:
    with closing(psycopg2.connect(postgres_server.url("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"drop database if exists {DATABASE} with (force)")
            cursor.execute(f"create database {DATABASE} template {migrated_template} strategy file_copy")
    url = postgres_server.url(DATABASE)
    with Processes() as processes:
        process = processes.start("services.taskstate", env={"TASKSTATE_DATABASE_URL": url})
        target = f"127.0.0.1:{process.port()}"
        with sync_channel(target) as channel, closing(psycopg2.connect(url)) as database:
            database.autocommit = True
            process.wait_for_event("ready")
            yield Core(target, channel, database)
        process.stop()
        # Nothing that a caller sends may be an unforeseen error, whatever the caller was told.
        assert process.events("internal_error") == []
