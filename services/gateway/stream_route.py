"""The route of the stream."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.gateway import query
from services.gateway.change import StreamFilter
from services.gateway.errors import invalid_field
from services.gateway.fan_out import FanOut
from services.gateway.openapi import error_responses
from services.gateway.stream_response import StreamResponse
from services.gateway.stream_session import StreamSession
from services.gateway.streams import Streams
from services.gateway.upstream import Upstream

_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": (
            "Server-sent events: `task` {revision, event or null, task}, `checkpoint` {revision, server_time}, "
            "`reset` {reason} followed by a snapshot. Transitions after the snapshot and checkpoints carry an `id` to "
            "resume from."
        ),
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    **error_responses(400, 429, 503),
}
_LAST_EVENT_ID: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "description": "The id of the last event received; an EventSource sends it by itself. Wins over from_revision.",
            "schema": {"type": "string", "pattern": "^[0-9]+$"},
        }
    ]
}
LogsParameter = Annotated[str | None, Query(include_in_schema=False)]


def add_stream_route(router: APIRouter, upstream: Upstream, fan_out: FanOut, streams: Streams) -> None:
    """Add the stream."""

    @router.get(
        "/api/v2/stream",
        tags=["stream"],
        summary="Follow tasks",
        response_class=Response,
        responses=_RESPONSES,
        openapi_extra=_LAST_EVENT_ID,
    )
    async def stream(
        request: Request,
        task_id: query.TaskIdsFilter = [],  # noqa: B006 - FastAPI copies it, and shows it as the default.
        group: query.GroupFilter = None,
        type: query.TypesFilter = [],  # noqa: A002, B006
        from_revision: query.FromRevision = None,
        logs: LogsParameter = None,
    ) -> Response:
        """Get the present state and every change after it, or every change after a cursor. Never ends by itself."""
        if logs is not None:
            raise invalid_field("logs", "log lines are not streamed yet; read /api/v2/tasks/{task_id}/logs")
        cursor = query.last_event_id(request.headers.getlist("last-event-id"))
        if cursor is None:
            cursor = from_revision
        wanted = StreamFilter(frozenset(task_id), group or "", frozenset(type))
        streams.check_room()
        return StreamResponse(
            lambda response: StreamSession(upstream, fan_out, wanted, cursor, response.write), streams
        )
