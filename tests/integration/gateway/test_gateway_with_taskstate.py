"""The gateway in front of the real TaskState on a real PostgreSQL: a run watched through a reload and a restart."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from taskstate.channel import aio_channel
from taskstate.v1 import maintenance_service_pb2 as maintenance
from taskstate.v1 import maintenance_service_pb2_grpc, worker_service_pb2_grpc
from taskstate.v1 import task_pb2 as pb
from taskstate.v1 import worker_service_pb2 as worker

from services.gateway import answers
from tests.support.processes import Process, ProcessStarter
from tests.support.sse_reader import SseEvent, open_stream
from tests.support.waiting import await_until


def transitions(events: list[SseEvent]) -> list[tuple[str, str]]:
    return [
        (event.id, event.data["event"]["kind"]) for event in events if event.name == "task" and event.id is not None
    ]


class Supervisor:
    """A supervisor's side of a session, message by message."""

    def __init__(self, channel) -> None:
        self._call = worker_service_pb2_grpc.WorkerServiceStub(channel).Session()
        self._maintenance = maintenance_service_pb2_grpc.MaintenanceServiceStub(channel)
        self._sequence = 0

    async def say(self, **body) -> worker.ServerMessage:
        """Say one thing and hear its answer."""
        self._sequence += 1
        message = worker.WorkerMessage(sequence=self._sequence, **body)
        await self._call.write(worker.SessionRequest(messages=[message]))
        response = await asyncio.wait_for(self._call.read(), 10)
        return response.messages[0]

    async def hello(self) -> None:
        await self.say(
            hello=worker.Hello(
                worker=pb.Worker(worker_id="w-1", host="a", pid=411, boot_id="b", queues=["agent"]),
                types=[worker.TaskType(name="run_agent", queue="agent", phases=[{"id": "fetch", "name": "Fetch"}])],
            )
        )

    async def start(self, task_id: str) -> int:
        """Dispatch the task and start its attempt; the fencing token."""
        handed = await self._maintenance.AcquireDispatches(maintenance.AcquireDispatchesRequest(max_dispatches=10))
        await self._maintenance.ConfirmDispatches(maintenance.ConfirmDispatchesRequest(dispatches=handed.dispatches))
        dispatch = next(each.dispatch for each in handed.dispatches if each.task_id == task_id)
        start_id = "11111111-1111-4111-8111-111111111111"
        answer = await self.say(
            start=worker.StartAttempt(task_id=task_id, dispatch=dispatch, start_id=start_id, horse_pid=412)
        )
        return answer.started.fencing_token

    async def end(self) -> None:
        await self._call.done_writing()
        self._call.cancel()


@pytest.fixture
def core(start_process: ProcessStarter, database_url: str) -> Process:
    return start_process("services.taskstate", env={"TASKSTATE_DATABASE_URL": database_url})


async def test_a_run_watched_through_a_reload(core: Process, start_process: ProcessStarter):
    target = f"127.0.0.1:{await asyncio.to_thread(core.port)}"
    process = start_process("services.gateway", env={"TASKSTATE_TARGET": target})
    base_url = f"http://127.0.0.1:{await asyncio.to_thread(process.port)}"
    async with httpx.AsyncClient(base_url=base_url, timeout=10) as client, aio_channel(target) as channel:
        await await_until(lambda: _ready(client))
        async with open_stream(client, "?group=agent") as stream:
            await stream.until_checkpoint()
            created = await client.post("/api/v2/agent/start", json={"preferences": {"skip_llm": True}})
            assert created.status_code == 202
            task = answers.Task.model_validate(created.json())
            first = await stream.next("task")
            assert first.data["event"]["kind"] == "created"
            assert first.data["event"]["actor"] == "http"
            last_id = stream.last_id
        supervisor = Supervisor(channel)
        await supervisor.hello()
        token = await supervisor.start(task.task_id)
        held = {"task_id": task.task_id, "fencing_token": token}
        running = pb.PHASE_STATE_RUNNING
        await supervisor.say(phase=worker.ReportPhase(phase_id="fetch", state=running, **held))
        await supervisor.say(
            progress=worker.ReportProgress(phase_id="fetch", done=1, total=4, items_processed=1, **held)
        )
        active = (await client.get("/api/v2/agent/active")).json()
        assert (active["task"]["state"], active["queue_size"]) == ("running", 0)
        answers.ActiveTask.model_validate(active)
        # The reload: what came between is told once, and what comes goes on.
        async with open_stream(client, "?group=agent", last_event_id=last_id) as stream:
            rest = await stream.until_checkpoint(int(active["task"]["revision"]))
            await supervisor.say(phase=worker.ReportPhase(phase_id="fetch", state=pb.PHASE_STATE_DONE, **held))
            await supervisor.say(finish=worker.FinishAttempt(result='{"items": 1}', **held))
            await supervisor.say(exited=worker.AttemptExited(exit=pb.ProcessExit(peak_memory_bytes=1 << 20), **held))
            events = (await client.get(f"/api/v2/tasks/{task.task_id}/events?limit=100")).json()
            answers.TaskEventPage.model_validate(events)
            rest += await stream.until_checkpoint(int(events["events"][-1]["revision"]))
        trail = [(event["revision"], event["kind"]) for event in events["events"]]
        assert [(first.id, "created"), *transitions(rest)] == trail
        assert [kind for _, kind in trail][-3:] == ["phase", "finished", "exited"]
        # Progress has no id, and was not lost.
        assert any(event.data["task"]["items_processed"] == 1 for event in rest if event.name == "task")
        history = answers.JobPage.model_validate((await client.get("/api/v2/jobs/history?status=SUCCESS")).json())
        assert (history.total_count, history.jobs[0].task.result) == (1, {"items": 1})
        assert history.jobs[0].system_info.worker is not None
        await supervisor.end()
    assert process.stop() == 0
    assert core.stop() == 0


