"""The routes of the agent: the one job of which at most MAX_CONCURRENT_TASKS run at a time, further starts wait."""

from fastapi import APIRouter, Request
from starlette.responses import Response
from taskstate.json_view import task_view
from taskstate.v1 import task_service_pb2 as api

from services.gateway import answers, query
from services.gateway.errors import GatewayReason, RefusedError
from services.gateway.idempotency import HEADER, request_id_of
from services.gateway.json_answer import JsonAnswer
from services.gateway.openapi import IDEMPOTENCY_HEADER, error_responses
from services.gateway.requests import StartAgent
from services.gateway.task_routes import accepted
from services.gateway.upstream import Upstream, actor_of

AGENT_GROUP = "agent"

# What the first version of the interface had: its method, and what takes its place.
RETIRED = {
    "/api/agent/start": ("POST", "/api/v2/agent/start"),
    "/api/agent/status": ("GET", "/api/v2/agent/active"),
    "/api/agent/stop": ("POST", "/api/v2/agent/stop"),
}


def add_agent_routes(router: APIRouter, upstream: Upstream) -> None:
    """Add the routes under `/api/v2/agent`."""

    @router.post(
        "/api/v2/agent/start",
        tags=["agent"],
        summary="Start an agent run",
        status_code=202,
        response_model=answers.Task,
        responses=error_responses(400, 409, 413, 415, 429, 503, 504),
        openapi_extra=IDEMPOTENCY_HEADER,
    )
    async def start_agent(request: Request, body: StartAgent) -> Response:
        """Accept an agent run: a task of type, queue and group of the agent. It waits while another one runs."""
        request_id = request_id_of(body.request_id, request.headers.getlist(HEADER))
        response = await upstream.create_task(body.to_proto(request_id), actor_of(request))
        return accepted(response.task)

    @router.get(
        "/api/v2/agent/status/{task_id}",
        tags=["agent"],
        summary="Read an agent run",
        response_model=answers.Task,
        responses=error_responses(400, 404, 503, 504),
    )
    async def agent_status(request: Request, task_id: query.TaskId) -> Response:
        """Read one run, with its whole result. It is a task like any other: the same as `/api/v2/tasks/{task_id}`."""
        response = await upstream.get_task(api.GetTaskRequest(task_id=task_id), actor_of(request))
        return JsonAnswer(task_view(response.task))

    @router.get(
        "/api/v2/agent/active",
        tags=["agent"],
        summary="Read the active agent run",
        response_model=answers.ActiveTask,
        responses=error_responses(400, 503, 504),
    )
    async def active_agent(request: Request) -> Response:
        """Read the oldest run that runs, else the oldest that waits, and how many wait: what a page asks on its load."""
        response = await upstream.get_active_task(api.GetActiveTaskRequest(group=AGENT_GROUP), actor_of(request))
        task = task_view(response.task) if response.HasField("task") else None
        return JsonAnswer({"task": task, "queue_size": response.queue_size})


def add_retired_routes(router: APIRouter) -> None:
    """Add the paths of the first version of the interface, which only name their successors: 410."""
    for path, (method, successor) in RETIRED.items():
        _add_retired_route(router, path, method, successor)


def _add_retired_route(router: APIRouter, path: str, method: str, successor: str) -> None:
    async def retired() -> Response:
        raise RefusedError(
            410,
            "NOT_FOUND",
            GatewayReason.ROUTE_RETIRED,
            f"This path is retired; its successor is {method} {successor}.",
            headers={"Link": f'<{successor}>; rel="successor-version"'},
        )

    for each in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        router.add_api_route(
            path,
            retired,
            methods=[each],
            tags=["retired"],
            summary=f"Retired: see {method} {successor}",
            operation_id=f"retired_{path.rsplit('/', 1)[1]}",
            deprecated=True,
            status_code=410,
            response_model=answers.Error,
            response_description="Gone; the message and the `Link` header name the successor.",
            # Only the method that the old interface had is shown; the others answer alike.
            include_in_schema=each == method,
        )
