"""Stopping tasks over HTTP: what is asked of TaskState, what is answered, and what is refused without asking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from taskstate.v1 import task_pb2 as pb
from taskstate.v1 import task_service_pb2 as api

from services.gateway import answers
from tests.integration.gateway.conftest import running_gateway
from tests.support.memory_taskstate import ACTIVE, MemoryTaskState, serving

# One gateway for all of them; each begins with an idle agent and no requests.
pytestmark = pytest.mark.asyncio(loop_scope="module")

ID = "00000000-0000-4000-8000-000000000000"
STOP = "/api/v2/agent/stop"
CANCEL = "/api/v1/tasks/cancel/{}"
JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def parts() -> AsyncIterator[tuple[httpx.AsyncClient, MemoryTaskState]]:
    fake = MemoryTaskState()
    async with serving(fake) as port, running_gateway(f"127.0.0.1:{port}") as client:
        fake.port = port
        yield client, fake


@pytest.fixture
def gateway(parts: tuple[httpx.AsyncClient, MemoryTaskState]) -> httpx.AsyncClient:
    return parts[0]


@pytest.fixture
def taskstate(parts: tuple[httpx.AsyncClient, MemoryTaskState]) -> MemoryTaskState:
    fake = parts[1]
    fake.requests.clear()
    fake.actors.clear()
    for task in fake.tasks.values():
        if task.state in ACTIVE:
            fake.move(task, pb.TASK_STATE_CANCELLED, pb.TASK_EVENT_KIND_EXITED)
    return fake


def stopped(response: httpx.Response) -> dict[str, Any]:
    """The answer's body, if it has the shape that the description gives it."""
    assert response.status_code == 200, response.text
    answers.Stopped.model_validate_json(response.content, strict=True)
    return response.json()


def error_of(response: httpx.Response) -> dict[str, Any]:
    answers.Error.model_validate_json(response.content, strict=True)
    return response.json()["error"]


def running(taskstate: MemoryTaskState, **fields: Any) -> pb.Task:
    task = taskstate.create(**fields)
    taskstate.move(task, pb.TASK_STATE_RUNNING)
    return task


