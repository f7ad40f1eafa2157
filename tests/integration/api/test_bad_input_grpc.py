"""Bad input on gRPC: the stated code, the field named, nothing changed, and never the service's own fault."""

import gzip
import re
import socket
import struct
import uuid

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from taskstate.errors import TaskStateError, from_rpc_error
from taskstate.v1 import maintenance_service_pb2 as maintenance
from taskstate.v1 import task_service_pb2 as tasks
from taskstate.v1 import worker_service_pb2 as workers

from tests.integration.api.bad_requests import KIB, BadRequest, bad_requests, nested
from tests.support.waiting import wait_until

DESCRIPTORS = {
    method.name: method
    for module in (tasks, maintenance, workers)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
ROWS = list(bad_requests())
UNARY = sorted(DESCRIPTORS.keys() - {"Session"})


def path_of(method: str) -> str:
    return f"/{DESCRIPTORS[method].containing_service.full_name}/{method}"


def call(channel: grpc.Channel, method: str, sent: bytes, **options) -> object:
    """Send raw bytes to a method and answer its (first) response, parsed."""
    response = getattr(
        {"TaskService": tasks, "MaintenanceService": maintenance, "WorkerService": workers}[
            DESCRIPTORS[method].containing_service.name
        ],
        DESCRIPTORS[method].output_type.name,
    )
    options = {"timeout": 10, **options}
    if method == "Session":
        stream = channel.stream_stream(path_of(method), response_deserializer=response.FromString)
        return next(stream(iter([sent]), **options))
    if DESCRIPTORS[method].server_streaming:
        stream = channel.unary_stream(path_of(method), response_deserializer=response.FromString)(sent, **options)
        try:
            return next(stream)
        finally:
            stream.cancel()
    return channel.unary_unary(path_of(method), response_deserializer=response.FromString)(sent, **options)


def refusal(channel: grpc.Channel, method: str, sent: bytes, **options) -> TaskStateError:
    """The error that the call must end with."""
    with pytest.raises(grpc.RpcError) as refused:
        call(channel, method, sent, **options)
    return from_rpc_error(refused.value)


def refusal_if_any(channel: grpc.Channel, method: str, sent: bytes) -> TaskStateError | None:
    """The error that the call ends with, if it does."""
    try:
        call(channel, method, sent)
    except grpc.RpcError as refused:
        return from_rpc_error(refused)
    return None


def field_of(violation: str) -> str:
    """`dispatches[1].task_id` speaks of the request's field `dispatches`."""
    return re.split(r"[.\[]", violation, maxsplit=1)[0]


def create(core, **fields) -> tasks.CreateTaskResponse:
    request = tasks.CreateTaskRequest(type="sample", **fields)
    return call(core.channel, "CreateTask", request.SerializeToString())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_bad_field_is_named_and_nothing_changes(core, row: BadRequest):
    with core.unchanged():
        error = refusal(core.channel, row.method, row.request.SerializeToString())
    assert error.code == "INVALID_ARGUMENT"
    assert error.reason in {"INVALID_FIELD", "INVALID_PAGE_TOKEN"}
    assert {field_of(field) for field, _ in error.violations} == set(row.fields)
    assert all(description for _, description in error.violations)
    assert row.fields[0] in error.message
    # A megabyte of nonsense does not come back, and nothing that a terminal would act on.
    assert len(error.message) < 2 * KIB
    assert error.message.isprintable()


def test_every_rpc_that_is_told_something_is_in_the_table():
    assert {row.method for row in ROWS} == {name for name in UNARY if DESCRIPTORS[name].input_type.fields}


def with_bad_text(message) -> bytes:
    """Bytes of this message type whose first text, however deep it lies, is not UTF-8."""
    for field in message.fields:
        if field.type == field.TYPE_STRING:
            return bytes([field.number << 3 | 2, 2, 0xFF, 0xFE])
        if field.message_type is not None and (inner := with_bad_text(field.message_type)):
            return bytes([field.number << 3 | 2, len(inner)]) + inner
    return b""


MALFORMED = [
    pytest.param(method, sent, id=f"{method}-{label}")
    for method, descriptor in sorted(DESCRIPTORS.items())
    for label, sent in {
        "not-utf8": with_bad_text(descriptor.input_type),
        "truncated": b"\x0a\xff",
        "length-beyond-end": b"\x0a\xff\xff\xff\xff\x7f",
        "garbage": b"\xff" * 16,
        "no-length": b"\x0a",
        "group-without-end": b"\x0b",
    }.items()
    if sent
]


@pytest.mark.parametrize(("method", "sent"), MALFORMED)
def test_bytes_that_are_no_message_are_the_callers_fault(core, method, sent):
    with core.unchanged():
        error = refusal(core.channel, method, sent)
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE")


@pytest.mark.parametrize("method", ["GetTask", "CancelTask", "ListTaskEvents", "ListTaskLogs"])
def test_a_well_formed_unknown_id_is_not_found(core, method):
    request = tasks.GetTaskRequest(task_id=str(uuid.uuid4()))
    error = refusal(core.channel, method, request.SerializeToString())
    assert (error.code, error.reason) == ("NOT_FOUND", "TASK_NOT_FOUND")
    assert error.metadata == {"task_id": request.task_id}


def test_a_task_that_has_ended_cannot_be_stopped(core):
    request = tasks.CancelTaskRequest(task_id=create(core).task.task_id)
    call(core.channel, "CancelTask", request.SerializeToString())
    for force in (False, True):
        request.force = force
        with core.unchanged():
            error = refusal(core.channel, "CancelTask", request.SerializeToString())
        assert (error.code, error.reason) == ("FAILED_PRECONDITION", "TASK_TERMINAL")
        assert error.metadata["task_id"] == request.task_id


def test_confirming_an_unknown_task_is_an_outcome(core):
    dispatch = maintenance.Dispatch(task_id=str(uuid.uuid4()), dispatch=1, queue="default")
    with core.unchanged():
        request = maintenance.ConfirmDispatchesRequest(dispatches=[dispatch])
        answer = call(core.channel, "ConfirmDispatches", request.SerializeToString())
    assert [item.outcome for item in answer.confirmations] == [maintenance.DISPATCH_OUTCOME_NOT_FOUND]


def test_a_request_id_with_other_contents_is_refused(core):
    first = create(core, request_id="r-1", payload='{"a": 1}')
    again = create(core, request_id="r-1", payload='{"a": 1}')
    assert (again.existed, again.task.task_id) == (True, first.task.task_id)
    with core.unchanged():
        request = tasks.CreateTaskRequest(type="sample", request_id="r-1", payload='{"a": 2}')
        error = refusal(core.channel, "CreateTask", request.SerializeToString())
    assert (error.code, error.reason) == ("ALREADY_EXISTS", "REQUEST_ID_CONFLICT")
    assert error.metadata == {"request_id": "r-1", "task_id": first.task.task_id}


def test_a_page_token_belongs_to_its_request(core):
    for _ in range(3):
        create(core, group="paged")
    request = tasks.ListTasksRequest(page_size=1, group="paged")
    token = call(core.channel, "ListTasks", request.SerializeToString()).next_page_token
    assert token
    for fields in (
        {"page_token": token},
        {"page_token": token, "group": "paged", "order": tasks.TASK_ORDER_OLDEST_FIRST},
        {"page_token": token[:-1], "group": "paged"},
        {"page_token": token + "A", "group": "paged"},
        {"page_token": token, "group": "paged", "offset": 1},
    ):
        error = refusal(core.channel, "ListTasks", tasks.ListTasksRequest(**fields).SerializeToString())
        assert error.code == "INVALID_ARGUMENT", fields
        assert {field for field, _ in error.violations} <= {"page_token", "offset"}, fields
    events = tasks.ListTaskEventsRequest(task_id=str(uuid.uuid4()), page_token=token)
    assert refusal(core.channel, "ListTaskEvents", events.SerializeToString()).reason == "INVALID_PAGE_TOKEN"


@pytest.mark.parametrize("page_size", [0, 1, 500, 501, 2**31 - 1])
def test_page_sizes_are_defaulted_and_lowered(core, page_size):
    request = tasks.ListTasksRequest(page_size=page_size)
    assert len(call(core.channel, "ListTasks", request.SerializeToString()).tasks) <= min(page_size or 50, 500)


@pytest.mark.parametrize("text", ["%", "_", "\\", "'", '"', "'; drop table task_spec; --", "100%_\\'"])
def test_text_is_matched_literally(core, text):
    create(core, name="plain name", group="literal")
    marked = create(core, name=f"with {text} in it", group="literal").task.task_id
    request = tasks.ListTasksRequest(text=f"with {text} in", group="literal")
    found = call(core.channel, "ListTasks", request.SerializeToString()).tasks
    assert [task.task_id for task in found] == [marked]
    alone = tasks.ListTasksRequest(text=text, group="literal")
    names = [task.name for task in call(core.channel, "ListTasks", alone.SerializeToString()).tasks]
    assert names
    assert all(text in name for name in names)


@pytest.mark.parametrize(
    "payload",
    [
        '{"__proto__": {"a": 1}, "constructor": "x"}',
        "{" + ", ".join(f'"k{number}": 1' for number in range(5_000)) + "}",
        nested(16),
        ' {"a" :  1.50, "big": 12345678901234567890, "e": 1e300} ',
        '{"text": "<script>alert(1)</script> \\u2028 é"}',
    ],
    ids=["proto", "5000-keys", "16-deep", "spaces-and-numbers", "markup"],
)
def test_an_odd_payload_is_data_and_comes_back_as_it_was(core, payload):
    created = create(core, payload=payload).task
    request = tasks.GetTaskRequest(task_id=created.task_id)
    assert call(core.channel, "GetTask", request.SerializeToString()).task.payload == payload


@pytest.mark.parametrize("digits", [5_000, 60_000])
def test_a_number_of_many_digits_is_data(core, digits):
    # Python refuses to read integers of more than 4,300 digits; we have no need to read them.
    payload = '{"a": ' + "1" * digits + "}"
    assert create(core, payload=payload).task.payload == payload


def test_a_future_revision_is_out_of_range(core):
    future = core.counts()[0] + 1_000_000
    request = tasks.WatchTasksRequest(from_revision=future)
    error = refusal(core.channel, "WatchTasks", request.SerializeToString())
    assert (error.code, error.reason) == ("OUT_OF_RANGE", "FUTURE_REVISION")
    assert error.metadata["from_revision"] == str(future)


def test_the_largest_revision_is_out_of_range(core):
    request = tasks.WatchTasksRequest(from_revision=2**63 - 1)
    assert refusal(core.channel, "WatchTasks", request.SerializeToString()).reason == "FUTURE_REVISION"


def test_a_compacted_revision_is_out_of_range(core):
    for _ in range(2):
        create(core)
    newest = core.counts()[0]
    core.execute("update revision set compacted = %s", newest)
    try:
        request = tasks.WatchTasksRequest(from_revision=newest - 1)
        # A replica learns of it with its feed's next read, within a second; until then it still has that history.
        error = wait_until(lambda: refusal_if_any(core.channel, "WatchTasks", request.SerializeToString()))
    finally:
        core.execute("update revision set compacted = 0")
    assert (error.code, error.reason) == ("OUT_OF_RANGE", "COMPACTED")
    assert error.metadata == {"from_revision": str(newest - 1), "compacted_revision": str(newest)}


@pytest.mark.parametrize("actor", ["a" * 129, ""])
def test_an_actor_that_cannot_be_one_is_refused(core, actor):
    with core.unchanged():
        sent = tasks.CreateTaskRequest(type="sample").SerializeToString()
        error = refusal(core.channel, "CreateTask", sent, metadata=(("taskstate-actor", actor),))
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert error.metadata == {"field": "taskstate-actor"}


def test_an_unknown_method_is_unimplemented(core):
    for path in ("/taskstate.v1.TaskService/DeleteEverything", "/no.such.Service/Method"):
        with pytest.raises(grpc.RpcError) as refused:
            core.channel.unary_unary(path)(b"", timeout=10)
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("size", [4 * KIB * KIB, 16 * KIB * KIB])
def test_a_message_over_4_mib_is_refused_also_when_it_is_small_on_the_wire(core, size):
    with grpc.insecure_channel(core.target, [("grpc.max_send_message_length", -1)]) as channel, core.unchanged():
        sent = tasks.GetTaskRequest(task_id="0" * size).SerializeToString()
        assert len(gzip.compress(sent, 1)) < 1 * KIB * KIB
        error = refusal(channel, "GetTask", sent, compression=grpc.Compression.Gzip)
    assert error.code == "RESOURCE_EXHAUSTED"


def test_metadata_over_its_limit_is_refused(core):
    request = tasks.GetTaskRequest(task_id=str(uuid.uuid4())).SerializeToString()
    error = refusal(core.channel, "GetTask", request, metadata=(("x", "y" * 20_000),))
    assert error.code == "RESOURCE_EXHAUSTED"


def test_a_deadline_in_the_past_is_exceeded(core):
    with core.unchanged():
        error = refusal(core.channel, "CreateTask", tasks.CreateTaskRequest(type="x").SerializeToString(), timeout=-1)
    assert error.code == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", struct.pack(">I", 0) * 64],
    ids=["http1", "tls", "zeros"],
)
def test_another_protocol_is_closed_and_does_no_harm(core, sent):
    host, _, port = core.target.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(sent)
        while connection.recv(4096):
            pass
    call(core.channel, "ListTasks", b"")


@given(method=st.sampled_from(sorted(DESCRIPTORS)), sent=st.binary(max_size=64))
@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_bytes_are_an_internal_error(core, method, sent):
    try:
        call(core.channel, method, sent, timeout=2)
    except (grpc.RpcError, StopIteration) as error:
        code = error.code() if isinstance(error, grpc.RpcError) else None
        assert code not in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE}
