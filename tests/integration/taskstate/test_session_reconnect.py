"""Sessions that break and databases that go away: what was not answered comes again, and has one effect."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from services.taskstate.api import session as session_module
from services.taskstate.command import Command
from services.taskstate.model import Task
from services.taskstate.pipeline import PipelineSettings
from services.taskstate.service import Replica
from services.taskstate.store import task_query
from tests.integration.taskstate import steps, supervisor
from tests.integration.taskstate.replicas import Served, database_away, newest_revision, query, served_replica
from tests.integration.taskstate.supervisor import Supervisor, start, supervising
from tests.support.waiting import await_until


async def queued(replica: Replica, **fields: object) -> str:
    """The id of a new task whose first message is in its queue."""
    command = steps.create(**fields)
    await steps.put(replica, command, steps.hand_out(command.task_id), steps.confirm(command.task_id))
    return command.task_id


async def current(replica: Replica, task_id: str) -> Task:
    """The task as it is stored."""
    _, task = await replica.database.read(task_query.read_task, task_id)
    assert task is not None
    return task


@pytest.mark.parametrize("other_replica", [False, True], ids=["same replica", "other replica"])
async def test_sending_everything_again_after_a_reconnect_is_harmless(
    served: Served, database_url: str, other_replica: bool
) -> None:
    task_id = await queued(served.replica)
    ask = start(task_id)
    async with supervising(served.target) as first, served_replica(database_url) as other:
        (answer,) = await first.ask(ask)
        token = answer.started.fencing_token
        said = [
            supervisor.phase(task_id, token, "fetch"),
            supervisor.progress(task_id, token, phase_id="fetch", done=3, items_processed=3),
            supervisor.logs(task_id, token, [1, 2]),
        ]
        await first.acked(*said)
        await first.cut()
        # Only once it is known what the broken stream means: its attempts are suspect.
        await await_until(lambda: _is_suspect(served.replica, task_id), what="the attempt is suspect")
        async with supervising((other if other_replica else served).target) as second:
            before = await current(served.replica, task_id)
            (again,) = await second.ask(ask)
            assert again == answer
            await second.acked(*said)
            after = await current(served.replica, task_id)
            assert (after.items_processed, after.phases) == (before.items_processed, before.phases)
            assert (after.items_processed, after.phases[0].done) == (3, 3)
            last = [supervisor.finish(task_id, token), supervisor.exited(task_id, token)]
            await second.acked(*last)
            ended = await current(served.replica, task_id)
            await second.acked(*said[:2], *last)
            assert await current(served.replica, task_id) == ended
    for kind, count in (("STARTED", 1), ("PHASE", 1), ("FINISHED", 1), ("EXITED", 1)):
        assert query(database_url, "select count(*) from event where kind = %s", kind) == [(count,)]
    assert query(database_url, "select count(*) from log_line") == [(2,)]


async def _is_suspect(replica: Replica, task_id: str) -> bool:
    return (await current(replica, task_id)).suspect_until is not None


async def test_messages_sent_while_the_database_is_away_are_committed_later_in_order(
    served: Served, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "TRY_AGAIN_S", 0.02)
    replica = served.replica
    replica.pipeline.settings = _impatient(replica)
    task_id, other_id = await queued(replica), await queued(replica)
    async with supervising(served.target) as worker:
        token = (await worker.started(task_id)).fencing_token
        at = newest_revision(database_url)
        first = [
            supervisor.phase(task_id, token, "fetch"),
            supervisor.progress(task_id, token, phase_id="fetch", done=3),
        ]
        second = [supervisor.logs(task_id, token, [1]), start(other_id)]
        last = [supervisor.finish(task_id, token), supervisor.exited(task_id, token)]
        refusals = _count_refusals(replica, monkeypatch)
        with database_away(database_url):
            for request in (first, second, last):
                await worker.say(*request)
            # More than once it was answered UNAVAILABLE inside, and the stream bore it.
            await await_until(lambda: len(refusals) >= 4, what="the pipeline gave up twice")
            assert [answer for sent in (*first, *second, *last) for answer in worker.answers(sent.sequence)] == []
        answers = [await worker.answer(sent) for sent in (*first, *second, *last)]
    assert [answer.WhichOneof("body") for answer in answers] == ["ack", "ack", "ack", "started", "ack", "ack"]
    kinds = query(
        database_url, "select kind from event where revision > %s and task_id = %s order by revision", at, task_id
    )
    assert [kind for (kind,) in kinds][:3] == ["PHASE", "FINISHED", "EXITED"]
    task = await current(replica, task_id)
    assert (str(task.state), task.gone_time is not None) == ("SUCCEEDED", True)
    assert query(database_url, "select count(*) from log_line") == [(1,)]


async def test_a_hello_waits_for_the_database(served: Served, database_url: str) -> None:
    async with supervising(served.target, greeted=False) as worker:
        with database_away(database_url):
            await worker.say(supervisor.hello())
            await await_until(lambda: served.replica.workers.sessions, what="the stream is open")
            assert worker.received == []
        await await_until(lambda: worker.received, what="a welcome")
        assert worker.received[0].WhichOneof("body") == "welcome"


async def test_a_broken_stream_ends_no_attempt_by_itself(served: Served) -> None:
    task_id = await queued(served.replica)
    async with supervising(served.target) as worker:
        await worker.started(task_id)
    await await_until(lambda: not served.replica.workers.sessions, what="the session has ended")
    await await_until(lambda: _is_suspect(served.replica, task_id), what="the attempt is suspect")
    task = await current(served.replica, task_id)
    assert (str(task.state), str(task.liveness)) == ("RUNNING", "SUSPECT")


async def test_two_supervisors_ask_for_one_message(served: Served, database_url: str) -> None:
    task_id = await queued(served.replica)
    async with supervising(served.target) as one, supervising(served.target) as two:
        answers = await asyncio.gather(*(_first_answer(worker, task_id) for worker in (one, two)))
    assert sorted(answers) == ["refused", "started"]
    assert query(database_url, "select count(*) from attempt") == [(1,)]


async def _first_answer(worker: Supervisor, task_id: str) -> str:
    (answer,) = await worker.ask(start(task_id))
    return str(answer.WhichOneof("body"))


def _impatient(replica: Replica) -> PipelineSettings:
    return replace(replica.pipeline.settings, retry_s=0.05, retry_pause_s=0.01)


def _count_refusals(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> list[Command]:
    """The commands that the pipeline had to answer UNAVAILABLE, as they come."""
    refused: list[Command] = []
    give_up = type(replica.pipeline)._give_up

    def noted(pipeline: object, taken: list[Any]) -> None:
        refused.extend(item.command for item in taken)
        give_up(pipeline, taken)

    monkeypatch.setattr(type(replica.pipeline), "_give_up", noted)
    return refused
