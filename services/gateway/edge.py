"""What happens to every request around its route: hosts, other origins, HEAD and OPTIONS, and counting.

One ASGI wrapper instead of a stack of framework middlewares: those buffer streams or run each in its own task.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import Match

from services.gateway.errors import GatewayReason, RefusedError, refused_answer
from services.gateway.idempotency import HEADER as IDEMPOTENCY_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from services.gateway.metrics import Metrics

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_CORS_MAX_AGE_S: Final = "600"


def allowed_methods(routes: Sequence[BaseRoute], scope: Scope) -> list[str]:
    """Answer the methods that a path has a route for, in a fixed order; empty when it has none."""
    allowed: set[str] = set()
    for route in routes:
        match, _ = route.matches(dict(scope))
        if match is not Match.NONE:
            allowed |= getattr(route, "methods", None) or set()
    if not allowed:
        return []
    if "GET" in allowed:
        allowed.add("HEAD")
    allowed.add("OPTIONS")
    return [method for method in _METHODS if method in allowed]


class Edge:
    """The wrapper. `app` is the application, `routes` its routes."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[BaseRoute],
        metrics: Metrics,
        allowed_hosts: Sequence[str],
        cors_origins: Sequence[str],
    ) -> None:
        self._app = app
        self._routes = routes
        self._metrics = metrics
        self._allowed_hosts = frozenset(allowed_hosts)
        self._cors_origins = frozenset(cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        started = time.perf_counter()
        status = 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._mark(MutableHeaders(scope=message), headers.get("origin"))
            await send(message)

        try:
            await self._handle(scope, headers, receive, send_marked)
        finally:
            self._count(scope, status, time.perf_counter() - started)

    async def _handle(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        if self._allowed_hosts and _host_name(headers.getlist("host")) not in self._allowed_hosts:
            refusal = RefusedError(
                400, "INVALID_ARGUMENT", GatewayReason.HOST_NOT_ALLOWED, "This host name is not served here."
            )
            await refused_answer(refusal)(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await self._options(scope, headers, receive, send)
        elif scope["method"] == "HEAD":
            await _as_get(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _options(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """Answer what a path allows, and to pages of configured origins what they may send."""
        methods = allowed_methods(self._routes, scope)
        if not methods:
            await self._app(scope, receive, send)
            return
        answer = Response(status_code=204, headers={"Allow": ", ".join(methods)})
        if headers.get("origin") in self._cors_origins and "access-control-request-method" in headers:
            answer.headers["Access-Control-Allow-Methods"] = ", ".join(methods)
            answer.headers["Access-Control-Allow-Headers"] = f"Content-Type, {IDEMPOTENCY_KEY}, Last-Event-ID"
            answer.headers["Access-Control-Max-Age"] = _CORS_MAX_AGE_S
        await answer(scope, receive, send)

    def _mark(self, headers: MutableHeaders, origin: str | None) -> None:
        headers.setdefault("X-Content-Type-Options", "nosniff")
        if self._cors_origins:
            headers.add_vary_header("Origin")
            if origin in self._cors_origins:
                # The very origin and never "*"; and never credentials, as there are none.
                headers["Access-Control-Allow-Origin"] = str(origin)
                headers["Access-Control-Expose-Headers"] = "Location, Retry-After"

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's template, not the path: paths hold ids, and each would make a new time series.
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        if route != "/api/v2/stream":
            self._metrics.request_seconds.labels(method, route).observe(seconds)


def _host_name(values: list[str]) -> str:
    if len(values) != 1:
        return ""
    host = values[0].strip().lower()
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


async def _as_get(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer HEAD with GET's head. The body is not sent, and whoever would stream one is told that the reader has left."""
    ended = False

    async def receive_or_leave() -> Message:
        return {"type": "http.disconnect"} if ended else await receive()

    async def send_head(message: Message) -> None:
        nonlocal ended
        if message["type"] == "http.response.start":
            await send(message)
        elif message["type"] == "http.response.body" and not ended:
            ended = True
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    inner: dict[str, Any] = {**scope, "method": "GET"}
    try:
        await app(inner, receive_or_leave, send_head)
    finally:
        # Which route it was is found out inside, and counted outside.
        if "route" in inner:
            scope["route"] = inner["route"]