async def test_a_running_task_is_asked_to_stop(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    task = running(taskstate)
    body = stopped(await gateway.post(CANCEL.format(task.task_id)))
    deadline = task.cancel.deadline_time.ToDatetime()
    assert body["message"] == f"Stop requested; over by {deadline:%H:%M:%S} UTC."
    assert (body["task"]["state"], body["task"]["is_active"]) == ("running", True)
    assert body["task"]["cancel"] == {
        "force": False,
        "request_time": body["task"]["cancel"]["request_time"],
        "deliver_time": None,
        "signal_time": None,
        "exit_time": None,
        "deadline_time": f"{deadline:%Y-%m-%dT%H:%M:%S.%fZ}",
        "outcome": None,
    }
    assert set(taskstate.actors) == {"http"}


async def test_a_waiting_task_is_stopped_at_once(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    body = stopped(await gateway.post(CANCEL.format(taskstate.create().task_id), json={}))
    assert body["message"] == "Stopped; it had not started."
    assert (body["task"]["state"], body["task"]["status"]) == ("cancelled", "REVOKED")
    assert body["task"]["cancel"]["outcome"] == "confirmed"


@pytest.mark.parametrize("force", ["true", "True", "1"])
async def test_a_forced_cancel(gateway: httpx.AsyncClient, taskstate: MemoryTaskState, force: str):
    task = running(taskstate)
    body = stopped(await gateway.post(CANCEL.format(task.task_id), params={"force": force}))
    assert body["message"] == "Force cancelled; its process is being ended."
    assert (body["task"]["state"], body["task"]["reason"]) == ("failed", "FORCE_CANCELLED")
    assert body["task"]["cancel"]["force"] is True


@pytest.mark.parametrize("force", ["false", "0", "FALSE"])
async def test_a_cancel_that_is_not_forced(gateway: httpx.AsyncClient, taskstate: MemoryTaskState, force: str):
    await gateway.post(CANCEL.format(running(taskstate).task_id), params={"force": force})
    assert [asked.force for asked in taskstate.requests_of(api.CancelTaskRequest)] == [False]


async def test_the_agent_stop_takes_the_active_run(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    waiting = taskstate.create("run_agent", group="agent")
    first = running(taskstate, type_name="run_agent", group="agent")
    running(taskstate)
    # As clients send "nothing": no body at all, an empty one that calls itself a form, an empty object.
    for content, headers in (
        (None, {}),
        (b"", {"Content-Type": "application/x-www-form-urlencoded"}),
        (b"{}", JSON),
    ):
        body = stopped(await gateway.post(STOP, content=content, headers=headers))
        assert body["task"]["task_id"] == first.task_id
    taskstate.move(first, pb.TASK_STATE_CANCELLED, pb.TASK_EVENT_KIND_EXITED)
    body = stopped(await gateway.post(STOP, json={"force": True}))
    assert (body["task"]["task_id"], body["task"]["state"]) == (waiting.task_id, "failed")
    none = await gateway.post(STOP)
    assert none.status_code == 404
    assert (error_of(none)["reason"], error_of(none)["code"]) == ("NO_ACTIVE_TASK", "NOT_FOUND")


async def test_the_agent_stop_takes_the_run_that_is_named(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    running(taskstate, type_name="run_agent", group="agent")
    second = running(taskstate, type_name="run_agent", group="agent")
    body = stopped(await gateway.post(STOP, json={"task_id": second.task_id}))
    assert body["task"]["task_id"] == second.task_id


async def test_ended_and_unknown_tasks(gateway: httpx.AsyncClient, taskstate: MemoryTaskState):
    task = running(taskstate)
    taskstate.move(task, pb.TASK_STATE_SUCCEEDED, pb.TASK_EVENT_KIND_FINISHED)
    for ended in (
        await gateway.post(CANCEL.format(task.task_id)),
        await gateway.post(STOP, json={"task_id": task.task_id, "force": True}),
    ):
        assert ended.status_code == 400
        assert (error_of(ended)["code"], error_of(ended)["reason"]) == ("FAILED_PRECONDITION", "TASK_TERMINAL")
    for unknown in (await gateway.post(CANCEL.format(ID)), await gateway.post(STOP, json={"task_id": ID})):
        assert unknown.status_code == 404
        assert error_of(unknown)["reason"] == "TASK_NOT_FOUND"


BAD_STOPS: list[tuple[bytes, dict[str, str], int, str]] = [
    (b'{"task_id": "abc"}', JSON, 400, "task_id"),
    (b'{"task_id": ""}', JSON, 400, "task_id"),
    (b'{"task_id": 5}', JSON, 400, "task_id"),
    (b'{"task_id": "AAAAAAAA-0000-4000-8000-000000000000"}', JSON, 400, "task_id"),
    (b'{"force": "true"}', JSON, 400, "force"),
    (b'{"force": 1}', JSON, 400, "force"),
    (b'{"force": null}', JSON, 400, "force"),
    (b'{"forse": true}', JSON, 400, "forse"),
    (b'{"preferences": {}}', JSON, 400, "preferences"),
    (b'{"force": true, "force": true}', JSON, 400, "body"),
    (b'{"force":', JSON, 400, "body"),
    (b"  ", JSON, 400, "body"),
    (b"null", JSON, 400, "body"),
    (b"[]", JSON, 400, "body"),
    (b'"stop"', JSON, 400, "body"),
    (b"\xff", JSON, 400, "body"),
    (b" " * 1_100_000, JSON, 413, "body"),
    (b"{}", {"Content-Type": "text/plain"}, 415, "Content-Type"),
    (b"{}", {}, 415, "Content-Type"),
    (b"force=true", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "Content-Type"),
]


@pytest.mark.parametrize(("content", "headers", "status", "field"), BAD_STOPS)
async def test_bodies_of_an_agent_stop(
    gateway: httpx.AsyncClient,
    taskstate: MemoryTaskState,
    content: bytes,
    headers: dict[str, str],
    status: int,
    field: str,
):
    running(taskstate, type_name="run_agent", group="agent")
    refused(await gateway.post(STOP, content=content, headers=headers), status, field)
    assert not taskstate.requests_of(api.CancelTaskRequest)


BAD_CANCELS: list[tuple[str, bytes, str]] = [
    ("force=maybe", b"", "force"),
    ("force=", b"", "force"),
    ("force=2", b"", "force"),
    ("force=off", b"", "force"),
    ("force=true%00", b"", "force"),
    ("force=true&force=false", b"", "force"),
    ("forse=true", b"", "query"),
    ("Force=true", b"", "query"),
    ("", b'{"force": true}', "force"),
    ("", b'{"task_id": "x"}', "task_id"),
    ("", b"[]", "body"),
    ("", b"{", "body"),
]


@pytest.mark.parametrize(("query", "content", "field"), BAD_CANCELS)
async def test_queries_and_bodies_of_a_cancel(
    gateway: httpx.AsyncClient, taskstate: MemoryTaskState, query: str, content: bytes, field: str
):
    task = running(taskstate)
    response = await gateway.post(f"{CANCEL.format(task.task_id)}?{query}", content=content, headers=JSON)
    refused(response, 400, field)
    assert not taskstate.requests_of(api.CancelTaskRequest)


@pytest.mark.parametrize("task_id", ["abc", ID.upper().replace("0", "A"), f"{{{ID}}}", "0" * 5000, ID + "%0A", "%00"])
async def test_ids_that_are_none(gateway: httpx.AsyncClient, taskstate: MemoryTaskState, task_id: str):
    refused(await gateway.post(CANCEL.format(task_id)), 400, "task_id")
    assert not taskstate.requests_of(api.CancelTaskRequest)


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://other.example.org"},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_pages_of_other_sites_stop_nothing(
    gateway: httpx.AsyncClient, taskstate: MemoryTaskState, headers: dict[str, str]
):
    task = running(taskstate, type_name="run_agent", group="agent")
    for path in (STOP, f"{CANCEL.format(task.task_id)}?force=true"):
        response = await gateway.post(path, headers=headers)
        assert response.status_code == 403
        assert error_of(response)["reason"] == "ORIGIN_NOT_ALLOWED"
    assert not taskstate.requests_of(api.CancelTaskRequest)


async def test_our_own_pages_and_those_of_configured_origins_may_stop(taskstate: MemoryTaskState):
    configured = "https://app.example.org"
    async with running_gateway(f"127.0.0.1:{taskstate.port}", cors_origins=(configured,)) as client:
        own = str(client.base_url).rstrip("/")
        for headers in (
            {"Origin": own},
            {"Origin": own, "Sec-Fetch-Site": "same-origin"},
            {"Origin": configured, "Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "none"},
        ):
            task = running(taskstate)
            stopped(await client.post(CANCEL.format(task.task_id), headers=headers))


async def test_the_description_says_that_a_body_may_be_left_out(gateway: httpx.AsyncClient):
    paths = (await gateway.get("/openapi.json")).json()["paths"]
    for path in (STOP, CANCEL.format("{task_id}")):
        operation = paths[path]["post"]
        assert not operation["requestBody"].get("required", False)
        assert operation["responses"]["200"]["content"]["application/json"]["schema"] == {
            "$ref": "#/components/schemas/Stopped"
        }
        assert {"400", "403", "404", "413", "415", "503", "504"} <= operation["responses"].keys()
    parameters = {each["name"]: each for each in paths[CANCEL.format("{task_id}")]["post"]["parameters"]}
    assert parameters["force"]["schema"]["type"] == "boolean"
    assert parameters["force"]["required"] is False


def refused(response: httpx.Response, status: int, field: str) -> None:
    assert response.status_code == status, response.text
    error = error_of(response)
    assert error["code"] == "INVALID_ARGUMENT"
    assert [each["field"] for each in error["fields"]] == [field]