async def test_taskstate_restarted_under_a_stream(core: Process, start_process: ProcessStarter, database_url: str):
    port = await asyncio.to_thread(core.port)
    process = start_process("services.gateway", env={"TASKSTATE_TARGET": f"127.0.0.1:{port}"})
    base_url = f"http://127.0.0.1:{await asyncio.to_thread(process.port)}"
    async with httpx.AsyncClient(base_url=base_url, timeout=20) as client:
        await await_until(lambda: _ready(client))
        async with open_stream(client) as stream:
            await stream.until_checkpoint()
            before = await client.post("/api/v2/tasks", json={"type": "canary"})
            core.kill()
            await await_until(lambda: _not_ready(client))
            # Asked while it is away: repeated under its own key until TaskState is back, or refused with a word of advice.
            body = {"type": "canary", "request_id": "while-away"}
            asking = asyncio.create_task(client.post("/api/v2/tasks", json=body))
            env = {"TASKSTATE_DATABASE_URL": database_url, "TASKSTATE_GRPC_PORT": str(port)}
            again = start_process("services.taskstate", env=env)
            await asyncio.to_thread(again.port)
            asked = await asking
            assert asked.status_code == 202 or (asked.status_code == 503 and asked.headers["retry-after"])
            await await_until(lambda: _ready(client))
            after = await client.post("/api/v2/tasks", json=body)
            assert after.status_code == 202
            assert asked.status_code == 503 or asked.json()["task_id"] == after.json()["task_id"]
            seen = transitions(await stream.until_checkpoint(int(after.json()["revision"])))
        page = await client.get("/api/v2/tasks?order=oldest")
        assert [task["task_id"] for task in page.json()["tasks"]] == [before.json()["task_id"], after.json()["task_id"]]
        made = []
        for task in page.json()["tasks"]:
            events = (await client.get(f"/api/v2/tasks/{task['task_id']}/events")).json()["events"]
            made += [(event["revision"], event["kind"]) for event in events]
        assert seen == sorted(made, key=lambda each: int(each[0]))
    assert process.stop() == 0


async def test_bad_input_that_only_taskstate_can_judge(core: Process, start_process: ProcessStarter):
    target = f"127.0.0.1:{await asyncio.to_thread(core.port)}"
    process = start_process("services.gateway", env={"TASKSTATE_TARGET": target})
    base_url = f"http://127.0.0.1:{await asyncio.to_thread(process.port)}"
    async with httpx.AsyncClient(base_url=base_url, timeout=10) as client:
        for path in ("/api/v2/tasks?page_token=forged", "/api/v2/jobs/history?page_token=%00"):
            response = await client.get(path)
            assert response.status_code == 400
            assert response.json()["error"]["fields"][0]["field"] == "page_token"
        body = {"type": "canary", "payload": {"seconds": 1}, "request_id": "k"}
        assert (await client.post("/api/v2/tasks", json=body)).status_code == 202
        conflict = await client.post("/api/v2/tasks", json={**body, "type": "run_agent"})
        assert (conflict.status_code, conflict.json()["error"]["reason"]) == (409, "REQUEST_ID_CONFLICT")
        literal = await client.get("/api/v2/tasks", params={"text": "%"})
        assert literal.json()["tasks"] == []
        assert len((await client.get("/api/v2/tasks", params={"text": "CANAR"})).json()["tasks"]) == 1


async def _ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200


async def _not_ready(client: httpx.AsyncClient) -> bool:
    return not await _ready(client)


async def test_settings_that_are_wrong_are_told_together(start_process: ProcessStarter):
    env = {"TASKSTATE_HTTP_PORT": "x", "TASKSTATE_CORS_ORIGINS": "*", "TASKSTATE_TARGET": "a,,b"}
    process = start_process("services.gateway", env=env)
    assert await asyncio.to_thread(process.wait) == 2
    for name in env:
        assert name in process.output
