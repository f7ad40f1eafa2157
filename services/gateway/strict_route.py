"""Routes that take exactly what they declare: strict JSON bodies, and no query parameter that is unknown or repeated."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute
from starlette.requests import Request

from services.gateway.errors import invalid_field
from services.gateway.json_body import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from starlette.responses import Response
    from starlette.types import Scope

    from services.gateway.settings import GatewaySettings


class _ParsedRequest(Request):
    """A request whose body has been read and parsed strictly already, so that FastAPI's own reading finds the result."""

    def __init__(self, scope: Scope, value: Any) -> None:
        super().__init__(scope)
        self._value = value

    async def body(self) -> bytes:
        """Tell that there is a body; its bytes are of no further use."""
        return b"parsed"

    async def json(self) -> Any:
        """Answer the parsed body."""
        return self._value


def strict_route(settings: GatewaySettings) -> type[APIRoute]:
    """Answer the route class that enforces this gateway's limits."""

    class StrictRoute(APIRoute):
        """See the module."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            """Check the query and read the body before FastAPI looks at either."""
            handle = super().get_route_handler()
            repeatable = {
                field.alias: typing.get_origin(field.field_info.annotation) is list
                for field in self.dependant.query_params
            }
            takes_body = self.body_field is not None

            async def strict_handle(request: Request) -> Response:
                check_query(request, repeatable)
                if takes_body:
                    value = await read_json(request, settings.body_bytes_max, settings.receive_timeout_seconds)
                    request = _ParsedRequest(request.scope, value)
                return await handle(request)

            return strict_handle

    return StrictRoute


def check_query(request: Request, repeatable: Mapping[str, bool]) -> None:
    """Raise RefusedError (400) for a parameter that is not declared, given twice, or holds control characters."""
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name not in repeatable:
            # The name is the client's own text and is not echoed: the list of right names helps more.
            names = ", ".join(sorted(repeatable)) or "none"
            raise invalid_field("query", f"has an unknown parameter; this route takes: {names}")
        if name in seen and not repeatable[name]:
            raise invalid_field(name, "may be given once")
        if any(ord(character) < 32 or character in "\x7f\ufffd" for character in value):
            raise invalid_field(name, "holds control characters, or bytes that are not UTF-8")
        seen.add(name)
