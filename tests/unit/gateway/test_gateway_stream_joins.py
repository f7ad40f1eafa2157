"""However streams join, leave, stall and resume, and however TaskState breaks: every transition once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from taskstate.errors import TaskStateError
from taskstate.v1 import task_pb2 as pb
from taskstate.v1 import task_service_pb2 as api

from services.gateway import shared_watch, stream_session
from services.gateway.change import StreamFilter
from services.gateway.fan_out import FanOut, SubscriptionLimits
from services.gateway.shared_watch import SharedWatch
from services.gateway.stream_session import StreamSession
from tests.support.memory_taskstate import MemoryTaskState, Refused
from tests.support.waiting import await_until

TASKS = 3
CLIENTS = 3


class Watcher:
    """The in-memory TaskState as the gateway's parts call it. While held, its answers are on their way."""

    def __init__(self, taskstate: MemoryTaskState) -> None:
        self._taskstate = taskstate
        self.flowing = asyncio.Event()
        self.flowing.set()

    async def watch_tasks(self, request: api.WatchTasksRequest) -> AsyncGenerator[api.WatchTasksResponse, None]:
        try:
            async with aclosing(self._taskstate.watch(request)) as responses:
                async for response in responses:
                    await self.flowing.wait()
                    await asyncio.sleep(0)
                    yield response
        except Refused as refused:
            failure = refused.failure
            raise TaskStateError(failure.code.name, failure.reason, failure.message) from None


@dataclass
class Client:
    """A browser: it keeps what it got, and resumes after the last id it saw."""

    wanted: StreamFilter
    events: list[tuple[int, str]] = field(default_factory=list)
    revisions: dict[str, int] = field(default_factory=dict)
    resets: int = 0
    base: int | None = None
    last_id: int | None = None
    has_left: bool = False
    running: asyncio.Task[None] | None = None
    flowing: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, data: bytes) -> None:
        await self.flowing.wait()
        for block in data.decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
            if not lines:
                continue
            content = orjson.loads(lines["data"])
            if lines["event"] == "reset":
                self.resets += 1
                self.base = self.last_id = None
                self.events.clear()
            elif lines["event"] == "checkpoint":
                assert lines["id"] == content["revision"]
                assert self.last_id is None or int(lines["id"]) >= self.last_id
                self.last_id = int(lines["id"])
                self.base = self.last_id if self.base is None else self.base
            else:
                self._apply(lines, content)

    def _apply(self, lines: dict[str, str], content: dict) -> None:
        task = content["task"]
        if content["event"] is None:
            assert "id" not in lines
        else:
            assert lines["id"] == content["revision"] == content["event"]["revision"]
            assert self.last_id is not None, "a transition before the snapshot's end"
            self.last_id = int(lines["id"])
            self.events.append((self.last_id, task["task_id"]))
        # Apply if the revision is greater: always right.
        known = self.revisions.get(task["task_id"], 0)
        self.revisions[task["task_id"]] = max(known, int(task["revision"]))


class World:
    """One gateway's stream machinery, its clients and the TaskState behind it."""

    def __init__(self, limits: SubscriptionLimits) -> None:
        self.taskstate = MemoryTaskState()
        self.tasks = [
            self.taskstate.create("canary" if number else "other", group="g" if number < 2 else "")
            for number in range(TASKS)
        ]
        # Two, as the shared watch and the streams' own ones may be served by different replicas at different speeds.
        self.shared_watcher = Watcher(self.taskstate)
        self.watcher = Watcher(self.taskstate)
        self.fan_out = FanOut(limits)
        self.watch = asyncio.create_task(SharedWatch(self.shared_watcher, self.fan_out).run())
        self.clients = [
            Client(StreamFilter()),
            Client(StreamFilter(task_ids=frozenset({self.tasks[0].task_id, self.tasks[2].task_id}))),
            Client(StreamFilter(group="g", types=frozenset({"canary"}))),
        ]
        for client in self.clients:
            client.flowing.set()

    def join(self, client: Client) -> None:
        if client.running is None:
            session = StreamSession(self.watcher, self.fan_out, client.wanted, client.last_id, client.write)
            client.running = asyncio.create_task(session.run())

    async def leave(self, client: Client) -> None:
        if client.running is not None:
            client.running.cancel()
            await asyncio.gather(client.running, return_exceptions=True)
            client.running = None
            client.has_left = True

    async def close(self) -> None:
        for client in self.clients:
            await self.leave(client)
        self.watch.cancel()
        await asyncio.gather(self.watch, return_exceptions=True)

    def expected(self, client: Client) -> list[tuple[int, str]]:
        wanted = client.wanted
        return [
            (event.revision, event.task_id)
            for event in self.taskstate.events
            if client.base is not None
            and event.revision > client.base
            and (not wanted.task_ids or event.task_id in wanted.task_ids)
            and (not wanted.group or self.taskstate.tasks[event.task_id].group == wanted.group)
            and (not wanted.types or self.taskstate.tasks[event.task_id].type in wanted.types)
        ]

    async def step(self, action: str, number: int) -> None:  # noqa: C901 - one line for each action.
        client = self.clients[number % CLIENTS]
        task = self.tasks[number % TASKS]
        match action:
            case "move":
                self.taskstate.move(task, pb.TASK_STATE_RUNNING, pb.TASK_EVENT_KIND_PHASE)
            case "progress":
                self.taskstate.progress(task, number)
            case "join":
                self.join(client)
            case "leave":
                await self.leave(client)
            case "stall":
                client.flowing.clear()
            case "flow":
                client.flowing.set()
            case "hold shared":
                self.shared_watcher.flowing.clear()
            case "release shared":
                self.shared_watcher.flowing.set()
            case "hold own":
                self.watcher.flowing.clear()
            case "release own":
                self.watcher.flowing.set()
            case "break":
                self.taskstate.break_watches()
            case "pass":
                for _ in range(number * 5):
                    await asyncio.sleep(0)

    async def settle(self) -> None:
        self.shared_watcher.flowing.set()
        self.watcher.flowing.set()
        for client in self.clients:
            client.flowing.set()
            self.join(client)
        await await_until(
            lambda: all(c.base is not None and c.events == self.expected(c) for c in self.clients),
            timeout=5,
            what="every stream has every transition once",
        )


