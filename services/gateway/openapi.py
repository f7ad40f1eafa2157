"""The description of the interface, true to what is served.

FastAPI describes its own way of answering bad input (422) on every route; ours is 400 in the one shape of errors, so the
former is taken out. Error answers are declared by each route, as it alone knows which it can give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi.openapi.utils import get_openapi

from services.gateway import answers
from services.gateway.openapi_30 import to_openapi_30
from services.gateway.requests import REQUEST_ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

DESCRIPTION: Final = (
    "Background jobs, and the truth about them. Create tasks, read them, and follow every change on the stream. "
    "Revisions and sequences are 64-bit numbers as text; times are RFC 3339 in UTC; every error has the same shape, and "
    "its `reason` is what to branch on."
)
_MEANINGS: Final = {
    400: "The request is wrong: a field or parameter, the JSON itself, or a cursor.",
    403: "The request comes from a page of an origin that is not configured.",
    404: "No task has this id; it may have been purged.",
    409: "The request_id was used with other contents.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    429: "A stated limit was passed; see Retry-After.",
    503: "TaskState or its database is away; safe to try again, see Retry-After.",
    504: "TaskState did not answer in time.",
}
IDEMPOTENCY_HEADER: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "The same as `request_id` in the body; if both are given, they must be equal.",
            "schema": {"type": "string", "pattern": REQUEST_ID_PATTERN},
        }
    ]
}


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare the error answers of a route."""
    return {status: {"model": answers.Error, "description": _MEANINGS[status]} for status in statuses}


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Answer the function that makes the description once, when first asked for."""
    made: list[dict[str, Any]] = []

    def openapi() -> dict[str, Any]:
        if not made:
            made.append(_schema(app))
        return made[0]

    return openapi


def _schema(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    for operations in schema["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
    older: dict[str, Any] = to_openapi_30(schema)
    return older
