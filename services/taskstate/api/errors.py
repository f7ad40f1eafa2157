"""Errors of the API: one table from reason to canonical code, and one shape on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2

from services.taskstate.command import Refused
from services.taskstate.database import DatabaseUnavailable
from services.taskstate.watch import Compacted, FutureRevision, ReplicaStopping

DOMAIN = "taskstate"

CODES: dict[str, grpc.StatusCode] = {
    "INVALID_FIELD": grpc.StatusCode.INVALID_ARGUMENT,
    "INVALID_PAGE_TOKEN": grpc.StatusCode.INVALID_ARGUMENT,
    "MALFORMED_MESSAGE": grpc.StatusCode.INVALID_ARGUMENT,
    "SESSION_PROTOCOL": grpc.StatusCode.INVALID_ARGUMENT,
    "TASK_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "REQUEST_ID_CONFLICT": grpc.StatusCode.ALREADY_EXISTS,
    "TASK_TERMINAL": grpc.StatusCode.FAILED_PRECONDITION,
    "STALE_DISPATCH": grpc.StatusCode.FAILED_PRECONDITION,
    "TOKEN_LOST": grpc.StatusCode.FAILED_PRECONDITION,
    "HOLDER_DEAD": grpc.StatusCode.FAILED_PRECONDITION,
    "NOT_DISPATCHABLE": grpc.StatusCode.FAILED_PRECONDITION,
    "COMPACTED": grpc.StatusCode.OUT_OF_RANGE,
    "FUTURE_REVISION": grpc.StatusCode.OUT_OF_RANGE,
    "LIMIT_EXCEEDED": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "SLOW_WATCHER": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "DATABASE_UNAVAILABLE": grpc.StatusCode.UNAVAILABLE,
    "SHUTTING_DOWN": grpc.StatusCode.UNAVAILABLE,
    "INTERNAL": grpc.StatusCode.INTERNAL,
}
"""Every reason of error_reason.proto, and the canonical code it comes with."""


class ApiError(Exception):
    """What a caller is told. Raised anywhere below the interceptor, which puts it on the wire."""

    def __init__(
        self,
        reason: str,
        message: str,
        metadata: dict[str, str] | None = None,
        violations: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata or {}
        self.violations = violations

    @property
    def code(self) -> grpc.StatusCode:
        """The canonical code."""
        return CODES[self.reason]


def from_refusal(refused: Refused) -> ApiError:
    """What a refused command tells its caller."""
    return ApiError(refused.reason, refused.message, refused.metadata)


def from_exception(error: Exception, from_revision: int = 0) -> ApiError | None:
    """What a known exception of the use cases tells the caller; None for an unknown one."""
    match error:
        case ApiError():
            return error
        case DatabaseUnavailable():
            return ApiError("DATABASE_UNAVAILABLE", "The database did not answer; try again.")
        case ReplicaStopping():
            return ApiError("SHUTTING_DOWN", "This replica is shutting down; resume on another.")
        case Compacted():
            known = {"from_revision": str(from_revision), "compacted_revision": str(error.compacted)}
            return ApiError("COMPACTED", str(error), known)
        case FutureRevision():
            known = {"from_revision": str(from_revision), "revision": str(error.revision)}
            return ApiError("FUTURE_REVISION", str(error), known)
        case _:
            return None


async def abort(context: grpc.aio.ServicerContext[object, object], error: ApiError) -> NoReturn:
    """End the call with the error's code, message and details."""
    details = [_packed(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))]
    if error.violations:
        bad_request = error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
                for field, description in error.violations
            ]
        )
        details.append(_packed(bad_request))
    code: int = getattr(code_pb2, error.code.name)
    status = status_pb2.Status(code=code, message=error.message, details=details)
    await context.abort(error.code, error.message, (("grpc-status-details-bin", status.SerializeToString()),))


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
