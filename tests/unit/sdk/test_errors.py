"""Failed calls become a TaskStateError that clients can branch on, whatever came with them."""

import grpc
import grpc.aio
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from taskstate.errors import TaskStateError, from_rpc_error


def failed(code, details="", trailing=()):
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details=details)


def packed(*details):
    status = status_pb2.Status(code=3, message="m")
    for detail in details:
        status.details.add().Pack(detail)
    return (("grpc-status-details-bin", status.SerializeToString()),)


def test_reads_reason_metadata_and_violations():
    info = error_details_pb2.ErrorInfo(reason="INVALID_FIELD", domain="taskstate", metadata={"field": "type"})
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="type", description="must match [a-z]")
    error = from_rpc_error(failed(grpc.StatusCode.INVALID_ARGUMENT, "type is wrong", packed(info, bad)))
    assert (error.code, error.reason, error.message) == ("INVALID_ARGUMENT", "INVALID_FIELD", "type is wrong")
    assert error.metadata == {"field": "type"}
    assert error.violations == [("type", "must match [a-z]")]
    assert str(error) == "INVALID_ARGUMENT INVALID_FIELD: type is wrong (type: must match [a-z])"
    assert not error.retryable


def test_the_message_is_not_said_twice():
    error = TaskStateError("INVALID_ARGUMENT", "INVALID_FIELD", "type: is required", {}, [("type", "is required")])
    assert str(error) == "INVALID_ARGUMENT INVALID_FIELD: type: is required"


def test_a_reason_with_its_prefix_is_the_same_reason():
    info = error_details_pb2.ErrorInfo(reason="ERROR_REASON_TASK_NOT_FOUND", domain="taskstate")
    assert from_rpc_error(failed(grpc.StatusCode.NOT_FOUND, "no", packed(info))).reason == "TASK_NOT_FOUND"


def test_a_reason_of_another_domain_is_not_ours():
    info = error_details_pb2.ErrorInfo(reason="TASK_TERMINAL", domain="proxy.example")
    assert from_rpc_error(failed(grpc.StatusCode.ABORTED, "no", packed(info))).reason == ""


@pytest.mark.parametrize(
    "trailing",
    [
        (),
        (("grpc-status-details-bin", b"\xff\xff garbage"),),
        (("other-bin", b"x"),),
        (
            (
                "grpc-status-details-bin",
                status_pb2.Status(
                    details=[any_pb2.Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")]
                ).SerializeToString(),
            ),
        ),
    ],
)
def test_without_readable_details_code_and_message_remain(trailing):
    error = from_rpc_error(failed(grpc.StatusCode.UNAVAILABLE, "gone", trailing))
    assert (error.code, error.reason, error.message, error.violations) == ("UNAVAILABLE", "", "gone", [])
    assert error.retryable


def test_an_answer_without_message_still_says_something():
    assert str(from_rpc_error(failed(grpc.StatusCode.NOT_FOUND))) == (
        "NOT_FOUND: the call ended with NOT_FOUND and no message"
    )


def test_a_call_that_the_server_dropped_unseen_is_unavailable():
    error = from_rpc_error(failed(grpc.StatusCode.CANCELLED, "CANCELLED"))
    assert (error.code, error.retryable) == ("UNAVAILABLE", True)


def test_a_call_that_we_cancelled_is_cancelled():
    error = from_rpc_error(failed(grpc.StatusCode.CANCELLED, "Locally cancelled by application!"))
    assert (error.code, error.retryable) == ("CANCELLED", False)


def test_a_bare_rpc_error_has_no_code():
    assert from_rpc_error(grpc.RpcError()).code == "UNKNOWN"
