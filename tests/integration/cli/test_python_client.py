"""The client against a scripted service on a real connection: every method, deadlines, retries, errors, waiting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from taskstate.client import TaskStateClient
from taskstate.errors import TaskStateError
from taskstate.v1 import maintenance_service_pb2 as maintenance
from taskstate.v1 import task_pb2
from taskstate.v1 import task_service_pb2 as pb

from tests.support.fake_task_service import FakeTaskService, fail, make_id, make_task, serving, snapshot, transition

UNAVAILABLE = fail(grpc.StatusCode.UNAVAILABLE)
UNUSED_PORT = "127.0.0.1:1"


@pytest.fixture
def service() -> FakeTaskService:
    return FakeTaskService()


@pytest.fixture
def client(service: FakeTaskService) -> Iterator[TaskStateClient]:
    with serving(service) as target, TaskStateClient(target, actor="test:Zoë\n") as client:
        yield client


def test_create_sends_every_field_and_an_idempotency_key(service, client):
    task = client.create(
        "canary", {"seconds": 5}, queue="q", group="g", name="n", job_type="j", trigger_source="s", priority=3,
        timeout=90, stall_timeout=timedelta(seconds=1.5), max_attempts=2, retry_on_loss=True,
        not_before=datetime(2026, 11, 23, tzinfo=UTC),
    )  # fmt: skip
    request = service.requests_of(pb.CreateTaskRequest)[0]
    assert task.state == task_pb2.TASK_STATE_PENDING
    assert json.loads(request.payload) == {"seconds": 5}
    assert len(request.request_id) == 36
    assert (request.timeout.seconds, request.stall_timeout.nanos) == (90, 500_000_000)
    assert request.not_before_time.ToDatetime(tzinfo=UTC) == datetime(2026, 11, 23, tzinfo=UTC)
    assert (request.max_attempts, request.retry_on_loss, request.priority) == (2, True, 3)
    assert service.actors == {"test:Zo??"}


def test_a_create_is_repeated_with_the_same_key_while_the_service_is_away(service, client):
    service.failures["CreateTask"] = [UNAVAILABLE, UNAVAILABLE]
    client.create("canary")
    keys = [request.request_id for request in service.requests_of(pb.CreateTaskRequest)]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert not service.requests_of(pb.CreateTaskRequest)[0].HasField("max_attempts")


def test_what_is_left_out_is_left_to_the_type(service, client):
    client.submit(pb.CreateTaskRequest(type="canary"))
    request = service.requests_of(pb.CreateTaskRequest)[0]
    assert request.request_id
    assert not any(request.HasField(name) for name in ("timeout", "stall_timeout", "max_attempts", "retry_on_loss"))


@pytest.mark.parametrize(
    ("payload", "fields", "complaint"),
    [({"x": float("nan")}, {}, "NaN|JSON compliant"), ({}, {"not_before": datetime(2026, 1, 1)}, "no time zone")],  # noqa: DTZ001
)
def test_a_request_that_cannot_be_right_is_not_sent(service, client, payload, fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        client.create("canary", payload, **fields)
    assert service.requests == []


def test_lists_go_on_to_the_last_page(service, client):
    service.add(*(make_task(number) for number in range(7)))
    service.page_limit = 3
    assert [task.task_id for task in client.list(states=["running"])] == [make_id(number) for number in range(7)]
    assert len(service.requests_of(pb.ListTasksRequest)) == 3
    page = client.page(states=["FAILURE"], with_total_count=True)
    assert list(service.requests_of(pb.ListTasksRequest)[-1].states) == [
        task_pb2.TASK_STATE_FAILED,
        task_pb2.TASK_STATE_LOST,
    ]
    assert page.total_count == 0
    with pytest.raises(ValueError, match="must be one of"):
        client.page(states=["done"])


def test_events_and_logs_go_on_to_the_last_page(service, client):
    service.events = [task_pb2.TaskEvent(revision=number) for number in range(5)]
    service.lines = [
        task_pb2.LogLine(sequence=(1 << 32) + number, attempt=1, level=task_pb2.LogLevel.values()[1 + number % 3])
        for number in range(5)
    ]
    assert [event.revision for event in client.events(make_id(1))] == [0, 1, 2, 3, 4]
    assert len(list(client.logs(make_id(1)))) == 5
    assert len(list(client.logs(make_id(1), min_level="warning"))) == 1
    assert len(list(client.logs(make_id(1), after_sequence=(1 << 32) + 3))) == 1
    assert list(client.logs(make_id(1), attempt=2)) == []


def test_active_tells_an_idle_group_from_a_busy_one(service, client):
    assert client.active("agent") == (None, 0, 10)
    service.add(make_task(1, group="agent"), make_task(2, task_pb2.TASK_STATE_PENDING, group="agent"))
    active = client.active("agent")
    assert (active.task.task_id, active.queue_size) == (make_id(1), 1)


@pytest.mark.parametrize("force", [False, True])
def test_a_cancel_answers_the_task_with_its_receipt_and_is_repeated_while_the_service_is_away(service, client, force):
    service.add(make_task(1))
    service.failures["CancelTask"] = [UNAVAILABLE]
    task = client.cancel(make_id(1), force=force)
    assert [(request.task_id, request.force) for request in service.requests_of(pb.CancelTaskRequest)] == [
        (make_id(1), force),
        (make_id(1), force),
    ]
    assert (task.cancel.force, task.state == task_pb2.TASK_STATE_FAILED) == (force, force)


def test_a_cancel_that_changes_nothing_is_an_error(service, client):
    service.add(make_task(1, task_pb2.TASK_STATE_SUCCEEDED))
    with pytest.raises(TaskStateError) as raised:
        client.cancel(make_id(1))
    assert (raised.value.code, raised.value.reason) == ("FAILED_PRECONDITION", "TASK_TERMINAL")
    with pytest.raises(TaskStateError) as raised:
        client.cancel(make_id(2))
    assert raised.value.code == "NOT_FOUND"


def test_the_plan_of_a_sweep_goes_on_to_the_last_page(service, client):
    service.sweep_items = [maintenance.SweepItem(task_id=make_id(number)) for number in range(5)]
    assert [item.task_id for item in client.plan_sweep()] == [make_id(number) for number in range(5)]
    assert not service.requests_of(maintenance.PlanSweepRequest)[0].HasField("max_age")
    next(client.plan_sweep(max_age_s=1.5))
    assert service.requests_of(maintenance.PlanSweepRequest)[-1].max_age.ToMilliseconds() == 1500


def test_errors_carry_code_reason_and_fields(service, client):
    with pytest.raises(TaskStateError) as raised:
        client.get(make_id(1))
    assert (raised.value.code, raised.value.reason) == ("NOT_FOUND", "TASK_NOT_FOUND")
    service.failures["CreateTask"] = [
        fail(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "type is bad", [("type", "must match")])
    ]
    with pytest.raises(TaskStateError) as raised:
        client.create("NO")
    assert raised.value.violations == [("type", "must match")]


def test_a_service_that_is_not_there_is_an_error_and_not_a_wait():
    with TaskStateClient(UNUSED_PORT) as client, pytest.raises(TaskStateError) as raised:
        client.get(make_id(1))
    assert (raised.value.code, raised.value.reason) == ("UNAVAILABLE", "")


def test_a_service_that_does_not_answer_meets_the_deadline(service):
    service.failures["GetTask"] = [lambda _context: service.closing.wait(30) and None]
    with (
        serving(service) as target,
        TaskStateClient(target, timeout_s=0.2) as client,
        pytest.raises(TaskStateError) as raised,
    ):
        client.get(make_id(1))
    assert raised.value.code == "DEADLINE_EXCEEDED"


def test_the_target_comes_from_the_environment_unless_it_is_given(monkeypatch):
    monkeypatch.setenv("TASKSTATE_TARGET", "127.0.0.1:50052")
    with TaskStateClient() as client:
        assert client.target == "127.0.0.1:50052"
    with TaskStateClient("127.0.0.1:50053") as client:
        assert client.target == "127.0.0.1:50053"
    monkeypatch.delenv("TASKSTATE_TARGET")
    with TaskStateClient() as client:
        assert client.target == "127.0.0.1:50051"


def test_wait_answers_the_whole_task_at_its_end_through_a_broken_connection(service, client):
    running = make_task(1)
    service.add(running)
    ended = make_task(1, task_pb2.TASK_STATE_SUCCEEDED, revision=20, result_omitted=True)

    def end_it(_context) -> None:
        service.add(make_task(1, task_pb2.TASK_STATE_SUCCEEDED, revision=20, result='"whole"'))

    service.watches = [
        [snapshot(running), UNAVAILABLE],
        [end_it, transition(ended, task_pb2.TASK_STATE_RUNNING)],
    ]
    assert client.wait(make_id(1), timeout=20).result == '"whole"'
    second = service.requests_of(pb.WatchTasksRequest)[1]
    assert (second.from_revision, list(second.task_ids)) == (10, [make_id(1)])


def test_wait_answers_at_once_for_a_task_that_has_ended(service, client):
    service.add(make_task(1, task_pb2.TASK_STATE_LOST))
    assert client.wait(make_id(1)).state == task_pb2.TASK_STATE_LOST
    assert service.requests_of(pb.WatchTasksRequest) == []


def test_wait_ends_in_time(service, client):
    service.add(make_task(1))
    service.watches = [[snapshot(make_task(1))]]
    with pytest.raises(TimeoutError):
        client.wait(make_id(1), timeout=0.2)


def test_wait_learns_of_a_purge_from_a_reset(service, client):
    service.add(make_task(1))
    service.watches = [
        [lambda _context: service.tasks.clear(), snapshot(make_task(1)), UNAVAILABLE],
        [fail(grpc.StatusCode.OUT_OF_RANGE, "COMPACTED")],
    ]
    with pytest.raises(TaskStateError) as raised:
        client.wait(make_id(1), timeout=20)
    assert raised.value.reason == "TASK_NOT_FOUND"
