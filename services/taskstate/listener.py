"""Hears other replicas' commits: one LISTEN connection, made again whenever it breaks.

A notification says only "somebody committed up to here"; one that is lost costs at most the feed's polling interval.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import psycopg2
from psycopg2 import extensions

from services.taskstate.database import Database
from services.taskstate.store.engine import open_listener

log = logging.getLogger(__name__)

RECONNECT_S = 0.5


class Listener:
    """Calls `on_notify` on the event loop with the newest revision told of; with None when some may have been missed."""

    def __init__(self, database_url: str, database: Database, on_notify: Callable[[int | None], None]) -> None:
        self._database_url = database_url
        self._database = database
        self._on_notify = on_notify

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                connection = await self._database.call(lambda: open_listener(self._database_url))
            except psycopg2.Error as error:
                log.debug("cannot listen: %s", error, extra={"event": "listen_failed"})
                await asyncio.sleep(RECONNECT_S)
                continue
            # What was committed while nobody listened has to be read.
            self._on_notify(None)
            try:
                await self._hear(connection)
            finally:
                connection.close()
            await asyncio.sleep(RECONNECT_S)

    async def _hear(self, connection: extensions.connection) -> None:
        """Answer when the connection has broken."""
        loop = asyncio.get_running_loop()
        broken = asyncio.Event()

        def readable() -> None:
            try:
                connection.poll()
            except psycopg2.Error as error:
                log.info("the listening connection broke: %s", error, extra={"event": "listen_broken"})
                broken.set()
                return
            # A payload that is no number is not ours; the feed's own polling tells what it may have meant.
            revisions = [int(notify.payload) for notify in connection.notifies if notify.payload.isdecimal()]
            connection.notifies.clear()
            if revisions:
                self._on_notify(max(revisions))

        number = connection.fileno()
        loop.add_reader(number, readable)
        try:
            await broken.wait()
        finally:
            loop.remove_reader(number)
