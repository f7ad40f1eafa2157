"""Every error of the gateway in one shape, and the one table from gRPC codes to HTTP statuses.

The body is always `{"success": false, "error": {"code", "reason", "message", "fields"}}`. `code` is the canonical gRPC
code, `reason` is what clients branch on: a name of `taskstate.v1.ErrorReason`, or one of `GatewayReason` when the gateway
itself refused and TaskState was never asked. What the client sent is never echoed except for names of fields.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException

from services.gateway.json_answer import JsonAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastapi.exceptions import RequestValidationError
    from starlette.requests import Request
    from taskstate.errors import TaskStateError

log = logging.getLogger(__name__)

# As google.rpc.Code maps them. Codes that are not listed (UNKNOWN, INTERNAL, DATA_LOSS) are our fault: 500.
HTTP_STATUS: Final[Mapping[str, int]] = {
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_RETRY_AFTER_SECONDS: Final = "1"


class GatewayReason(StrEnum):
    """Why the gateway refused by itself."""

    MALFORMED_JSON = "MALFORMED_JSON"
    INVALID_FIELD = "INVALID_FIELD"
    ROUTE_NOT_FOUND = "ROUTE_NOT_FOUND"
    ROUTE_RETIRED = "ROUTE_RETIRED"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    HEAD_TOO_LARGE = "HEAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    MALFORMED_REQUEST = "MALFORMED_REQUEST"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    HOST_NOT_ALLOWED = "HOST_NOT_ALLOWED"
    ORIGIN_NOT_ALLOWED = "ORIGIN_NOT_ALLOWED"
    NO_ACTIVE_TASK = "NO_ACTIVE_TASK"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    TASKSTATE_UNREACHABLE = "TASKSTATE_UNREACHABLE"
    TASKSTATE_TIMEOUT = "TASKSTATE_TIMEOUT"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    INTERNAL = "INTERNAL"


class RefusedError(HTTPException):
    """A request the gateway refuses without asking TaskState.

    `fields` are `(field, description)` pairs; `status` is the HTTP status, `code` the canonical code that goes with it.
    An HTTPException, as FastAPI turns every other exception from the reading of a body into one of its own.
    """

    def __init__(
        self,
        status: int,
        code: str,
        reason: GatewayReason,
        message: str,
        fields: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.status = status
        self.code = code
        self.reason = reason
        self.message = message
        self.fields = list(fields)


def invalid_field(field: str, description: str) -> RefusedError:
    """Refuse one field of a request: 400."""
    return RefusedError(
        400, "INVALID_ARGUMENT", GatewayReason.INVALID_FIELD, f"{field}: {description}", [(field, description)]
    )


def error_body(code: str, reason: str, message: str, fields: Iterable[tuple[str, str]] = ()) -> dict[str, Any]:
    """Answer the body of an error."""
    described = [{"field": field, "description": description} for field, description in fields]
    return {"success": False, "error": {"code": code, "reason": reason, "message": message, "fields": described}}


def refused_answer(error: RefusedError) -> JsonAnswer:
    """Answer a request the gateway refused."""
    body = error_body(error.code, error.reason, error.message, error.fields)
    headers = dict(error.headers or {})
    if error.status in (429, 503):
        headers.setdefault("Retry-After", _RETRY_AFTER_SECONDS)
    return JsonAnswer(body, status_code=error.status, headers=headers)


def upstream_answer(error: TaskStateError) -> JsonAnswer:
    """Answer a request that TaskState refused, or could not answer."""
    status = HTTP_STATUS.get(error.code, 500)
    reason, message, code = error.reason, error.message, error.code
    if status == 500:
        log.error(
            "TaskState answered %s: %s",
            error.code,
            error.message,
            extra={"event": "upstream_fault", "code": error.code},
        )
        code, reason, message = "INTERNAL", GatewayReason.INTERNAL, "TaskState failed to answer; its log says why."
    elif not reason and code == "UNAVAILABLE":
        # Without a reason the answer is not TaskState's but gRPC's own, and its text names addresses inside.
        reason, message = GatewayReason.TASKSTATE_UNREACHABLE, "TaskState cannot be reached; safe to try again."
    elif not reason and code == "DEADLINE_EXCEEDED":
        reason, message = GatewayReason.TASKSTATE_TIMEOUT, "TaskState did not answer in time."
    # TaskState knows the fields by their protocol names, which are the same here but for the one renamed below.
    fields = [(_http_field(field), description) for field, description in error.violations if status != 500]
    headers = {"Retry-After": _RETRY_AFTER_SECONDS} if status in (429, 503) else {}
    return JsonAnswer(error_body(code, reason, message, fields), status_code=status, headers=headers)


_HTTP_FIELDS: Final = {
    "page_size": "limit",
    "timeout": "timeout_seconds",
    "stall_timeout": "stall_timeout_seconds",
    "states": "status",
    "types": "type",
    "since_time": "since",
    "until_time": "until",
    "min_level": "level",
    "task_ids": "task_id",
}


def _http_field(field: str) -> str:
    return _HTTP_FIELDS.get(field, field)


def validation_fields(error: RequestValidationError) -> list[tuple[str, str]]:
    """Answer which fields of a request are wrong, and how, without the values that were sent."""
    fields = []
    for detail in error.errors():
        place, *path = detail["loc"]
        if place == "query":
            # A parameter that may be repeated: which of its values is wrong says nothing to its sender.
            path = path[:1]
        field = ".".join(str(part) for part in path) or str(place)
        fields.append((_printable(field), _description(detail)))
    return fields


def _printable(field: str) -> str:
    """An unknown field's name is the client's own text: bounded, and without what would break a log or a header."""
    text = "".join(character if character.isprintable() else "?" for character in field)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _description(detail: Mapping[str, Any]) -> str:
    kind = detail["type"]
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return "is not a field of this request"
    message = str(detail["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def validation_answer(error: RequestValidationError) -> JsonAnswer:
    """Answer a request whose fields are wrong: 400, each field named."""
    fields = validation_fields(error)
    message = "; ".join(f"{field}: {description}" for field, description in fields[:5])
    if len(fields) > 5:
        message += f"; and {len(fields) - 5} more"
    return JsonAnswer(
        error_body("INVALID_ARGUMENT", GatewayReason.INVALID_FIELD, message, fields[:100]), status_code=400
    )


def fault_answer(request: Request, error: Exception) -> JsonAnswer:
    """Answer what nobody foresaw: logged with its trace, told without detail."""
    log.error(
        "a request failed: %s", type(error).__name__, exc_info=error, extra={"event": "fault", "path": request.url.path}
    )
    body = error_body("INTERNAL", GatewayReason.INTERNAL, "The gateway failed to answer; its log says why.")
    return JsonAnswer(body, status_code=500)
