"""Routes that take exactly what they declare: strict JSON bodies, and no query parameter that is unknown or repeated."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute
from starlette.requests import Request

from services.gateway.errors import invalid_field
from services.gateway.json_body import read_json, read_json_or_nothing
from services.gateway.same_site import check_same_site

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from starlette.responses import Response
    from starlette.types import Scope

    from services.gateway.settings import GatewaySettings


class _ParsedRequest(Request):
    """A request whose body has been read and parsed strictly already, so that FastAPI's own reading finds the result.

    None stands for no body at all.
    """

    def __init__(self, scope: Scope, value: Any) -> None:
        super().__init__(scope)
        self._value = value

    async def body(self) -> bytes:
        """Tell whether there is a body; its bytes are of no further use."""
        return b"" if self._value is None else b"parsed"

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
                parameter.alias: typing.get_origin(parameter.field_info.annotation) is list
                for parameter in self.dependant.query_params
            }
            field = self.body_field
            takes_body, needs_body = field is not None, field is not None and field.field_info.is_required()

            async def strict_handle(request: Request) -> Response:
                check_query(request, repeatable)
                limits = (settings.body_bytes_max, settings.receive_timeout_seconds)
                if needs_body:
                    request = _ParsedRequest(request.scope, await read_json(request, *limits))
                elif takes_body:
                    check_same_site(request, settings.cors_origins)
                    request = _ParsedRequest(request.scope, await read_json_or_nothing(request, *limits))
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
