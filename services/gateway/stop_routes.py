"""The routes that stop tasks. Each answers at once, with what happens next and with the task, whose `cancel` goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response
from taskstate.json_view import task_view
from taskstate.stop_message import stop_message
from taskstate.v1 import task_service_pb2 as api

from services.gateway import answers, query
from services.gateway.agent_routes import AGENT_GROUP
from services.gateway.errors import GatewayReason, RefusedError
from services.gateway.json_answer import JsonAnswer
from services.gateway.openapi import error_responses
from services.gateway.requests import CancelTask, StopAgent
from services.gateway.upstream import Upstream, actor_of

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp
    from taskstate.v1.task_pb2 import Task

_NO_ACTIVE_TASK: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": answers.Error, "description": "No run is active (NO_ACTIVE_TASK), or no task has this id."}
}


def add_stop_routes(router: APIRouter, upstream: Upstream) -> None:
    """Add the routes that stop one task."""

    @router.post(
        "/api/v2/agent/stop",
        tags=["agent"],
        summary="Stop an agent run",
        response_model=answers.Stopped,
        responses=error_responses(400, 403, 404, 413, 415, 503, 504) | _NO_ACTIVE_TASK,
    )
    async def stop_agent(request: Request, body: StopAgent | None = None) -> Response:
        """Ask to stop the run that is named, else the active one: the oldest that runs, else the oldest that waits."""
        asked = body or StopAgent()
        actor = actor_of(request)
        task_id = asked.task_id or await _active_task_id(upstream, actor)
        return await _stopped(upstream, task_id, asked.force, actor)

    @router.post(
        "/api/v1/tasks/cancel/{task_id}",
        tags=["tasks"],
        summary="Cancel a task",
        response_model=answers.Stopped,
        responses=error_responses(400, 403, 404, 413, 415, 503, 504),
    )
    async def cancel_task(
        request: Request, task_id: query.TaskId, force: query.Force = False, body: CancelTask | None = None
    ) -> Response:
        """Ask to stop a task. A running one is told, then its process is ended; it is over within 15 s in any case.

        With `force` its state is `failed` (FORCE_CANCELLED) at once, and its process is ended after that. A task that
        has ended already is refused (TASK_TERMINAL).
        """
        del body
        return await _stopped(upstream, task_id, force, actor_of(request))


async def _active_task_id(upstream: Upstream, actor: str) -> str:
    active = await upstream.get_active_task(api.GetActiveTaskRequest(group=AGENT_GROUP), actor)
    if not active.HasField("task"):
        raise RefusedError(404, "NOT_FOUND", GatewayReason.NO_ACTIVE_TASK, "No agent run is active: nothing to stop.")
    return active.task.task_id


async def _stopped(upstream: Upstream, task_id: str, force: bool, actor: str) -> JsonAnswer:
    response = await upstream.cancel_task(api.CancelTaskRequest(task_id=task_id, force=force), actor)
    task: Task = response.task
    return JsonAnswer({"success": True, "message": stop_message(task, _utc_time), "task": task_view(task)})


def _utc_time(time: Timestamp) -> str:
    return f"{time.ToDatetime():%H:%M:%S} UTC"
