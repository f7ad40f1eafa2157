"""A connection lost at COMMIT: the outcome is settled before anybody is told that it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg2
import pytest

from services.taskstate.service import Replica
from tests.integration.taskstate import steps
from tests.integration.taskstate.replicas import (
    database_away,
    newest_revision,
    query,
    running_replica,
    terminate_backends,
)
from tests.support.waiting import await_until

PIPELINE = "taskstate pipeline"


@contextmanager
def lost_commit(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, lose: Callable[[Callable[[], None]], None]
) -> Iterator[list[str]]:
    """Make the pipeline's next COMMIT lose its connection; `lose` is given the true COMMIT to do or to leave."""
    dialect = replica.pipeline.engine.dialect
    do_commit = dialect.do_commit
    lost: list[str] = []

    def commit(connection: Any) -> None:
        if lost:
            do_commit(connection)
            return
        lost.append("lost")
        lose(lambda: do_commit(connection))
        raise psycopg2.OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(dialect, "do_commit", commit)
        yield lost


async def test_a_commit_whose_answer_was_lost_is_settled_as_committed(
    replica: Replica, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = steps.create()
    before = replica.pipeline.batches
    with lost_commit(replica, monkeypatch, lambda commit: commit()) as lost:
        tasks = await steps.put(replica, command, steps.hand_out(command.task_id))
    assert lost == ["lost"]
    assert [task.dispatch for task in tasks] == [0, 1]
    assert replica.pipeline.batches - before == 1
    assert query(database_url, "select kind from event order by revision") == [("CREATED",), ("HANDED_OUT",)]
    # It reached the feed as any other batch.
    assert replica.feed.revision == newest_revision(database_url) == tasks[-1].revision


async def test_a_lost_commit_is_settled_before_the_replica_has_its_rows(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_replica(database_url) as replica:
        query(database_url, "delete from writer")
        with lost_commit(replica, monkeypatch, lambda commit: commit()):
            await steps.put_one(replica, steps.create())
        assert query(database_url, "select count(*) from event") == [(1,)]


async def test_a_commit_that_was_aborted_runs_again(
    replica: Replica, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(_commit: Callable[[], None]) -> None:
        assert terminate_backends(database_url, PIPELINE) == 1

    before = replica.pipeline.batches
    with lost_commit(replica, monkeypatch, kill) as lost:
        task = await steps.put_one(replica, steps.create())
    assert lost == ["lost"]
    assert replica.pipeline.batches - before == 2
    assert query(database_url, "select task_id::text from event") == [(task.task_id,)]


async def test_a_commit_that_cannot_be_settled_in_time_is_answered_unavailable(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = database_away(database_url)

    def commit_then_cut_off(commit: Callable[[], None]) -> None:
        commit()
        away.__enter__()

    settings = {"retry_s": 0.3, "retry_pause_s": 0.02, "batch_max": 4}
    async with running_replica(database_url, pipeline=settings) as replica:
        first = steps.create(request_id="one", request_hash="a")
        commands = [first, *(steps.create() for _ in range(5))]
        with lost_commit(replica, monkeypatch, commit_then_cut_off):
            try:
                async with asyncio.timeout(5):
                    outcomes = await asyncio.gather(*replica.pipeline.submit_many(commands))
            finally:
                away.__exit__(None, None, None)
        assert {steps.refusal(outcome) for outcome in outcomes} == {"DATABASE_UNAVAILABLE"}
        # UNAVAILABLE leaves the outcome open. It had been committed, and who asks again is told so.
        again = await replica.pipeline.submit(replace(first, task_id=steps.new_id()))
        assert steps.accepted(again).task_id == first.task_id
        # The feed has read what the pipeline could not tell it.
        await await_until(lambda: replica.feed.revision == newest_revision(database_url), what="the feed has it")
