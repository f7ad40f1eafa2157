"""The one writer order on a real PostgreSQL: sharing commits, keeping order, and what happens when things break."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from sqlalchemy.exc import OperationalError

from services.taskstate.command import Accepted, Outcome, Refused
from services.taskstate.model import TaskState
from services.taskstate.pipeline import Pipeline
from services.taskstate.service import Replica
from services.taskstate.store import batch as store
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
PAYLOAD = json.dumps({"numbers": list(range(200))})


class Gate:
    """Holds the writer at the beginning of a batch, so that what comes meanwhile gathers."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def pass_through(self) -> None:
        self.reached.set()
        assert self.opened.wait(20)


@contextmanager
def held_writer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """While the block runs, the first batch to come waits in its transaction before it has taken the order."""
    gate = Gate()
    take_order = store.take_order

    def held(connection: Any, count: int) -> Any:
        gate.pass_through()
        return take_order(connection, count)

    with monkeypatch.context() as patch:
        patch.setattr(store, "take_order", held)
        try:
            yield gate
        finally:
            gate.opened.set()


async def gather_behind(replica: Replica, gate: Gate) -> asyncio.Future[Outcome]:
    """Send the one command that the gate holds."""
    first = replica.pipeline.submit_many([steps.create()])[0]
    await await_until(gate.reached.is_set, what="the writer is held")
    return first


