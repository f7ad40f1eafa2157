"""Two replicas, many clients and many watchers on the same tasks; then the invariants, from the tables alone.

Each client looks at a task before it acts and chooses, more often than not, a step that could be accepted: lists of
independent random commands hardly ever get a task to run. What it looks at is old by the time it acts, so that replicas
race for the same steps all the time.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from itertools import pairwise

import pytest
from sqlalchemy import Connection

from services.taskstate import codec
from services.taskstate.command import Accepted, AttemptCommand, Command, CreateTask, NoteWait, Refused
from services.taskstate.feed import FeedSettings
from services.taskstate.filters import ListFilter
from services.taskstate.model import TERMINAL_STATES, Event, EventKind, PhaseState, Task, TaskState, WaitReason
from services.taskstate.service import Replica
from services.taskstate.store import feed_read, task_query
from tests.integration.taskstate import steps
from tests.integration.taskstate.replicas import query, running_replica
from tests.integration.taskstate.watcher import Watcher, watch
from tests.support.waiting import await_until

SEED = 2026
TASKS = 40
CLIENTS = 20
STEPS_OF_A_CLIENT = 45
WATCHERS = 8
THE_END = "the end"
GROUP_LIMIT = 3
TINY_RING = FeedSettings(ring_transitions_max=50, poll_s=0.2)
FOLDED = {field.name for field in fields(Task)} - codec.HOT_FIELDS - codec.EVENT_LEFT_OUT - {"spec"}
REFUSALS = {"REQUEST_ID_CONFLICT", "TASK_NOT_FOUND", "NOT_DISPATCHABLE", "STALE_DISPATCH", "TOKEN_LOST"}
ALWAYS_SEEN = (
    EventKind.CREATED,
    EventKind.WAITING,
    EventKind.HANDED_OUT,
    EventKind.QUEUED,
    EventKind.STARTED,
    EventKind.PHASE,
    EventKind.FINISHED,
    EventKind.EXITED,
)


async def test_replicas_clients_and_watchers_together(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Retries are due at once: nobody waits for a second here.
    monkeypatch.setattr("services.taskstate.rules.common.RETRY_DELAY_MAX_S", 0.0)
    limits = {"few": GROUP_LIMIT}
    async with (
        running_replica(database_url, group_limits=limits) as first,
        running_replica(database_url, group_limits=limits, feed=TINY_RING) as second,
    ):
        await steps.declare(first)
        replicas = (first, second)
        watching = [_watch_in_pieces(random.Random(f"{SEED} watcher {n}"), replicas) for n in range(WATCHERS)]
        watchers = [asyncio.create_task(pieces) for pieces in watching]
        tasks = [_wanted(n) for n in range(TASKS)]
        acting = [_client(random.Random(f"{SEED} client {n}"), replicas, tasks) for n in range(CLIENTS)]
        told = sum(await asyncio.gather(*acting), Counter[str]())
        # A last word, so that watchers know when they have everything.
        await steps.put_one(first, steps.create(actor=THE_END))
        seen = await asyncio.gather(*watchers)
        history = await first.database.read(_history)
        state = await first.database.read(_state)
    kinds = Counter(event.kind for event in history)
    assert min(kinds[kind] for kind in ALWAYS_SEEN) >= 3, kinds
    assert told["accepted"] > 200, told
    assert told["refused"] > 100, told
    for events in seen:
        assert [event.revision for event in events] == [event.revision for event in history]
        assert events == history
    _check_history(history)
    _check_fold(history, state)
    _check_slots(history)
    _check_tables(database_url, history, state)


def _history(connection: Connection) -> list[Event]:
    return list(feed_read.read_after(connection, 0, 0, 1_000_000).events)


def _state(connection: Connection) -> dict[str, Task]:
    _, tasks = task_query.list_tasks(connection, ListFilter(), False, None, 0, 10_000)
    return {task.task_id: task for task in tasks}


# -- who acts -----------------------------------------------------------------------------------------------------------


def _wanted(number: int) -> CreateTask:
    group = "few" if number % 2 else ""
    return steps.create(request_id=f"task-{number}", request_hash="a", group=group, max_attempts=3)


async def _client(rng: random.Random, replicas: Sequence[Replica], tasks: Sequence[CreateTask]) -> Counter[str]:
    """One client: picks a task and a replica, looks, acts; answers how often it was accepted and refused."""
    told: Counter[str] = Counter()
    for _ in range(STEPS_OF_A_CLIENT):
        replica, wanted = rng.choice(replicas), rng.choice(tasks)
        task = await _look(rng.choice(replicas), wanted.task_id)
        if task is None:
            command: Command = wanted
        elif rng.random() < 0.75:
            command = _useful(rng, replica, task)
        else:
            command = _any(rng, replica, task, wanted)
        outcome = await replica.pipeline.submit(command)
        assert not isinstance(outcome, Refused) or outcome.reason in REFUSALS, outcome
        effective = isinstance(outcome, Accepted) and not outcome.no_op
        told["accepted" if effective else "refused"] += 1
        if effective and isinstance(command, AttemptCommand):
            # Events do not show with which token they were asked for: only who asked can tell.
            assert outcome.task.fencing_token == command.fencing_token
    return told


async def _look(replica: Replica, task_id: str) -> Task | None:
    _, task = await replica.database.read(task_query.read_task, task_id)
    return task


def _useful(rng: random.Random, replica: Replica, task: Task) -> Command:
    """A step that could be accepted, as far as could be seen."""
    task_id, token = task.task_id, task.fencing_token
    if task.state is TaskState.RUNNING:
        makers: list[Callable[[], Command]] = [
            lambda: steps.progress(task_id, token, rng.randrange(100), items_processed=rng.randrange(9)),
            lambda: steps.phase(task_id, token, rng.choice(("fetch", "content", "content.media"))),
            lambda: steps.phase(task_id, token, "fetch", rng.choice((PhaseState.DONE, PhaseState.FAILED))),
            lambda: steps.finish(task_id, token),
            lambda: steps.fail(task_id, token),
            lambda: steps.exited(task_id, token, rng.randrange(3)),
        ]
        return rng.choice(makers)()
    if task.attempt and task.gone_time is None:
        return steps.exited(task_id, token)
    if task.is_unstarted:
        if task.state is not TaskState.QUEUED and rng.random() < 0.6:
            return steps.confirm(task_id, task.dispatch)
        return steps.start(replica, task_id, task.dispatch)
    if rng.random() < 0.2:
        return NoteWait(task_id=task_id, wait_reason=WaitReason.SLOT, actor="scheduler")
    return steps.hand_out(task_id)


def _any(rng: random.Random, replica: Replica, task: Task, wanted: CreateTask) -> Command:
    """Any step, also one that must be refused."""
    task_id = task.task_id
    token = max(1, task.fencing_token + rng.choice((-1, 0, 0, 1)))
    dispatch = max(1, task.dispatch + rng.choice((-1, 0, 0, 1)))
    makers: list[Callable[[], Command]] = [
        lambda: wanted,
        lambda: replace(wanted, request_hash="b"),
        lambda: steps.hand_out(task_id),
        lambda: steps.confirm(task_id, dispatch),
        lambda: steps.start(replica, task_id, dispatch),
        lambda: steps.progress(task_id, token, rng.randrange(100)),
        lambda: steps.phase(task_id, token, "fetch"),
        lambda: steps.finish(task_id, token),
        lambda: steps.exited(task_id, token),
        lambda: steps.hand_out(steps.new_id()),
    ]
    return rng.choice(makers)()


# -- who watches --------------------------------------------------------------------------------------------------------


async def _watch_in_pieces(rng: random.Random, replicas: Sequence[Replica]) -> list[Event]:
    """Watch, pause, go away, and come back on either replica with the cursor alone; until the last word."""
    events: list[Event] = []
    cursor = 0
    while not events or events[-1].actor != THE_END:
        watcher = Watcher(watch(rng.choice(replicas), cursor))
        try:
            for _ in range(rng.randrange(1, 6)):
                watcher.taking.clear()
                for _ in range(rng.randrange(200)):
                    await asyncio.sleep(0)
                watcher.taking.set()
                await _more(watcher)
        finally:
            await watcher.stop()
        events.extend(watcher.events)
        cursor = max(cursor, watcher.cursor)
    return events


async def _more(watcher: Watcher) -> None:
    """Wait until it has been given something more, or everything."""
    before = watcher.cursor
    await await_until(
        lambda: watcher.cursor > before or (watcher.events and watcher.events[-1].actor == THE_END), 60, "more"
    )


# -- what must hold -----------------------------------------------------------------------------------------------------


def _check_history(history: Sequence[Event]) -> None:
    revisions = [event.revision for event in history]
    assert revisions == sorted(set(revisions))
    for before, after in pairwise(history):
        assert before.time <= after.time, "times fall in revision order"
    newest: dict[str, Event] = {}
    for event in history:
        before = newest.get(event.task_id)
        assert event.from_state == (before.to_state if before else None), "a chain is broken"
        if before is not None:
            assert event.attempt >= before.attempt, "an older attempt speaks"
        if event.from_state in TERMINAL_STATES:
            assert event.to_state is event.from_state, "a task left a terminal state"
        if event.kind is EventKind.STARTED:
            assert event.from_state is not TaskState.RUNNING
            assert event.attempt == (before.attempt if before else 0) + 1
            assert event.changes["fencing_token"] == event.revision
        newest[event.task_id] = event


def _check_fold(history: Sequence[Event], state: dict[str, Task]) -> None:
    folded = {task_id: Task(spec=task.spec) for task_id, task in state.items()}
    for event in history:
        folded[event.task_id] = codec.fold(folded[event.task_id], event.changes)
    for task_id, task in state.items():
        for name in FOLDED:
            assert getattr(folded[task_id], name) == getattr(task, name), (task_id, name)
    newest = {event.task_id: event.revision for event in history}
    assert newest == {task_id: task.event_revision for task_id, task in state.items()}


def _check_slots(history: Sequence[Event]) -> None:
    held: dict[str, str | None] = {}
    most = 0
    for event in history:
        if "slot" in event.changes:
            held[event.task_id] = event.changes["slot"]
        taken = Counter(slot for slot in held.values() if slot is not None)
        assert set(taken) <= {"default/few"}
        most = max(most, taken["default/few"])
    assert most == GROUP_LIMIT


def _check_tables(database_url: str, history: Sequence[Event], state: dict[str, Task]) -> None:
    counted = query(database_url, "select type, state, n from task_counter where n <> 0")
    recounted = Counter((task.spec.type, str(task.state)) for task in state.values())
    assert {(type_name, name): n for type_name, name, n in counted} == recounted
    running = {task_id for task_id, task in state.items() if task.state is TaskState.RUNNING}
    open_attempts = query(database_url, "select task_id::text from attempt where attempt_end_time is null")
    assert sorted(task_id for (task_id,) in open_attempts) == sorted(running)
    # Tokens: one for each attempt, growing with it, never given twice.
    tokens = query(database_url, "select fencing_token from attempt order by task_id, attempt")
    started = [event.revision for event in history if event.kind is EventKind.STARTED]
    assert sorted(token for (token,) in tokens) == started
    for task in state.values():
        if task.spec.group:
            assert (task.slot is not None) == (task.is_unstarted or (task.attempt > 0 and task.gone_time is None))
