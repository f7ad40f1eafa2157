"""Stops and doubts on the real TaskState, as the command line and HTTP tell them; no scheduler sweeps in between."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import grpc
import httpx
import pytest
from taskstate.channel import sync_channel
from taskstate.cli.app import app
from taskstate.client import TaskStateClient
from taskstate.v1 import worker_service_pb2 as worker
from typer.testing import CliRunner, Result

from services.gateway import answers
from services.up.embedded_postgres import EmbeddedPostgres
from tests.integration.cli.one_supervisor import OneSupervisor
from tests.integration.cli.test_cli_with_taskstate import fresh_database
from tests.support.processes import Processes
from tests.support.waiting import wait_until

GRACE_S = 1.5
STOP, CANCEL = "/api/v2/agent/stop", "/api/v1/tasks/cancel/{}"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def addresses(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[tuple[str, str]]:
    """One TaskState with its gateway for the tests here; the gRPC target and the HTTP address."""
    database_url = fresh_database(postgres_server, migrated_template, "stops")
    with Processes() as processes:
        env = {"TASKSTATE_DATABASE_URL": database_url, "TASKSTATE_STREAM_GRACE_SECONDS": str(GRACE_S)}
        core = processes.start("services.taskstate", env=env)
        core.wait_for_event("ready")
        target = f"127.0.0.1:{core.port()}"
        gateway = processes.start("services.gateway", env={"TASKSTATE_TARGET": target})
        yield target, f"http://127.0.0.1:{gateway.port()}"
        gateway.stop()
        core.stop()


@pytest.fixture
def target(addresses: tuple[str, str]) -> str:
    return addresses[0]


@pytest.fixture
def http(addresses: tuple[str, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=addresses[1], timeout=10) as client:
        yield client


@pytest.fixture
def client(target: str) -> Iterator[TaskStateClient]:
    with TaskStateClient(target, actor="test") as client:
        yield client


@pytest.fixture
def channel(target: str) -> Iterator[grpc.Channel]:
    with sync_channel(target) as channel:
        yield channel


def run(target: str, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--target", target])


def view(http: httpx.Client, task_id: str) -> dict:
    response = http.get(f"/api/v2/tasks/{task_id}")
    answers.Task.model_validate_json(response.content, strict=True)
    return response.json()


def test_a_stop_from_its_request_to_the_exit(target, http, client, channel):
    task_id = client.create("stopped", name="kb-refresh").task_id
    with OneSupervisor(channel, "stopped") as supervisor:
        supervisor.start(task_id)
        asked = run(target, "cancel", task_id[:13])
        assert asked.exit_code == 0, asked.output
        assert "kb-refresh" in asked.stdout
        assert "Stop requested; over by " in asked.stdout
        supervisor.wait_for_order("cancel")
        receipt = view(http, task_id)["cancel"]
        assert (receipt["outcome"], receipt["deliver_time"], receipt["force"]) == (None, None, False)
        assert receipt["deadline_time"] > receipt["request_time"]
        assert "Running, Cancelling" in run(target, "ls", "--text", task_id).stdout
        supervisor.advance_stop(worker.CANCEL_STAGE_DELIVERED)
        supervisor.advance_stop(worker.CANCEL_STAGE_SIGNALLED)
        shown = run(target, "show", task_id).stdout
        assert "Exit seen  not yet" in shown
        # Asked again while it is under way: the same receipt, and no second request.
        again = http.post(CANCEL.format(task_id)).json()
        assert again["task"]["cancel"]["request_time"] == receipt["request_time"]
        supervisor.exit_as_ordered(signal.SIGTERM)
    ended = view(http, task_id)
    assert (ended["state"], ended["status"], ended["cancel"]["outcome"]) == ("cancelled", "REVOKED", "confirmed")
    steps = [ended["cancel"][f"{step}_time"] for step in ("request", "deliver", "signal", "exit")]
    assert steps == sorted(steps)
    document = json.loads(run(target, "show", task_id, "--json").stdout)
    assert document["cancel"] == ended["cancel"]
    kinds = [event["kind"] for event in document["events"]]
    assert kinds[kinds.index("cancel_requested") :][:3] == ["cancel_requested", "cancel_advanced", "cancel_advanced"]
    shown = run(target, "show", task_id).stdout
    assert "Stopped on request. Exit seen." in shown
    assert "Outcome    confirmed" in shown
    # Over is over, on every surface, and nothing changes by asking.
    refused = run(target, "cancel", "--force", task_id)
    assert (refused.exit_code, "TASK_TERMINAL" in refused.stderr) == (4, True)
    error = http.post(CANCEL.format(task_id), params={"force": "true"})
    assert (error.status_code, error.json()["error"]["reason"]) == (400, "TASK_TERMINAL")
    assert view(http, task_id) == ended


def test_a_forced_stop_of_the_active_agent_run(target, http, client, channel):
    task_id = client.create("run_agent", group="agent").task_id
    with OneSupervisor(channel, "run_agent") as supervisor:
        supervisor.start(task_id)
        response = http.post(STOP, json={"force": True})
        answers.Stopped.model_validate_json(response.content, strict=True)
        body = response.json()
        assert (body["task"]["task_id"], body["task"]["state"]) == (task_id, "failed")
        assert body["message"] == "Force cancelled; its process is being ended."
        assert (body["task"]["reason"], body["task"]["message"]) == ("FORCE_CANCELLED", "Force cancelled by user")
        shown = run(target, "show", task_id).stdout
        assert "Its process is being ended." in shown
        assert "by force" in shown
        supervisor.wait_for_order("kill")
        supervisor.advance_stop(worker.CANCEL_STAGE_SIGNALLED)
        supervisor.exit_as_ordered(signal.SIGKILL)
    assert view(http, task_id)["cancel"]["outcome"] == "confirmed"
    none = http.post(STOP)
    assert (none.status_code, none.json()["error"]["reason"]) == (404, "NO_ACTIVE_TASK")


def test_what_waits_is_stopped_at_once_and_what_is_not_there_is_told(target, http, client):
    first, second = (client.create("nobody_runs_this").task_id for _ in range(2))
    result = run(target, "cancel", first, UNKNOWN)
    assert result.exit_code == 3
    assert "Stopped; it had not started." in result.stdout
    assert view(http, first)["state"] == "cancelled"
    body = http.post(CANCEL.format(second)).json()
    assert (body["message"], body["task"]["cancel"]["outcome"]) == ("Stopped; it had not started.", "confirmed")
    assert http.post(CANCEL.format(UNKNOWN)).status_code == 404
    assert http.post(STOP, json={"task_id": UNKNOWN}).status_code == 404
    active = client.create("run_agent", group="agent").task_id
    # Nothing that is refused stops anything.
    for response in (
        http.post(CANCEL.format(active), params={"force": "maybe"}),
        http.post(CANCEL.format(active), json={"force": True}),
        http.post(STOP, json={"forse": True}),
        http.post(STOP, headers={"Origin": "https://evil.example"}),
    ):
        assert response.status_code in (400, 403)
    assert view(http, active)["cancel"] is None
    assert http.post(STOP).json()["task"]["task_id"] == active


def test_doubts_are_told_apart_and_stale_gives_the_evidence(target, http, client, channel):
    assert run(target, "stale").stdout == "Nothing is stale.\n"
    task_id = client.create("doubtful").task_id
    with OneSupervisor(channel, "doubtful") as supervisor:
        supervisor.start(task_id)
        supervisor.heartbeat(41)
        assert wait_until(lambda: view(http, task_id)["liveness"] == "unresponsive", what="the doubt")
        assert "Running, Unresponsive" in run(target, "ls", "--text", task_id).stdout
        assert "Not counted as dead." in run(target, "show", task_id).stdout
        # Alive, and so no business of a sweep, unless one asks for what runs long.
        assert run(target, "stale").stdout == "Nothing is stale.\n"
        overdue = json.loads(run(target, "stale", "--max-age", "0.001", "--json").stdout)["items"]
        assert [(item["task_id"], item["verdict"]) for item in overdue] == [(task_id, "overdue")]
        supervisor.break_off()
        wait_until(lambda: view(http, task_id)["liveness"] == "suspect", what="the broken stream")
        assert "Running, Suspect" in run(target, "ls", "--text", task_id).stdout
        shown = run(target, "stale").stdout.splitlines()
        assert shown[1].startswith("Suspect")
        assert "nothing yet: it may come back" in shown[1]
        assert "The stream of w-1 ended" in shown[1]
        wait_until(lambda: "Expired" in run(target, "stale").stdout, what="the end of the grace")
        assert "ends it as lost" in run(target, "stale").stdout
        # A list is only a list.
        assert view(http, task_id)["state"] == "running"