async def test_concurrent_commands_share_commits(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    before = replica.pipeline.batches
    with held_writer(monkeypatch) as gate:
        first = await gather_behind(replica, gate)
        many = [asyncio.ensure_future(replica.pipeline.submit(steps.create())) for _ in range(300)]
        await await_until(lambda: _waiting(replica.pipeline) == 300, what="all wait")
        gate.opened.set()
        outcomes = await asyncio.gather(first, *many)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    # One alone, then 300 in as few batches as their limit of 200 allows.
    assert replica.pipeline.batches - before == 3


async def test_a_lone_command_waits_for_nobody(replica: Replica) -> None:
    before = replica.pipeline.batches
    for _ in range(3):
        await steps.put_one(replica, steps.create())
    assert replica.pipeline.batches - before == 3


async def test_commands_of_a_batch_see_each_other_in_arrival_order(
    replica: Replica, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = replica.pipeline.batches
    with held_writer(monkeypatch) as gate:
        first = await gather_behind(replica, gate)
        command = steps.create()
        task_id = command.task_id
        # One command before: it takes a revision. The start is the fourth of the batch, and its revision the token.
        token = newest_revision(database_url) + 1 + 4
        life = [
            command,
            steps.hand_out(task_id),
            steps.confirm(task_id),
            steps.start(replica, task_id),
            steps.progress(task_id, token, 5),
            steps.finish(task_id, token),
            steps.progress(task_id, token, 6),
            steps.exited(task_id, token),
        ]
        futures = replica.pipeline.submit_many(life)
        gate.opened.set()
        outcomes = [await future for future in (first, *futures)]
    assert replica.pipeline.batches - before == 2
    late = outcomes.pop(7)
    assert isinstance(late, Refused)
    assert late.reason == "TOKEN_LOST"
    tasks = [steps.accepted(outcome) for outcome in outcomes[1:]]
    assert [task.state for task in tasks] == [
        TaskState.PENDING,
        TaskState.PENDING,
        TaskState.QUEUED,
        TaskState.RUNNING,
        TaskState.RUNNING,
        TaskState.SUCCEEDED,
        TaskState.SUCCEEDED,
    ]
    stored = query(database_url, "select state, done, slot from task_status where task_id = %s", task_id)
    assert stored == [("SUCCEEDED", 5.0, None)]
    kinds = query(database_url, "select kind from event where task_id = %s order by revision", task_id)
    assert [kind for (kind,) in kinds] == ["CREATED", "HANDED_OUT", "QUEUED", "STARTED", "FINISHED", "EXITED"]


async def test_revisions_follow_the_order_of_arrival(replica: Replica) -> None:
    tasks = await steps.put(replica, *(steps.create() for _ in range(250)))
    revisions = [task.spec.create_revision for task in tasks]
    assert revisions == sorted(set(revisions))
    times = [task.spec.create_time for task in tasks]
    assert times == sorted(times)


async def test_a_refused_command_does_not_disturb_its_neighbours(replica: Replica, database_url: str) -> None:
    first, other, last = steps.create(request_id="one", request_hash="a"), steps.create(), steps.create()
    conflicting = steps.create(request_id="one", request_hash="b")
    commands = [first, conflicting, steps.hand_out(steps.new_id()), other, steps.confirm(other.task_id, 7), last]
    outcomes = [await future for future in replica.pipeline.submit_many(commands)]
    reasons = [outcome.reason if isinstance(outcome, Refused) else None for outcome in outcomes]
    assert reasons == [None, "REQUEST_ID_CONFLICT", "TASK_NOT_FOUND", None, "STALE_DISPATCH", None]
    found = query(database_url, "select task_id::text from task_spec order by create_revision")
    assert [task_id for (task_id,) in found] == [first.task_id, other.task_id, last.task_id]


async def test_the_same_request_twice_in_a_batch_makes_one_task(replica: Replica, database_url: str) -> None:
    one, two = (steps.create(request_id="same", request_hash="a") for _ in range(2))
    made, again = [await future for future in replica.pipeline.submit_many([one, two])]
    assert isinstance(again, Accepted)
    assert again.no_op
    assert again.task == steps.accepted(made)
    assert query(database_url, "select count(*) from task_spec") == [(1,)]


async def test_a_batch_in_which_all_are_refused_uses_no_revision(replica: Replica, database_url: str) -> None:
    await steps.put_one(replica, steps.create())
    before = query(database_url, "select n, at from revision")
    refused = [await future for future in replica.pipeline.submit_many([steps.hand_out(steps.new_id())] * 5)]
    assert {steps.refusal(outcome) for outcome in refused} == {"TASK_NOT_FOUND"}
    assert query(database_url, "select n, at from revision") == before


@pytest.mark.parametrize(
    "poison",
    [
        {"name": "a NUL: \0"},
        {"name": "a lone surrogate: \ud800"},
        {"payload": '"' + "x" * 70_000 + '"'},
        {"priority": 40_000},
        {"task_id": "no-uuid"},
        {"timeout_s": float("nan")},
    ],
    ids=["nul", "surrogate", "check", "smallint", "uuid", "nan"],
)
async def test_a_poisoned_command_gets_internal_alone(
    replica: Replica, database_url: str, poison: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    good = [steps.create() for _ in range(20)]
    commands = [*good[:13], steps.create(**poison), *good[13:]]
    before = replica.pipeline.batches
    outcomes = [await future for future in replica.pipeline.submit_many(commands)]
    assert steps.refusal(outcomes.pop(13)) == "INTERNAL"
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    found = query(database_url, "select task_id::text from task_spec order by create_revision")
    assert [task_id for (task_id,) in found] == [command.task_id for command in good]
    # Halved, not run one by one: some 2 log2(21) batches.
    assert replica.pipeline.batches - before <= 11
    assert [record.event for record in caplog.records if record.levelname == "ERROR"] == ["command_failed"]


async def test_a_connection_killed_in_the_batch_is_retried(
    replica: Replica, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = []
    write = store.write

    def kill_then_write(*args: Any) -> None:
        if not killed:
            killed.append(terminate_backends(database_url, PIPELINE))
        write(*args)

    monkeypatch.setattr(store, "write", kill_then_write)
    before = replica.pipeline.batches
    tasks = await steps.put(replica, *(steps.create() for _ in range(5)))
    assert killed == [1]
    assert replica.pipeline.batches - before == 2
    assert query(database_url, "select count(*) from event") == [(len(tasks),)]


@pytest.fixture
async def impatient(database_url: str) -> AsyncIterator[Replica]:
    """A replica whose pipeline gives up soon, and holds little."""
    settings = {"retry_s": 0.3, "retry_pause_s": 0.02, "waiting_max": 10, "batch_max": 4}
    async with running_replica(database_url, pipeline=settings) as replica:
        yield replica


async def test_without_the_database_everybody_is_answered_unavailable(impatient: Replica, database_url: str) -> None:
    commands = [steps.create() for _ in range(10)]
    with database_away(database_url):
        futures = impatient.pipeline.submit_many(commands)
        async with asyncio.timeout(5):
            outcomes = await asyncio.gather(*futures)
    # Those behind the first batch too: tried on their own, they could overtake those in front of them.
    assert {steps.refusal(outcome) for outcome in outcomes} == {"DATABASE_UNAVAILABLE"}
    await steps.put(impatient, *commands)
    assert query(database_url, "select count(*) from event") == [(10,)]


async def test_what_stands_behind_a_half_that_was_given_up_is_given_up_too(
    impatient: Replica, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = [steps.create() for _ in range(4)]
    transact = Pipeline._transact

    def fails(pipeline: Pipeline, batch: Any) -> Any:
        if len(batch) == 4:
            raise ValueError("one of these is wrong")
        if commands[0] in batch:
            raise OperationalError("select", {}, psycopg2.OperationalError("gone"))
        return transact(pipeline, batch)

    monkeypatch.setattr(Pipeline, "_transact", fails)
    outcomes = await asyncio.gather(*impatient.pipeline.submit_many(commands))
    assert [steps.refusal(outcome) for outcome in outcomes] == ["DATABASE_UNAVAILABLE"] * 4
    assert query(database_url, "select count(*) from event") == [(0,)]


async def test_a_full_pipeline_refuses_at_once(impatient: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    with held_writer(monkeypatch) as gate:
        first = await gather_behind(impatient, gate)
        waiting = impatient.pipeline.submit_many([steps.create() for _ in range(10)])
        refused = impatient.pipeline.submit_many([steps.create()])
        assert [steps.refusal(future.result()) for future in refused] == ["LIMIT_EXCEEDED"]
        gate.opened.set()
        for future in (first, *waiting):
            steps.accepted(await future)
    await steps.put_one(impatient, steps.create())


async def test_a_stop_finishes_what_waits_and_refuses_what_comes(
    impatient: Replica, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held_writer(monkeypatch) as gate:
        first = await gather_behind(impatient, gate)
        waiting = impatient.pipeline.submit_many([steps.create() for _ in range(10)])
        stopping = asyncio.create_task(impatient.pipeline.stop())
        await await_until(lambda: impatient.pipeline._stopping, what="the stop has begun")
        late = impatient.pipeline.submit_many([steps.create()])[0]
        assert steps.refusal(late.result()) == "SHUTTING_DOWN"
        gate.opened.set()
        for future in (first, *waiting):
            steps.accepted(await future)
        await stopping
    assert query(database_url, "select count(*) from event") == [(11,)]


async def test_low_priority_waits_behind_normal(impatient: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    with held_writer(monkeypatch) as gate:
        first = await gather_behind(impatient, gate)
        low = impatient.pipeline.submit_many([steps.create()], steps.LOW)
        normal = impatient.pipeline.submit_many([steps.create()])
        gate.opened.set()
        await first
        assert (await steps.created(low[0])) > (await steps.created(normal[0]))


async def test_low_priority_has_its_share_of_full_batches(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    with held_writer(monkeypatch) as gate:
        first = await gather_behind(replica, gate)
        normal = replica.pipeline.submit_many([steps.create() for _ in range(400)])
        low = replica.pipeline.submit_many([steps.create() for _ in range(30)], steps.LOW)
        gate.opened.set()
        await first
        revisions = [await steps.created(future) for future in low]
        last = await steps.created(normal[-1])
    # 20 in the first batch of 200, the others in the next; normal commands keep their order around them.
    assert [revision < last for revision in revisions] == [True] * 30
    before = [await steps.created(future) for future in normal]
    assert before == sorted(before)


def _waiting(pipeline: Pipeline) -> int:
    return sum(map(len, pipeline._queues.values()))
