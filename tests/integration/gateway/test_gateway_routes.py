"""Every route's answer, held against the description the gateway itself gives of it."""

from __future__ import annotations

import json
from typing import Any

import grpc
import httpx
from pydantic import BaseModel
from taskstate.v1 import task_pb2 as pb
from taskstate.v1 import task_service_pb2 as api

from services.gateway import answers
from tests.integration.gateway.conftest import running_gateway
from tests.support.memory_taskstate import Failure, MemoryTaskState, time_of
from tests.support.waiting import await_until


def checked(model: type[BaseModel], response: httpx.Response, status: int = 200) -> dict[str, Any]:
    """The answer's body, if it has the model's shape: no key more, no key less, no other type."""
    assert response.status_code == status, response.text
    # As JSON and strictly: a number given as text would pass a lax model.
    model.model_validate_json(response.content, strict=True)
    assert set(response.json()) == {field.alias or name for name, field in model.model_fields.items()}
    return response.json()


async def test_a_create_is_answered_with_the_task_itself(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    body = {
        "type": "canary",
        "queue": "default",
        "payload": {"seconds": 2, "text": "grüße 漢字", "big": 9007199254740993},
        "request_id": "one",
        "group": "g",
        "name": "My <b>canary</b>",
        "job_type": "drill",
        "trigger_source": "test",
        "priority": -3,
        "timeout_seconds": 90.5,
        "stall_timeout_seconds": 5,
        "max_attempts": 3,
        "retry_on_loss": True,
        "not_before_time": "2026-11-23T18:00:00.25+01:00",
    }
    response = await gateway.post("/api/v2/tasks", json=body)
    task = checked(answers.Task, response, 202)
    assert response.headers["location"] == f"/api/v2/tasks/{task['task_id']}"
    assert task["preferences"] == body["payload"]
    assert task["human_readable_name"] == "My <b>canary</b>"
    request: api.CreateTaskRequest = taskstate.requests_of(api.CreateTaskRequest)[0]
    assert json.loads(request.payload) == body["payload"]
    assert (request.request_id, request.priority, request.max_attempts, request.retry_on_loss) == ("one", -3, 3, True)
    assert request.timeout.ToMilliseconds() == 90_500
    assert request.stall_timeout.ToMilliseconds() == 5_000
    assert request.not_before_time.ToJsonString() == "2026-11-23T17:00:00.250Z"
    assert (await gateway.get(response.headers["location"])).json() == task


async def test_what_a_create_leaves_out_is_left_to_the_type(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    checked(answers.Task, await gateway.post("/api/v2/tasks", json={"type": "canary"}), 202)
    request: api.CreateTaskRequest = taskstate.requests_of(api.CreateTaskRequest)[0]
    assert (request.job_type, request.trigger_source, request.payload) == ("manual", "api", "{}")
    for field in ("timeout", "stall_timeout", "max_attempts", "retry_on_loss", "not_before_time"):
        assert not request.HasField(field)
    # A key of the gateway's own, so that it may repeat a create whose answer was lost.
    assert request.request_id.startswith("gateway-")
    assert set(taskstate.actors) == {"http"}


async def test_an_agent_run_is_a_task_of_its_group(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    preferences = {"skip_llm": True}
    response = await gateway.post(
        "/api/v2/agent/start", json={"preferences": preferences}, headers={"Idempotency-Key": "k"}
    )
    task = checked(answers.Task, response, 202)
    assert (task["type"], task["queue"], task["group"]) == ("run_agent", "agent", "agent")
    assert (task["preferences"], task["job_type"], task["trigger_source"]) == (preferences, "manual", "api")
    assert task["human_readable_name"] == "Run agent"
    assert taskstate.requests_of(api.CreateTaskRequest)[0].request_id == "k"
    second = await gateway.post("/api/v2/agent/start", json={"job_type": "scheduled"})
    assert second.json()["job_type"] == "scheduled"
    active = checked(answers.ActiveTask, await gateway.get("/api/v2/agent/active"))
    assert active == {"task": task, "queue_size": 2}
    taskstate.move(taskstate.tasks[second.json()["task_id"]], pb.TASK_STATE_RUNNING)
    active = (await gateway.get("/api/v2/agent/active")).json()
    assert (active["task"]["task_id"], active["queue_size"]) == (second.json()["task_id"], 1)
    status = await gateway.get(f"/api/v2/agent/status/{task['task_id']}")
    assert checked(answers.Task, status) == task


async def test_a_request_id_answers_the_same_task_and_guards_its_contents(gateway: httpx.AsyncClient):
    body = {"type": "canary", "payload": {"seconds": 1}, "request_id": "again"}
    first = await gateway.post("/api/v2/tasks", json=body)
    second = await gateway.post("/api/v2/tasks", json=body, headers={"Idempotency-Key": "again"})
    assert second.status_code == 202
    assert second.json()["task_id"] == first.json()["task_id"]
    other = await gateway.post("/api/v2/tasks", json={**body, "payload": {"seconds": 2}})
    assert other.status_code == 409
    assert other.json()["error"]["reason"] == "REQUEST_ID_CONFLICT"


async def test_lists_page_and_filter(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    tasks = [taskstate.create() for _ in range(5)]
    taskstate.move(tasks[0], pb.TASK_STATE_LOST)
    page = checked(answers.TaskPage, await gateway.get("/api/v2/tasks?limit=3"))
    assert [task["task_id"] for task in page["tasks"]] == [task.task_id for task in reversed(tasks[2:])]
    assert page["revision"] == str(taskstate.revision)
    rest = (await gateway.get("/api/v2/tasks", params={"limit": 3, "page_token": page["next_page_token"]})).json()
    assert len(rest["tasks"]) == 2
    assert rest["next_page_token"] is None
    failed = (await gateway.get("/api/v2/tasks?status=FAILURE&status=running")).json()
    assert [task["state"] for task in failed["tasks"]] == ["lost"]
    query = "type=canary&queue=default&group=g&job_type=manual&text=a_b%25&order=oldest&offset=2"
    query += "&since=2026-11-23T17:00:00Z&until=2026-11-24T17:00:00Z"
    await gateway.get(f"/api/v2/tasks?{query}")
    asked: api.ListTasksRequest = taskstate.requests_of(api.ListTasksRequest)[-1]
    assert (list(asked.types), asked.queue, asked.group, asked.text) == (["canary"], "default", "g", "a_b%")
    assert (asked.order, asked.offset, asked.job_type) == (api.TASK_ORDER_OLDEST_FIRST, 2, "manual")
    assert asked.until_time.seconds - asked.since_time.seconds == 86_400


async def test_the_history_is_derived_from_the_task(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    task = taskstate.create(
        "run_agent", queue="agent", payload='{"skip_media": true}', result='{"items": 3}', items_processed=3,
    )  # fmt: skip
    taskstate.move(task, pb.TASK_STATE_RUNNING)
    task.worker.CopyFrom(pb.Worker(worker_id="w-1", host="a", pid=411, horse_pid=412, boot_id="b", queues=["agent"]))
    task.phases.add(id="fetch", name="Fetch", state=pb.PHASE_STATE_DONE, done=3, total=3)
    task.phases[0].start_time.CopyFrom(time_of(0))
    task.phases[0].end_time.CopyFrom(time_of(2))
    task.exit.CopyFrom(pb.ProcessExit(peak_memory_bytes=1 << 20))
    task.exit.cpu_time.FromMilliseconds(250)
    taskstate.move(task, pb.TASK_STATE_SUCCEEDED, pb.TASK_EVENT_KIND_FINISHED)
    history = checked(answers.JobPage, await gateway.get("/api/v2/jobs/history?status=SUCCESS"))
    assert history["total_count"] == 1
    job = history["jobs"][0]
    assert job["user_preferences"] == {"skip_media": True}
    assert job["task"]["result"] == {"items": 3}
    assert job["execution_summary"]["status"] == "SUCCESS"
    assert job["phase_results"][0]["duration"] == 2
    assert job["performance_metrics"] == {
        "wait_seconds": 1, "run_seconds": 1, "cpu_seconds": 0.25, "peak_memory_bytes": 1 << 20, "items_per_second": 3,
    }  # fmt: skip
    assert job["system_info"]["worker"]["host"] == "a"


async def test_events_and_logs_of_a_task(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    task = taskstate.create()
    taskstate.move(task, pb.TASK_STATE_RUNNING)
    events = checked(answers.TaskEventPage, await gateway.get(f"/api/v2/tasks/{task.task_id}/events"))
    assert [(event["from"], event["to"], event["kind"]) for event in events["events"]] == [
        (None, "pending", "created"),
        ("pending", "running", "started"),
    ]
    sequence = (1 << 32) | 7
    line = pb.LogLine(sequence=sequence, attempt=1, level=pb.LOG_LEVEL_WARNING, text="a\nb\x1b[31m", logger="workers.x")
    line.time.CopyFrom(time_of(0))
    taskstate.logs[task.task_id] = [line]
    logs = checked(answers.LogPage, await gateway.get(f"/api/v2/tasks/{task.task_id}/logs?level=INFO&attempt=1"))
    assert logs["logs"][0]["sequence"] == str(sequence)
    assert logs["logs"][0]["text"] == "a\nb\x1b[31m"
    later = await gateway.get(f"/api/v2/tasks/{task.task_id}/logs?after_sequence={sequence}")
    assert later.json()["logs"] == []
    asked: api.ListTaskLogsRequest = taskstate.requests_of(api.ListTaskLogsRequest)[0]
    assert (asked.min_level, asked.attempt) == (pb.LOG_LEVEL_INFO, 1)


STATUSES = [
    ("INVALID_ARGUMENT", 400), ("FAILED_PRECONDITION", 400), ("OUT_OF_RANGE", 400), ("UNAUTHENTICATED", 401),
    ("PERMISSION_DENIED", 403), ("NOT_FOUND", 404), ("ALREADY_EXISTS", 409), ("ABORTED", 409), ("RESOURCE_EXHAUSTED", 429),
    ("UNIMPLEMENTED", 501), ("UNAVAILABLE", 503), ("DEADLINE_EXCEEDED", 504), ("INTERNAL", 500), ("UNKNOWN", 500),
]  # fmt: skip


async def test_each_grpc_code_has_its_status(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    for code, status in STATUSES:
        failure = Failure(grpc.StatusCode[code], "INVALID_FIELD", "told by TaskState", (("page_size", "too large"),))
        # As often as the channel repeats a call.
        taskstate.failures["ListTasks"] = [failure] * 5
        response = await gateway.get("/api/v2/tasks")
        error = checked(answers.Error, response, status)["error"]
        if status == 500:
            assert error == {"code": "INTERNAL", "reason": "INTERNAL", "message": error["message"], "fields": []}
            assert "told by TaskState" not in response.text
        else:
            assert (error["code"], error["message"]) == (code, "told by TaskState")
            assert error["fields"] == [{"field": "limit", "description": "too large"}]
        assert ("retry-after" in response.headers) == (status in (429, 503))


async def test_a_taskstate_that_is_not_there():
    async with running_gateway("127.0.0.1:1") as client:
        response = await client.get("/api/v2/tasks")
        error = checked(answers.Error, response, 503)["error"]
        assert error["reason"] == "TASKSTATE_UNREACHABLE"
        assert "127.0.0.1" not in error["message"]
        ready = checked(answers.Readiness, await client.get("/readyz"), 503)
        assert ready == {"ready": False, "taskstate": False, "watch": False, "revision": None}
        checked(answers.Health, await client.get("/healthz"))


async def test_the_retired_paths_name_their_successors(gateway: httpx.AsyncClient):
    for path in ("start", "stop", "status"):
        for method in ("GET", "POST", "DELETE"):
            response = await gateway.request(method, f"/api/agent/{path}")
            error = checked(answers.Error, response, 410)["error"]
            assert "/api/v2/agent/" in error["message"]
            assert response.headers["link"].endswith('rel="successor-version"')


async def test_the_description_is_true_to_what_is_served(gateway: httpx.AsyncClient):
    schema = (await gateway.get("/openapi.json")).json()
    assert schema["openapi"] == "3.0.3", "the installed Swagger UI knows no 3.1"
    assert '"type": "null"' not in json.dumps(schema)
    assert '"const"' not in json.dumps(schema)
    worker = schema["components"]["schemas"]["Task"]["properties"]["worker"]
    assert (worker["allOf"], worker["nullable"]) == ([{"$ref": "#/components/schemas/Worker"}], True)
    described = {(method.upper(), path) for path, operations in schema["paths"].items() for method in operations}
    assert described == {
        ("POST", "/api/v2/agent/start"),
        ("GET", "/api/v2/agent/status/{task_id}"),
        ("GET", "/api/v2/agent/active"),
        ("POST", "/api/v2/agent/stop"),
        ("POST", "/api/v1/tasks/cancel/{task_id}"),
        ("GET", "/api/v2/jobs/history"),
        ("POST", "/api/v2/tasks"),
        ("GET", "/api/v2/tasks"),
        ("GET", "/api/v2/tasks/{task_id}"),
        ("GET", "/api/v2/tasks/{task_id}/events"),
        ("GET", "/api/v2/tasks/{task_id}/logs"),
        ("GET", "/api/v2/stream"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("POST", "/api/agent/start"),
        ("GET", "/api/agent/status"),
        ("POST", "/api/agent/stop"),
    }
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert not [operation for operation in operations if "422" in operation["responses"]]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    create = schema["paths"]["/api/v2/tasks"]["post"]
    assert create["responses"]["202"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Task"}
    assert create["responses"]["400"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
    assert schema["components"]["schemas"]["CreateTask"]["additionalProperties"] is False


async def test_pages_and_their_files_come_from_here_alone(gateway: httpx.AsyncClient):
    for path in ("/", "/docs"):
        page = await gateway.get(path)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe-eval" not in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert "//" not in page.text.replace("<!doctype", "")
        for part in page.text.split('"'):
            if part.startswith(("/static/", "/docs/")):
                file = await gateway.get(part)
                assert file.status_code == 200, part
                assert file.content
                copy = await gateway.get(part, headers={"If-None-Match": file.headers["etag"]})
                assert copy.status_code == 304
    script = (await gateway.get("/static/landing.js")).text
    assert "innerHTML" not in script


async def test_metrics_count_what_was_answered(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    task = taskstate.create()
    await gateway.get(f"/api/v2/tasks/{task.task_id}")
    await gateway.get("/nothing/here")
    await await_until(lambda: _published(gateway))
    page = (await gateway.get("/metrics")).text
    assert 'requests_total{method="GET",route="/api/v2/tasks/{task_id}",status="200"} 1.0' in page
    assert 'requests_total{method="GET",route="unmatched",status="404"} 1.0' in page
    assert "taskstate_gateway_watch_connected 1.0" in page
    assert "taskstate_gateway_streams_open 0.0" in page
    assert task.task_id not in page


async def _published(gateway: httpx.AsyncClient) -> bool:
    return "taskstate_gateway_changes_published_total 1.0" in (await gateway.get("/metrics")).text
