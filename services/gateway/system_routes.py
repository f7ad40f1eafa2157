"""Health, readiness, metrics, and the pages."""

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.gateway import answers
from services.gateway.json_answer import JsonAnswer
from services.gateway.metrics import CONTENT_TYPE
from services.gateway.readiness import Readiness
from services.gateway.static_files import StaticFile, page_files


def add_system_routes(router: APIRouter, readiness: Readiness, metrics_page: Callable[[], bytes]) -> None:
    """Add what operators and their machines ask."""

    @router.get("/healthz", tags=["system"], summary="Is the process alive", response_model=answers.Health)
    async def healthz() -> Response:
        """Answer at once, whatever TaskState does: a gateway must not be restarted because another service is away."""
        return JsonAnswer({"status": "ok"})

    @router.get(
        "/readyz",
        tags=["system"],
        summary="Can it serve",
        response_model=answers.Readiness,
        responses={503: {"model": answers.Readiness, "description": "It cannot, and the answer says which part."}},
    )
    async def readyz() -> Response:
        """Answer 200 when TaskState answers a call just now and the shared watch has caught up. Waits for no worker."""
        state = await readiness.check()
        return JsonAnswer(state, status_code=200 if state["ready"] else 503)

    @router.get(
        "/metrics",
        tags=["system"],
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text."}},
    )
    async def metrics() -> Response:
        """Answer what this process has counted."""
        return Response(metrics_page(), media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def add_page_routes(router: APIRouter) -> None:
    """Add the landing page, the description for people, and their files."""
    for path, file in page_files().items():
        _add_file(router, path, file)


def _add_file(router: APIRouter, path: str, file: StaticFile) -> None:
    async def static_file(request: Request) -> Response:
        return file.answer(request)

    router.add_api_route(path, static_file, methods=["GET"], include_in_schema=False)
