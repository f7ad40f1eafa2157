"""A crowd of readers: what may not wait does not wait behind it, and whoever waits is told in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from services.taskstate.database import DatabaseUnavailable
from services.taskstate.service import Replica
from services.taskstate.store import feed_read
from services.taskstate.store.task_query import read_revision
from tests.integration.taskstate import steps
from tests.integration.taskstate.replicas import running_replica
from tests.integration.taskstate.watcher import Watcher, watch
from tests.support.waiting import await_until


@pytest.fixture
async def crowded(replica: Replica) -> AsyncIterator[Replica]:
    """A replica all of whose readers' threads are taken."""
    go = threading.Event()
    taken = [asyncio.ensure_future(replica.database.call(lambda: go.wait(30))) for _ in range(50)]
    try:
        yield replica
    finally:
        go.set()
        await asyncio.gather(*taken)


async def test_the_lease_and_the_feed_do_not_wait_behind_a_crowd(crowded: Replica, database_url: str) -> None:
    async with asyncio.timeout(5):
        assert await crowded.leases.renew_once()
        assert await crowded.check_ready()
        async with running_replica(database_url) as other:
            task = await steps.put_one(other, steps.create())
            await await_until(lambda: crowded.feed.revision >= task.revision, what="the feed follows another replica")


async def test_a_resume_within_the_ring_asks_nobody(crowded: Replica) -> None:
    at = crowded.feed.revision
    task = await steps.put_one(crowded, steps.create())
    watchers = [Watcher(watch(crowded, at)) for _ in range(20)]
    for watcher in watchers:
        await watcher.reaches(task.revision, timeout=5)
        await watcher.stop()


async def test_a_read_that_gets_no_thread_is_unavailable_in_time(
    crowded: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.taskstate.database.READ_MAX_S", 0.05)
    with pytest.raises(DatabaseUnavailable):
        await crowded.database.read(read_revision)


async def test_few_watchers_read_their_snapshots_at_once(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    reading: list[int] = []
    read_snapshot = feed_read.read_snapshot

    def wait_then_read(*args: object) -> object:
        reading.append(1)
        assert go.wait(10)
        return read_snapshot(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(feed_read, "read_snapshot", wait_then_read)
    watchers = [Watcher(watch(replica)) for _ in range(30)]
    try:
        await await_until(lambda: len(reading) == 4, what="the first snapshots are being read")
        # Other readers find a thread meanwhile.
        async with asyncio.timeout(5):
            await replica.database.read(read_revision)
        assert len(reading) == 4
    finally:
        go.set()
    for watcher in watchers:
        await watcher.begun()
        await watcher.stop()
    assert len(reading) == 30