ACTIONS = (
    "move", "move", "move", "progress", "progress", "join", "join", "leave", "stall", "flow", "break", "pass", "pass",
    "pass", "hold shared", "release shared", "hold own", "release own",
)  # fmt: skip
STEPS = st.lists(
    st.tuples(
        st.sampled_from(ACTIONS),
        st.integers(min_value=0, max_value=30),
    ),
    max_size=80,
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_session, "BACKOFF_FIRST_S", 0.0005)
    monkeypatch.setattr(stream_session, "BACKOFF_MAX_S", 0.001)
    monkeypatch.setattr(shared_watch, "BACKOFF_FIRST_S", 0.0005)
    monkeypatch.setattr(shared_watch, "BACKOFF_MAX_S", 0.001)


async def play(steps: list[tuple[str, int]], changes_max: int, live_first: bool) -> None:
    world = World(SubscriptionLimits(changes_max=changes_max, bytes_max=1_000_000))
    try:
        if live_first:
            await world.settle()
            await await_until(lambda: world.taskstate.watches == 1, what="all live from the shared watch alone")
        for action, number in steps:
            await world.step(action, number)
        await world.settle()
        for client in world.clients:
            assert client.resets == 0
            if not client.has_left:
                # Nor is the newest progress lost for one who stayed, however slow.
                wanted = {task_id for task_id in world.taskstate.tasks if task_id in client.revisions}
                newest = {task_id: world.taskstate.tasks[task_id].revision for task_id in wanted}
                await await_until(lambda c=client, n=newest: c.revisions == n, timeout=5)
    finally:
        await world.close()
    assert world.taskstate.watches == 0


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(steps=STEPS, changes_max=st.integers(min_value=1, max_value=6), live_first=st.booleans())
def test_every_transition_comes_once_and_in_order(steps: list[tuple[str, int]], changes_max: int, live_first: bool):
    asyncio.run(play(steps, changes_max, live_first))


async def test_a_replica_that_lags_is_read_until_it_is_as_far_as_the_shared_watch():
    world = World(SubscriptionLimits())
    try:
        client = world.clients[0]
        await await_until(world.fan_out.started.is_set)
        # The shared watch's replica is ahead of the one that will serve the stream's own watch.
        world.fan_out.revision = world.taskstate.revision + 1
        world.join(client)
        await await_until(lambda: client.base is not None)
        revision = world.taskstate.move(world.tasks[0], pb.TASK_STATE_RUNNING)
        await await_until(lambda: client.events == [(revision, world.tasks[0].task_id)])
    finally:
        await world.close()


async def test_a_stalled_reader_holds_a_bounded_amount_and_misses_nothing():
    world = World(SubscriptionLimits(changes_max=10, bytes_max=1_000_000))
    try:
        stalled, lively = world.clients[0], world.clients[1]
        world.join(stalled)
        world.join(lively)
        await await_until(lambda: stalled.base is not None and lively.base is not None)
        await await_until(lambda: world.taskstate.watches == 1, what="both live from the shared watch alone")
        stalled.flowing.clear()
        for number in range(200):
            world.taskstate.move(world.tasks[number % TASKS], pb.TASK_STATE_RUNNING, pb.TASK_EVENT_KIND_PHASE)
            await asyncio.sleep(0)
        await await_until(lambda: lively.events == world.expected(lively), what="nobody waits for the stalled one")
        assert len(stalled.events) < 100
        stalled.flowing.set()
        await await_until(lambda: stalled.events == world.expected(stalled))
        assert world.fan_out.behind_count >= 1
    finally:
        await world.close()


async def test_a_compacted_cursor_is_told_and_a_snapshot_follows():
    world = World(SubscriptionLimits())
    try:
        client = world.clients[0]
        client.last_id = client.base = 1
        world.taskstate.compacted = 2
        world.join(client)
        await await_until(lambda: client.resets == 1 and client.base == world.taskstate.revision)
        world.taskstate.move(world.tasks[0], pb.TASK_STATE_RUNNING)
        await await_until(lambda: client.events == world.expected(client))
    finally:
        await world.close()


async def test_a_database_that_was_replaced_resets_everybody():
    world = World(SubscriptionLimits())
    try:
        client = world.clients[0]
        world.join(client)
        await await_until(lambda: world.taskstate.watches == 1 and client.base is not None)
        # Another database: its revisions begin again, and every cursor lies in its future.
        world.taskstate.revision = 1
        world.taskstate.events.clear()
        world.taskstate.break_watches()
        await await_until(lambda: client.resets >= 1 and client.base == 1)
        world.taskstate.move(world.tasks[0], pb.TASK_STATE_RUNNING)
        await await_until(lambda: client.events == world.expected(client))
    finally:
        await world.close()
