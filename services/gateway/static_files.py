"""The few files of the pages, read once at start and served by their exact names: no path is ever built from a request."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_PAGE_POLICY: Final = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
# Swagger UI sets styles on elements and holds its icons as data; its scripts are files of its package all the same.
_DOCS_POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class StaticFile:
    """One file in memory, with a tag by which a browser asks whether its copy is still right."""

    def __init__(self, path: Path, policy: str) -> None:
        self._content = path.read_bytes()
        self._headers = {
            "Content-Type": _TYPES[path.suffix],
            "Content-Security-Policy": policy,
            "Cache-Control": "no-cache",
            "ETag": f'"{hashlib.sha256(self._content).hexdigest()[:32]}"',
            **_SECURITY,
        }

    def answer(self, request: Request) -> Response:
        """Answer the file, or that the browser's copy is right."""
        if self._headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=self._headers)
        return Response(self._content, headers=self._headers)


def page_files() -> dict[str, StaticFile]:
    """Answer the files of the pages, by the path they are served at."""
    own = Path(__file__).with_name("static")
    # The package resolves its folder at its import; it is not typed.
    bundle = Path(importlib.import_module("swagger_ui_bundle").swagger_ui_path)
    return {
        "/": StaticFile(own / "index.html", _PAGE_POLICY),
        "/static/landing.css": StaticFile(own / "landing.css", _PAGE_POLICY),
        "/static/landing.js": StaticFile(own / "landing.js", _PAGE_POLICY),
        "/static/icon.svg": StaticFile(own / "icon.svg", _PAGE_POLICY),
        "/favicon.ico": StaticFile(own / "icon.svg", _PAGE_POLICY),
        "/docs": StaticFile(own / "docs.html", _DOCS_POLICY),
        "/docs/docs.js": StaticFile(own / "docs.js", _DOCS_POLICY),
        "/docs/swagger-ui.css": StaticFile(bundle / "swagger-ui.css", _DOCS_POLICY),
        "/docs/swagger-ui-bundle.js": StaticFile(bundle / "swagger-ui-bundle.js", _DOCS_POLICY),
    }
