"""The routes of tasks and of the job history."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response
from taskstate.json_view import event_view, history_view, log_view, task_view
from taskstate.v1 import task_service_pb2 as api

from services.gateway import answers, query
from services.gateway.idempotency import HEADER, request_id_of
from services.gateway.json_answer import JsonAnswer
from services.gateway.openapi import IDEMPOTENCY_HEADER, error_responses
from services.gateway.requests import CreateTask
from services.gateway.upstream import Upstream, actor_of


def accepted(task: Any) -> JsonAnswer:
    """Answer a create: 202 with the task itself, and where to read it."""
    view = task_view(task)
    return JsonAnswer(view, status_code=202, headers={"Location": f"/api/v2/tasks/{view['task_id']}"})


def add_task_routes(router: APIRouter, upstream: Upstream) -> None:
    """Add the routes under `/api/v2/tasks`."""

    @router.post(
        "/api/v2/tasks",
        tags=["tasks"],
        summary="Create a task",
        status_code=202,
        response_model=answers.Task,
        responses=error_responses(400, 409, 413, 415, 429, 503, 504),
        openapi_extra=IDEMPOTENCY_HEADER,
    )
    async def create_task(request: Request, body: CreateTask) -> Response:
        """Accept a task. Repeat it safely with the same `request_id` (or `Idempotency-Key`)."""
        request_id = request_id_of(body.request_id, request.headers.getlist(HEADER))
        response = await upstream.create_task(body.to_proto(request_id), actor_of(request))
        return accepted(response.task)

    @router.get(
        "/api/v2/tasks",
        tags=["tasks"],
        summary="List tasks",
        response_model=answers.TaskPage,
        responses=error_responses(400, 429, 503, 504),
    )
    async def list_tasks(
        request: Request,
        limit: query.Limit = query.PAGE_DEFAULT,
        page_token: query.PageToken = "",
        offset: query.Offset = 0,
        status: query.StatesFilter = [],  # noqa: B006 - FastAPI copies it, and shows it as the default.
        type: query.TypesFilter = [],  # noqa: A002, B006
        queue: query.QueueFilter = None,
        group: query.GroupFilter = None,
        job_type: query.JobTypeFilter = None,
        since: query.Since = None,
        until: query.Until = None,
        text: query.SearchText = None,
        order: query.Order = "newest",
    ) -> Response:
        """Read a page of tasks, newest first. Results over 16 KiB are left out; read the task alone to get them."""
        listing = query.list_tasks_request(
            limit=limit,
            offset=offset,
            page_token=page_token,
            status=status,
            types=type,
            queue=queue,
            group=group,
            job_type=job_type,
            since=since,
            until=until,
            text=text,
            order=order,
        )
        page = await upstream.list_tasks(listing, actor_of(request))
        return JsonAnswer(
            {
                "tasks": [task_view(task) for task in page.tasks],
                "next_page_token": page.next_page_token or None,
                "revision": str(page.revision),
            }
        )

    @router.get(
        "/api/v2/tasks/{task_id}",
        tags=["tasks"],
        summary="Read a task",
        response_model=answers.Task,
        responses=error_responses(400, 404, 503, 504),
    )
    async def get_task(request: Request, task_id: query.TaskId) -> Response:
        """Read one task, with its whole result."""
        response = await upstream.get_task(api.GetTaskRequest(task_id=task_id), actor_of(request))
        return JsonAnswer(task_view(response.task))

    @router.get(
        "/api/v2/tasks/{task_id}/events",
        tags=["tasks"],
        summary="Read a task's audit trail",
        response_model=answers.TaskEventPage,
        responses=error_responses(400, 404, 503, 504),
    )
    async def list_task_events(
        request: Request,
        task_id: query.TaskId,
        limit: query.Limit = query.PAGE_DEFAULT,
        page_token: query.PageToken = "",
    ) -> Response:
        """Read who moved the task, when, from where to where and why; oldest first."""
        page = await upstream.list_task_events(
            api.ListTaskEventsRequest(task_id=task_id, page_size=limit, page_token=page_token), actor_of(request)
        )
        return JsonAnswer(
            {
                "events": [event_view(event) for event in page.events],
                "next_page_token": page.next_page_token or None,
                "revision": str(page.revision),
            }
        )

    @router.get(
        "/api/v2/tasks/{task_id}/logs",
        tags=["tasks"],
        summary="Read a task's log",
        response_model=answers.LogPage,
        responses=error_responses(400, 404, 503, 504),
    )
    async def list_task_logs(
        request: Request,
        task_id: query.TaskId,
        limit: query.Limit = query.PAGE_DEFAULT,
        page_token: query.PageToken = "",
        after_sequence: query.Sequence64 = 0,
        attempt: query.Attempt = None,
        level: query.LevelText = None,
    ) -> Response:
        """Read the lines a task logged, oldest first. To follow, ask again with the last line's sequence."""
        page = await upstream.list_task_logs(
            api.ListTaskLogsRequest(
                task_id=task_id,
                page_size=limit,
                page_token=page_token,
                after_sequence=after_sequence,
                attempt=attempt or 0,
                min_level=query.min_level(level),
            ),
            actor_of(request),
        )
        return JsonAnswer(
            {"logs": [log_view(line) for line in page.lines], "next_page_token": page.next_page_token or None}
        )


def add_history_route(router: APIRouter, upstream: Upstream) -> None:
    """Add the job history."""

    @router.get(
        "/api/v2/jobs/history",
        tags=["jobs"],
        summary="Read the job history",
        response_model=answers.JobPage,
        responses=error_responses(400, 429, 503, 504),
    )
    async def job_history(
        request: Request,
        limit: query.Limit = query.PAGE_DEFAULT,
        page_token: query.PageToken = "",
        offset: query.Offset = 0,
        job_type: query.JobTypeFilter = None,
        status: query.StatesFilter = [],  # noqa: B006
        type: query.TypesFilter = [],  # noqa: A002, B006
        queue: query.QueueFilter = None,
        since: query.Since = None,
        until: query.Until = None,
        text: query.SearchText = None,
    ) -> Response:
        """Read a page of all jobs ever run and not yet purged, newest first, those that run now included."""
        listing = query.list_tasks_request(
            limit=limit,
            offset=offset,
            page_token=page_token,
            status=status,
            types=type,
            queue=queue,
            group=None,
            job_type=job_type,
            since=since,
            until=until,
            text=text,
            with_total_count=True,
        )
        page = await upstream.list_tasks(listing, actor_of(request))
        return JsonAnswer(
            {
                "jobs": [history_view(task) for task in page.tasks],
                "total_count": page.total_count,
                "next_page_token": page.next_page_token or None,
                "revision": str(page.revision),
            }
        )
