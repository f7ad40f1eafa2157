"""The stream over HTTP: what a browser sees, whatever happens to it, to the gateway and to TaskState."""

from __future__ import annotations

import asyncio
import socket

import grpc
import httpx
import pytest
from taskstate.v1 import task_pb2 as pb

from services.gateway import answers, shared_watch
from services.gateway.server import listen, serve_until
from services.gateway.settings import GatewaySettings
from tests.integration.gateway.conftest import answers_at_all, running_gateway
from tests.support.memory_taskstate import Failure, MemoryTaskState, serving
from tests.support.sse_reader import SseEvent, open_stream
from tests.support.waiting import await_until


def transitions(events: list[SseEvent]) -> list[int]:
    return [int(event.id) for event in events if event.name == "task" and event.id is not None]


async def test_first_the_present_state_then_every_change(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    tasks = [taskstate.create() for _ in range(3)]
    taskstate.move(tasks[2], pb.TASK_STATE_SUCCEEDED)
    async with open_stream(gateway) as stream:
        assert stream.response.headers["x-accel-buffering"] == "no"
        assert stream.response.headers["cache-control"] == "no-store"
        snapshot = await stream.until_checkpoint()
        assert [event.data["task"]["task_id"] for event in snapshot[:-1]] == [task.task_id for task in tasks[:2]]
        for event in snapshot[:-1]:
            assert (event.id, event.data["event"]) == (None, None)
            answers.Task.model_validate(event.data["task"])
        assert snapshot[-1].id == snapshot[-1].data["revision"] == str(taskstate.revision)
        assert snapshot[-1].data["server_time"].endswith("Z")
        # Two transitions of one task at once: the earlier one comes with the task too, as of the read.
        first = taskstate.move(tasks[0], pb.TASK_STATE_QUEUED, pb.TASK_EVENT_KIND_QUEUED)
        second = taskstate.move(tasks[0], pb.TASK_STATE_RUNNING)
        events = await stream.until_checkpoint(second)
        assert transitions(events) == [first, second]
        for event in (event for event in events if event.name == "task"):
            answers.TaskEvent.model_validate(event.data["event"])
            assert event.data["task"]["revision"] == str(second)
        progressed = taskstate.progress(tasks[0], 7)
        event = await stream.next("task")
        assert (event.id, event.data["event"], event.data["revision"]) == (None, None, str(progressed))
        assert event.data["task"]["progress"]["done"] == 7


async def test_a_reload_in_the_middle_gets_the_rest_exactly(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    task = taskstate.create()
    async with open_stream(gateway) as stream:
        await stream.until_checkpoint()
        made = [taskstate.move(task, pb.TASK_STATE_RUNNING, pb.TASK_EVENT_KIND_PHASE) for _ in range(4)]
        seen = [int((await stream.next("task")).id) for _ in range(2)]
        last_id = stream.last_id
    assert seen == made[:2]
    made += [taskstate.move(task, pb.TASK_STATE_RUNNING, pb.TASK_EVENT_KIND_PHASE) for _ in range(4)]
    # What the browser remembers wins over what the page's address says.
    async with open_stream(gateway, "?from_revision=0", last_event_id=last_id) as stream:
        assert transitions(await stream.until_checkpoint(made[-1])) == made[2:]
    async with open_stream(gateway, f"?from_revision={made[0]}") as stream:
        assert transitions(await stream.until_checkpoint(made[-1])) == made[1:]


async def test_filters_show_what_they_name_and_checkpoints_move_on(
    gateway: httpx.AsyncClient, taskstate: MemoryTaskState
):
    mine, ended, other = taskstate.create("run_agent", group="agent"), taskstate.create(), taskstate.create()
    taskstate.move(ended, pb.TASK_STATE_FAILED)
    for query, wanted in (
        (f"?task_id={mine.task_id}&task_id={ended.task_id}", [mine, ended]),
        ("?group=agent", [mine]),
        ("?type=run_agent&type=unknown", [mine]),
        ("?group=agent&type=canary", []),
    ):
        async with open_stream(gateway, query) as stream:
            snapshot = await stream.until_checkpoint()
            assert [event.data["task"]["task_id"] for event in snapshot[:-1]] == [task.task_id for task in wanted]
            taskstate.move(other, pb.TASK_STATE_RUNNING, pb.TASK_EVENT_KIND_PHASE)
            last = taskstate.move(mine, pb.TASK_STATE_RUNNING, pb.TASK_EVENT_KIND_PHASE)
            events = await stream.until_checkpoint(last)
            assert transitions(events) == ([last] if mine in wanted else [])


async def test_a_cursor_that_leads_nowhere_is_a_reset_and_a_snapshot(
    gateway: httpx.AsyncClient, taskstate: MemoryTaskState
):
    task = taskstate.create()
    taskstate.move(task, pb.TASK_STATE_RUNNING)
    taskstate.compacted = 2
    for cursor, reason in (("1", "COMPACTED"), ("999999", "FUTURE_REVISION"), (str(2**63 - 1), "FUTURE_REVISION")):
        async with open_stream(gateway, last_event_id=cursor) as stream:
            reset = await stream.next()
            assert (reset.name, reset.data, reset.id) == ("reset", {"reason": reason}, None)
            assert [event.name for event in await stream.until_checkpoint()] == ["task", "checkpoint"]


async def test_hostile_text_stays_within_one_event(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    hostile = 'x\r\n\r\nevent: reset\ndata: {}\n\n\rid: 7\u2028\x00"</script>'
    taskstate.create(name=hostile, message=hostile, payload='{"a":\n\r 1}')
    async with open_stream(gateway) as stream:
        snapshot = await stream.until_checkpoint()
        assert [event.name for event in snapshot] == ["task", "checkpoint"]
        task = snapshot[0].data["task"]
        assert (task["name"], task["message"], task["preferences"]) == (hostile, hostile, {"a": 1})


async def test_many_streams_cost_taskstate_one_watch(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    task = taskstate.create()
    async with open_stream(gateway) as one, open_stream(gateway) as two, open_stream(gateway, "?type=canary") as three:
        for stream in (one, two, three):
            await stream.until_checkpoint(taskstate.revision)
        await await_until(lambda: taskstate.watches == 1)
        revision = taskstate.move(task, pb.TASK_STATE_RUNNING)
        for stream in (one, two, three):
            assert transitions(await stream.until_checkpoint(revision)) == [revision]
        assert taskstate.watches == 1


async def test_taskstate_away_and_back_loses_and_doubles_nothing():
    fake = MemoryTaskState()
    task = fake.create()
    async with serving(fake) as port:
        running = running_gateway(f"127.0.0.1:{port}", stream_heartbeat_seconds=1)
        client = await running.__aenter__()
        stream_context = open_stream(client)
        stream = await stream_context.__aenter__()
        await stream.until_checkpoint()
        await await_until(lambda: fake.watches == 1)
    try:
        # The server is gone. Its state goes on, as another replica's would.
        made = [fake.move(task, pb.TASK_STATE_RUNNING, pb.TASK_EVENT_KIND_PHASE) for _ in range(3)]
        reading = asyncio.create_task(stream.until_checkpoint(made[-1]))
        await await_until(lambda: "upstream lost" in stream.comments)
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200
        async with serving(fake, port):
            assert transitions(await asyncio.wait_for(reading, 10)) == made
            assert "upstream back" in stream.comments
            await await_until(lambda: _is_ready(client))
            # One who comes now, and one who came while it was away, are served alike.
            async with open_stream(client, last_event_id=str(made[0])) as late:
                assert transitions(await late.until_checkpoint(made[-1])) == made[1:]
            await stream_context.__aexit__(None, None, None)
    finally:
        await running.__aexit__(None, None, None)


async def _is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200


async def test_one_who_comes_while_taskstate_is_away_is_kept_and_served_later(taskstate: MemoryTaskState):
    task = taskstate.create()
    taskstate.failures["WatchTasks"] = [Failure(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")] * 3
    async with running_gateway(f"127.0.0.1:{taskstate.port}") as client, open_stream(client) as stream:
        events = await stream.until_checkpoint()
        assert events[0].data["task"]["task_id"] == task.task_id


async def test_a_refused_stream_is_an_ordinary_error(taskstate: MemoryTaskState):
    async with running_gateway(f"127.0.0.1:{taskstate.port}") as client:
        await await_until(lambda: _is_ready(client))
        for code, status in (("RESOURCE_EXHAUSTED", 429), ("INVALID_ARGUMENT", 400)):
            taskstate.failures["WatchTasks"] = [Failure(grpc.StatusCode[code], "LIMIT_EXCEEDED", "too many watches")]
            response = await client.get("/api/v2/stream")
            assert response.status_code == status
            assert response.json()["error"]["message"] == "too many watches"


async def test_the_number_of_streams_is_bounded(taskstate: MemoryTaskState):
    async with running_gateway(f"127.0.0.1:{taskstate.port}", streams_max=2) as client:
        async with open_stream(client) as one, open_stream(client) as two:
            await one.until_checkpoint()
            await two.until_checkpoint()
            refused = await client.get("/api/v2/stream")
            assert refused.status_code == 429
            assert refused.json()["error"]["reason"] == "LIMIT_EXCEEDED"
            assert int(refused.headers["retry-after"]) > 0
        await await_until(lambda: _streams_open(client, 0))
        async with open_stream(client) as three:
            await three.until_checkpoint()


async def _streams_open(client: httpx.AsyncClient, count: int) -> bool:
    return f"taskstate_gateway_streams_open {count}.0" in (await client.get("/metrics")).text


async def test_heartbeats_come_though_nothing_happens(taskstate: MemoryTaskState):
    target = f"127.0.0.1:{taskstate.port}"
    async with running_gateway(target, stream_heartbeat_seconds=1) as client, open_stream(client) as stream:
        await stream.until_checkpoint()
        reading = asyncio.create_task(stream.next("never"))
        await await_until(lambda: stream.comments.count("heartbeat") >= 2)
        reading.cancel()


async def test_a_reader_that_takes_nothing_is_cut_off(taskstate: MemoryTaskState):
    settings = {"stream_write_timeout_seconds": 0.3, "stream_queue_bytes_max": 64 * 1024, "stream_queue_max": 10}
    async with running_gateway(f"127.0.0.1:{taskstate.port}", **settings) as client:
        await await_until(lambda: _is_ready(client))
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", client.base_url.port))
            reader.sendall(b"GET /api/v2/stream HTTP/1.1\r\nHost: x\r\n\r\n")
            await await_until(lambda: _streams_open(client, 1))
            task = taskstate.create(payload='{"a": "%s"}' % ("x" * 60_000))

            async def cut_off() -> bool:
                taskstate.move(task, pb.TASK_STATE_RUNNING, pb.TASK_EVENT_KIND_PHASE)
                return "streams_stalled_total 1.0" in (await client.get("/metrics")).text

            await await_until(cut_off, timeout=20)
            await await_until(lambda: _streams_open(client, 0))


async def test_a_silent_taskstate_is_found_out(taskstate: MemoryTaskState, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared_watch, "SILENCE_MAX_S", 0.5)
    async with running_gateway(f"127.0.0.1:{taskstate.port}") as client:
        await await_until(lambda: _is_ready(client))
        taskstate.held = asyncio.Event()

        async def is_found_out() -> bool:
            state = (await client.get("/readyz")).json()
            return state["taskstate"] and not state["watch"]

        await await_until(is_found_out)
        taskstate.held.set()
        await await_until(lambda: _is_ready(client))


async def test_a_stop_ends_streams_at_once(taskstate: MemoryTaskState):
    listener = listen("127.0.0.1", 0)
    stop = asyncio.Event()
    target = f"127.0.0.1:{taskstate.port}"
    serving_until = asyncio.create_task(serve_until(stop, GatewaySettings(target=target), listener))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=10) as client:
        await await_until(lambda: answers_at_all(client))
        async with open_stream(client) as one, open_stream(client) as two:
            await one.until_checkpoint()
            await two.until_checkpoint()
            stop.set()
            # A proper end and no broken connection, which the client would raise.
            with pytest.raises(AssertionError, match="the stream ended"):
                await one.next("never")
            await asyncio.wait_for(serving_until, 10)
