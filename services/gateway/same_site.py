"""Keeps pages of other sites from sending what needs no body.

A body must be declared as JSON, which a page of another site may send only after a preflight that we refuse. A request
without a body needs no preflight: any page that a user of this machine opens could send it. Browsers tell where such a
request comes from, and other programs send neither header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from services.gateway.errors import GatewayReason, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request


def check_same_site(request: Request, cors_origins: Sequence[str]) -> None:
    """Raise RefusedError (403) for a request of a page that is neither ours nor of a configured origin."""
    origin = request.headers.get("origin")
    if origin in cors_origins:
        return
    is_foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    # A proxy in front of us may have changed the host: where the browser itself says that both are one, they are.
    site = request.headers.get("sec-fetch-site")
    if site not in ("same-origin", "none") if site is not None else is_foreign:
        raise RefusedError(
            403,
            "PERMISSION_DENIED",
            GatewayReason.ORIGIN_NOT_ALLOWED,
            "Pages of this origin may not send this request; see TASKSTATE_CORS_ORIGINS.",
        )
