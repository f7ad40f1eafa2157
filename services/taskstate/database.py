"""The bridge from the event loop to PostgreSQL: blocking reads and small writes in a bounded pool of threads.

The pipeline has a connection and a thread of its own; everything else goes through here, so that no statement ever blocks
the loop and no crowd of requests opens more than `pool_size` connections. What may not wait behind a crowd (the lease, the
feed) has a pool of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from services.taskstate.store.engine import open_engine

READ_MAX_S = 10.0
"""How long a read may take with its wait for a thread: behind a crowd, or a database that has vanished, it is not to be
had, and the caller should know. Above what one read can take: 3 s to connect, 5 s for its statement."""

P = ParamSpec("P")
R = TypeVar("R")


class DatabaseUnavailable(Exception):
    """The database did not answer; the call may be tried again."""


class Database:
    """Runs functions of the store in threads. Raises DatabaseUnavailable for everything the database refuses."""

    def __init__(self, database_url: str, application_name: str, pool_size: int = 8) -> None:
        self.url = database_url
        self.engine = open_engine(database_url, application_name, pool_size)
        self._reads = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._executor = ThreadPoolExecutor(pool_size, thread_name_prefix="database")

    async def read(self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one function of the store in a read-only transaction that sees one state, within 10 s."""

        def run() -> R:
            with self._reads.begin() as connection:
                return function(connection, *args, **kwargs)

        try:
            async with asyncio.timeout(READ_MAX_S):
                return await self._in_thread(run)
        except TimeoutError as error:
            raise DatabaseUnavailable(f"no answer within {READ_MAX_S:g} s") from error

    async def write(self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one function of the store in a transaction outside the one order."""

        def run() -> R:
            with self.engine.begin() as connection:
                return function(connection, *args, **kwargs)

        return await self._in_thread(run)

    async def call(self, function: Callable[[], R]) -> R:
        """Run any blocking function in the pool."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    async def _in_thread(self, run: Callable[[], R]) -> R:
        try:
            return await self.call(run)
        except SQLAlchemyError as error:
            raise DatabaseUnavailable(str(error)) from error

    def close(self) -> None:
        """Close the threads and the connections; blocks until running statements are done."""
        self._executor.shutdown()
        self.engine.dispose()
