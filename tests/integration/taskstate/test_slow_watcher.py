"""A watcher that stops taking: it is let go with the cursor of what it was sent, not of what was meant for it."""

from __future__ import annotations

from typing import Any

import pytest
from taskstate.v1 import task_service_pb2 as pb

from services.taskstate.api import render, task_service
from services.taskstate.api.errors import ApiError
from services.taskstate.service import Replica
from tests.integration.taskstate import steps
from tests.integration.taskstate.replicas import newest_revision
from tests.integration.taskstate.watcher import event_revisions
from tests.support.waiting import await_until


class Stalling:
    """A call's context whose peer takes a few messages, and then nothing."""

    def __init__(self, messages: int) -> None:
        self._left = messages
        self.taken: list[pb.WatchTasksResponse] = []

    async def write(self, message: pb.WatchTasksResponse) -> None:
        if self._left == 0:
            await await_until(lambda: False, 10)
        self._left -= 1
        self.taken.append(message)


async def let_go(replica: Replica, context: Stalling, **request: Any) -> ApiError:
    """Watch until the replica lets the watcher go."""
    with pytest.raises(ApiError) as caught:
        await replica.tasks.WatchTasks(pb.WatchTasksRequest(**request), context)  # type: ignore[arg-type]
    assert caught.value.reason == "SLOW_WATCHER"
    return caught.value


async def test_a_slow_watcher_resumes_from_what_it_was_sent(
    replica: Replica, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_service, "WRITE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(render, "WATCH_MESSAGE_BYTES", 1)  # Each change in a message of its own.
    await steps.put(replica, *(steps.create() for _ in range(4)))
    context = Stalling(messages=2)
    error = await let_go(replica, context, from_revision=0)
    sent = [change.event.revision for message in context.taken for change in message.changes]
    assert sent == event_revisions(database_url)[:2]
    assert error.metadata == {"revision": str(sent[-1])}


async def test_a_slow_watcher_that_has_no_cursor_yet_starts_again(
    replica: Replica, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_service, "WRITE_TIMEOUT_S", 0.05)
    assert (await let_go(replica, Stalling(messages=0))).metadata == {}
    newest = newest_revision(database_url)
    assert (await let_go(replica, Stalling(messages=1))).metadata == {"revision": str(newest)}
