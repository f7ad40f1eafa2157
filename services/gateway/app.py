"""The gateway as one ASGI application, made from its settings and a channel."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from taskstate.errors import TaskStateError

from services.gateway.agent_routes import add_agent_routes, add_retired_routes
from services.gateway.edge import Edge, allowed_methods
from services.gateway.errors import (
    GatewayReason,
    RefusedError,
    error_body,
    fault_answer,
    refused_answer,
    upstream_answer,
    validation_answer,
)
from services.gateway.fan_out import FanOut, SubscriptionLimits
from services.gateway.json_answer import JsonAnswer
from services.gateway.metrics import Metrics
from services.gateway.openapi import describe
from services.gateway.readiness import Readiness
from services.gateway.shared_watch import SharedWatch
from services.gateway.stop_routes import add_stop_routes
from services.gateway.stream_route import add_stream_route
from services.gateway.streams import Streams
from services.gateway.strict_route import strict_route
from services.gateway.system_routes import add_page_routes, add_system_routes
from services.gateway.task_routes import add_history_route, add_task_routes
from services.gateway.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc.aio
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from services.gateway.settings import GatewaySettings


class Gateway:
    """The application and what lives beside it. `app` is what a server calls; `streams.stopping` ends the streams."""

    def __init__(self, settings: GatewaySettings, channel: grpc.aio.Channel) -> None:
        self.metrics = Metrics()
        self.fan_out = FanOut(SubscriptionLimits(settings.stream_queue_max, settings.stream_queue_bytes_max))
        self.streams = Streams(
            self.metrics,
            streams_max=settings.streams_max,
            write_timeout_s=settings.stream_write_timeout_seconds,
            heartbeat_s=settings.stream_heartbeat_seconds,
        )
        upstream = Upstream(channel, settings.call_timeout_seconds)
        self.watch = SharedWatch(upstream, self.fan_out)
        self.metrics.observe_watch(self.fan_out, self.watch)
        self._api = FastAPI(
            title="taskstate",
            version="2",
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            lifespan=self._lifespan,
        )
        router = self._api.router
        router.route_class = strict_route(settings)
        add_agent_routes(router, upstream)
        add_stop_routes(router, upstream)
        add_history_route(router, upstream)
        add_task_routes(router, upstream)
        add_stream_route(router, upstream, self.fan_out, self.streams)
        add_system_routes(
            router, Readiness(upstream, self.watch, self.fan_out, self.streams.stopping), self.metrics.page
        )
        add_retired_routes(router)
        add_page_routes(router)
        self._api.openapi = describe(self._api)  # type: ignore[method-assign]
        router.add_api_route("/openapi.json", self._openapi, methods=["GET"], include_in_schema=False)
        _handle_errors(self._api)
        self.app: ASGIApp = Edge(self._api, router.routes, self.metrics, settings.allowed_hosts, settings.cors_origins)

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        del app
        watch = asyncio.create_task(self.watch.run(), name="shared-watch")
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _openapi(self) -> JsonAnswer:
        return JsonAnswer(self._api.openapi())


def _handle_errors(api: FastAPI) -> None:
    async def http_error(request: Request, error: Exception) -> JsonAnswer:
        # Starlette's own: no route, or no route for the method.
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == 405:
            headers = {"Allow": ", ".join(allowed_methods(api.router.routes, request.scope))}
            body = error_body(
                "UNIMPLEMENTED", GatewayReason.METHOD_NOT_ALLOWED, "This path does not take this method; see Allow."
            )
            return JsonAnswer(body, status_code=405, headers=headers)
        if status == 404:
            body = error_body("NOT_FOUND", GatewayReason.ROUTE_NOT_FOUND, "There is nothing at this path; see /docs.")
            return JsonAnswer(body, status_code=404)
        if status < 500:
            body = error_body("INVALID_ARGUMENT", GatewayReason.MALFORMED_REQUEST, "The request cannot be read.")
            return JsonAnswer(body, status_code=status)
        return fault_answer(request, error)

    async def refused(_: Request, error: Exception) -> JsonAnswer:
        return refused_answer(_expect(RefusedError, error))

    async def upstream_error(_: Request, error: Exception) -> JsonAnswer:
        return upstream_answer(_expect(TaskStateError, error))

    async def invalid(_: Request, error: Exception) -> JsonAnswer:
        return validation_answer(_expect(RequestValidationError, error))

    async def fault(request: Request, error: Exception) -> JsonAnswer:
        return fault_answer(request, error)

    api.add_exception_handler(HTTPException, http_error)
    api.add_exception_handler(RefusedError, refused)
    api.add_exception_handler(TaskStateError, upstream_error)
    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(Exception, fault)


def _expect(kind: type[Any], error: Exception) -> Any:
    """Starlette picks a handler by the exception's type and types all of them alike."""
    if not isinstance(error, kind):
        raise error
    return error
