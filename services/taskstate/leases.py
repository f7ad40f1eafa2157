"""This replica's own lease: the row that says it may vouch for the streams it holds.

There is no lease per task: an attempt is held while the replica that holds its supervisor's stream is alive, and a replica
is alive while it renews its one row. Renewing takes no revision, so it never waits for the writers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
import uuid

from services.taskstate.database import Database, DatabaseUnavailable
from services.taskstate.store import lease_rows
from services.taskstate.store.lease_rows import ReplicaIdentity

log = logging.getLogger(__name__)


def new_identity() -> ReplicaIdentity:
    """A new replica: its id names its host for people, and is new at each start, as names and pids come back."""
    host = socket.gethostname()
    return ReplicaIdentity(f"{host[:40]}-{uuid.uuid4().hex[:12]}", host, os.getpid())


class Leases:
    """Keeps the replica's row alive."""

    def __init__(self, database: Database, replica: ReplicaIdentity, ttl_s: float) -> None:
        self.replica = replica
        self._database = database
        self._ttl_s = ttl_s
        self._renewed = 0.0

    @property
    def held(self) -> bool:
        """Whether renewals succeed: false once they have failed for half a lease."""
        return time.monotonic() - self._renewed < self._ttl_s / 2

    async def register(self) -> None:
        """Make the rows; raises DatabaseUnavailable."""
        await self._database.write(lease_rows.register, self.replica, self._ttl_s)
        self._renewed = time.monotonic()

    async def renew_once(self) -> bool:
        """Renew; answers whether it succeeded. A row that somebody forgot is made anew."""
        asked = time.monotonic()
        try:
            until = await self._database.write(lease_rows.renew, self.replica.replica_id, self._ttl_s)
            if until is None:
                await self._database.write(lease_rows.register, self.replica, self._ttl_s)
        except DatabaseUnavailable as error:
            log.warning("the lease was not renewed: %s", error, extra={"event": "lease_not_renewed"})
            return False
        self._renewed = asked
        return True

    async def run(self) -> None:
        """Renew four times a lease, until cancelled; sooner after a failure."""
        while True:
            renewed = await self.renew_once()
            await asyncio.sleep(self._ttl_s / 4 if renewed else min(1.0, self._ttl_s / 20))

    async def retire(self) -> None:
        """Renew once more: the supervisors of a replica that stops have the whole lease to move to another."""
        await self.renew_once()
